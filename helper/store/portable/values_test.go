package portable

import (
	"strings"
	"testing"

	"exipol/generator/ddl"
)

func TestWords(t *testing.T) {
	long := strings.Repeat("a", WordsLength-1)
	for in, want := range map[string]string{
		"": "", "ä": "ä", "a\xffb\xfe": "a\uFFFDb\uFFFD", "\x00": "\x00",
		long + "b": long + "b", long + "bc": long + "b", long + "ä": long, long[1:] + "ä": long[1:] + "ä", long[1:] + "€": long[1:], long + "\xff": long + "\uFFFD", long + "\xff\xff": long + "\uFFFD",
	} {
		if got := Words(in); got != want {
			t.Errorf("%.10q of %d bytes: %.10q of %d, want %d", in, len(in), got, len(got), len(want))
		}
	}
}

func TestNames(t *testing.T) {
	for in, kept := range map[string]bool{"": true, "1tABCD-0000000001a-0001": true, "2001:db8::1": true, strings.Repeat("x", 96): true, strings.Repeat("x", 97): false, "a b": false, "ä": false, "a\n": false} {
		if got := ShortName(in); (got == in) != kept || len(got) > ddl.NameLength {
			t.Errorf("%q: %q", in, got)
		}
	}
	for in, want := range map[string]string{"": "", "v1.2.3": "v1.2.3", "v1 (dirty)\x00": "v1_(dirty)_", "ä": "_", "\xff": "_", strings.Repeat("x", 95) + "ä": strings.Repeat("x", 95) + "_"} {
		if got := visible(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
