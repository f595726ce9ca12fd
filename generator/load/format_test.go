package load

import (
	"bytes"
	"fmt"
	"reflect"
	"testing"
)

func dump(v any) string { return fmt.Sprintf("%+v", reflect.ValueOf(v).Elem().Interface()) }

func TestFormat(t *testing.T) {
	for _, c := range []struct{ name, src, want string }{
		{"aligned", "a {\nx=1\n  long   = 2 # two\n}", "a {\n  x    = 1\n  long = 2 # two\n}\n"},
		{"empty lines", "\n\n\na {\n}\n\n\n\nb {\n\n\n  x = 1\n\n\n}\n\n\n", "a {\n}\n\nb {\n\n  x = 1\n\n}\n"},
		{"line ends", "a {\r\n  x = 1\r\n}\r\n", "a {\n  x = 1\n}\n"},
		{"trailing blanks", "# one  \na {\t\n}   \n", "# one\na {\n}\n"},
		{"heredoc", "x = <<EOT\n  one\n\n\n  two  \nEOT\n\n\n\ny = 1\n", "x = <<EOT\n  one\n\n\n  two  \nEOT\n\ny = 1\n"},
		{"nothing", "", ""},
		{"only blanks", "\n \n", ""},
	} {
		got, diags := Format([]byte(c.src), "a.hcl")
		if len(diags) > 0 {
			t.Errorf("%s: %v", c.name, diags)
		}
		if string(got) != c.want {
			t.Errorf("%s: got\n%q\nwant\n%q", c.name, got, c.want)
		}
	}
	if out, diags := Format([]byte("a {"), "a.hcl"); out != nil || !diags.HasErrors() || diags[0].Code != "EP102" {
		t.Errorf("a fault: %q, %v", out, diags)
	}
	if out, diags := Format([]byte(`{ "a":1}`), "a.hcl.json"); string(out) != `{ "a":1}` || len(diags) > 0 {
		t.Errorf("JSON: %q, %v", out, diags)
	}
}

func FuzzFormat(f *testing.F) {
	f.Add([]byte(native))
	f.Add([]byte("x = <<-EOT\n  one\n\n\nEOT\n/* a\n\n\nb */\n\n\ny = 1"))
	f.Add([]byte("x=1<\xeb  "))
	f.Add([]byte("//\r\r\r\r"))
	f.Add([]byte("a = [\n\n\n1,\n2 # x\n]\n#\n"))
	f.Fuzz(func(t *testing.T, src []byte) {
		once, diags := Format(src, "a.hcl")
		if diags.HasErrors() {
			return
		}
		twice, diags := Format(once, "a.hcl")
		if diags.HasErrors() {
			t.Fatalf("the canonical form does not parse: %v\n%q\n%q", diags, src, once)
		}
		if !bytes.Equal(once, twice) {
			t.Fatalf("a second run changes something:\n%q\n%q\n%q", src, once, twice)
		}
	})
}
