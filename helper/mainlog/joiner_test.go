package mainlog

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// split is what Exim's write_syslog makes of a line.
func split(prefix, line string) (out []string) {
	const most = 870
	type part struct {
		text string
		nl   bool
	}
	var ps []part
	for len(line) > 0 {
		p := line
		if i := strings.IndexByte(p, '\n'); i >= 0 {
			p = p[:i]
		}
		p = p[:min(len(p), most)]
		line = line[len(p):]
		nl := strings.HasPrefix(line, "\n")
		line = strings.TrimPrefix(line, "\n")
		ps = append(ps, part{p, nl && line != ""})
	}
	for i, p := range ps {
		mark := "/"
		if p.nl {
			mark = `\`
		}
		if len(ps) > 1 {
			p.text = fmt.Sprintf("[%d%s%d] %s", i+1, mark, len(ps), p.text)
		}
		out = append(out, prefix+p.text)
	}
	return out
}

func TestJoiner(t *testing.T) {
	long := at + "<= a@b.test H=(x) [1.2.3.4] P=esmtp S=1 for" + strings.Repeat(` "[2/3] x"@b.test`, 200)
	lines := []string{at + "Completed", long, tm + "H=x\nP Received: [1/2] y\nF From: z", strings.Repeat("[1/2] ", 300)}
	r := rand.New(rand.NewPCG(7, 8))
	for range 200 {
		var j Joiner
		want := map[string]bool{}
		var queues [][]string
		for i, l := range lines {
			p := fmt.Sprintf("Nov 22 05:34:31 host exim[%d]: ", i)
			queues = append(queues, split(p, l))
			want[p+l] = true
		}
		got := 0
		for len(queues) > 0 { // mixed
			i := r.IntN(len(queues))
			if whole, ok := j.Add([]byte(queues[i][0] + "\n")); ok {
				if got++; !want[string(whole)] {
					t.Fatalf("%q", whole)
				}
			}
			if queues[i] = queues[i][1:]; len(queues[i]) == 0 {
				queues = append(queues[:i], queues[i+1:]...)
			}
		}
		if got != len(lines) || j.Lost != 0 || len(j.open) != 0 {
			t.Fatalf("%d of %d, %d lost, %d open", got, len(lines), j.Lost, len(j.open))
		}
	}
}

// TestJoinerLoses is about parts that do not come.
func TestJoinerLoses(t *testing.T) {
	var j Joiner
	add := func(pid int, text string) string {
		whole, _ := j.Add([]byte(fmt.Sprintf("Nov 22 05:34:31 host exim[%d]: %s", pid, text)))
		return string(whole)
	}
	add(1, "[2/3] x") // never began
	add(1, "[1/3] a")
	add(1, "[3/3] c") // the second is missing
	add(2, "[1/2] a")
	add(2, "[1/2] d")
	if got := add(2, "[2/2] e"); !strings.HasSuffix(got, ": de") || j.Lost != 2 {
		t.Errorf("%q, %d lost", got, j.Lost)
	}
	for i := range 1000 {
		add(i, "[1/2] a")
	}
	if len(j.open) > maxOpen {
		t.Errorf("%d open", len(j.open))
	}
	if got, ok := j.Add([]byte(at + "[1/2] x")); !ok || string(got) != at+"[1/2] x" {
		t.Errorf("a line of a file: %q", got)
	}
}

// TestCutLines are lines that Exim ended at 8 KiB.
func TestCutLines(t *testing.T) {
	head := at + `<= a@b.test H=(x) [1.2.3.4] P=esmtpa A=plain:bob S=1 id="x S=2"@y T="S=3" from <a@b.test> for`
	for _, more := range []string{" user@d.test", ` "a S=5 b"@d.test`} {
		whole := head + strings.Repeat(more, 900)
		for n := 8150; n < 8191; n++ {
			for _, end := range []string{"", truncated, overflowed} {
				line := whole[:n-len(end)] + end
				e, ok := Parse([]byte(line), Options{})
				if !ok || e.Damaged || !e.Cut || string(e.Auth.ID) != "bob" || e.Size != 1 || string(e.MessageID) != `"x S=2"@y` {
					t.Fatalf("%d %q: %s", n, line[n-50:], show(e))
				}
			}
		}
	}
	if e, _ := Parse([]byte(head+" a@b.test <trunc>"), Options{}); !e.Damaged {
		t.Errorf("a short line that says it is cut: %s", show(e))
	}
}
