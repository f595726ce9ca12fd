package cli

import (
	"strings"
	"testing"
)

func TestNearest(t *testing.T) {
	candidates := []string{"limit.tarpit", "greylist.inbound", "limit.rate"}
	for word, want := range map[string]string{
		"greylist.inboud":        "greylist.inbound",
		"greylist.inbuond":       "greylist.inbound",
		"limit.tarpits":          "limit.tarpit",
		"limit.rat":              "limit.rate",
		"limit.nothing":          "",
		"":                       "",
		strings.Repeat("x", 999): "",
	} {
		if got := Nearest(word, candidates); got != want {
			t.Errorf("%.20q: %q, want %q", word, got, want)
		}
	}
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "abc", 3}, {"abc", "abc", 0}, {"abc", "acb", 1}, {"abc", "xabc", 1}, {"ab", "cd", 2}} {
		if got := edits(c.a, c.b); got != c.want {
			t.Errorf("%q to %q: %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
