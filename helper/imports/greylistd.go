package imports

import (
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Greylistd is what greylistd's file "states" holds, by the hash of what was seen. What that was says
// its other file, "triplets".
type Greylistd struct {
	states map[int64]state
	Black  int // blacklisted
}

// state is one entry. The times are Unix seconds.
type state struct {
	first, last int64
	white       bool
	named       bool // triplets has it
}

// IsGreylistdStates says whether a file that begins so is "states", and not "triplets".
func IsGreylistdStates(begin []byte) bool {
	return strings.HasPrefix(strings.TrimSpace(string(begin)), "[")
}

// ReadGreylistd reads "states" (greylistd 0.8 and 0.9): sections [white], [grey] and [black], with lines "HASH = LAST
// FIRST COUNT".
func ReadGreylistd(r io.Reader, bad Bad) (*Greylistd, error) {
	g := &Greylistd{states: map[int64]state{}}
	section := ""
	err := lines(r, bad, func(n int, line string) error {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#':
			return nil
		case line[0] == '[':
			section = strings.ToLower(strings.TrimSpace(strings.Trim(line, "[]")))
			return nil
		case section == "black":
			g.Black++
			return nil
		case section != "white" && section != "grey": // statistics, and what newer versions add
			return nil
		}
		key, value, _ := strings.Cut(line, "=")
		hash, err := strconv.ParseInt(strings.TrimSpace(key), 10, 64)
		words := strings.Fields(value)
		if err != nil || len(words) < 2 {
			bad(n, "not an entry of greylistd's: "+short(line))
			return nil
		}
		last, lastOK := moment(words[0])
		first, firstOK := moment(words[1])
		if !lastOK || !firstOK {
			bad(n, "not times: "+short(value))
			return nil
		}
		g.states[hash] = state{first: first, last: last, white: section == "white"}
		return nil
	})
	return g, err
}

// Triplets reads "triplets", lines "HASH = CLIENT SENDER RECIPIENT" in lower case, and takes those that states
// still knows.
func (g *Greylistd) Triplets(r io.Reader, take func(Triplet) error, bad Bad) error {
	return lines(r, bad, func(n int, line string) error {
		if strings.TrimSpace(line) == "" {
			return nil
		}
		key, value, found := strings.Cut(line, " = ")
		hash, err := strconv.ParseInt(key, 10, 64)
		if !found || err != nil {
			bad(n, "not a triplet of greylistd's: "+short(line))
			return nil
		}
		s, known := g.states[hash]
		if !known || s.named {
			return nil // forgotten, or blacklisted; or here already
		}
		s.named = true
		g.states[hash] = s
		t := Triplet{Line: n, First: s.first, Last: s.last, Passed: s.white}
		why := t.split(strings.Fields(value))
		if why != "" {
			bad(n, fmt.Sprintf("%s: %s", why, short(value)))
			return nil
		}
		return take(t)
	})
}

// split takes the words of a triplet; why says why it is none. With a null sender there are two.
func (t *Triplet) split(words []string) (why string) {
	if len(words) == 2 {
		words = []string{words[0], "", words[1]}
	}
	if len(words) != 3 {
		return fmt.Sprintf("%d words, where a client, a sender and a recipient were expected", len(words))
	}
	ok := false
	if t.Client, ok = network(words[0]); !ok {
		return "the client is no address"
	}
	t.Sender, t.Recipient = strings.Trim(words[1], "<>"), strings.Trim(words[2], "<>")
	if strings.HasSuffix(t.Sender, ",") || t.Recipient == "" {
		return "not a sender and a recipient"
	}
	return ""
}

// Nameless is how many entries of states triplets did not name (savetriplets = false keeps none).
func (g *Greylistd) Nameless() int {
	n := 0
	for _, s := range g.states {
		if !s.named {
			n++
		}
	}
	return n
}
