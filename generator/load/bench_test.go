package load

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// many is a set of n policies.
func many(n int) []byte {
	var b strings.Builder
	b.WriteString("exipol {\n  format = 1\n}\n\nlist \"friends\" {\n  clients = [\"192.0.2.0/24\"]\n}\n")
	for i := range n {
		fmt.Fprintf(&b, `
limit "rate_%d" {
  traffic = "inbound"
  event   = recipient
  key     = [client.net, sender]
  except  = [list.friends]
  tier "slow" {
    over = "%d/1h"
    defer {
      message = "too fast"
    }
  }
}
`, i, i+1)
	}
	return []byte(b.String())
}

func BenchmarkParse(b *testing.B) {
	for _, n := range []int{100, 10_000} {
		src := many(n)
		b.Run(fmt.Sprintf("hcl/%d", n), func(b *testing.B) {
			for b.Loop() {
				if _, ds := hclsyntax.ParseConfig(src, "a.hcl", hcl.InitialPos); ds.HasErrors() {
					b.Fatal(ds)
				}
			}
		})
		b.Run(fmt.Sprintf("load/%d", n), func(b *testing.B) {
			for b.Loop() {
				if _, ds := Parse(map[string][]byte{"a.hcl": src}, nil); len(ds) > 0 {
					b.Fatal(ds)
				}
			}
		})
	}
}
