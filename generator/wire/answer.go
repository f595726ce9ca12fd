package wire

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Answer is what exipold says. By, DelayBy and WouldBy name policies as
// "limit.tarpit/slow" or "greylist.inbound".
type Answer struct {
	Verdict string   // plan.Accept, ..., Failed or Away
	By      string   // who decided; "" for accept
	Delay   int64    // seconds to wait before the verdict
	DelayBy string   // who wants the longest wait; "" for none
	Add     []string // tiers whose headers are to be added
	Until   int64    // in the file plan.Blocked: when the block ends, Unix seconds; 0: not by itself
	Waive   string   // one of the waivers; "" is WaiveNo
	Would   string   // what observing policies would have decided, "" for nothing
	WouldBy string   //
	// Why is what was suspicious to By; where the verdict is to accept, to WouldBy.
	Why []string
	// LastKnown says that the verdict is that of a block that was in force when exipold last knew: its store is
	// away, and nothing was counted.
	LastKnown bool
}

// String is the answer as exipold sends it. A value that could not be read back
// makes the whole answer a failed one, rather than one that Exim misreads.
func (a Answer) String() string {
	if a.Waive == "" {
		a.Waive = WaiveNo
	}
	words := [][2]string{{"verdict", a.Verdict}}
	add := func(name, value string) {
		if value != "" {
			words = append(words, [2]string{name, value})
		}
	}
	add("by", a.By)
	if a.Delay > 0 {
		add("delay", strconv.FormatInt(a.Delay, 10))
		add("delayby", a.DelayBy)
	}
	add("add", strings.Join(a.Add, ","))
	if a.Until > 0 {
		add("until", strconv.FormatInt(a.Until, 10))
	}
	add("would", a.Would)
	add("wouldby", a.WouldBy)
	add("why", strings.Join(a.Why, ","))
	if a.LastKnown {
		add("known", lastKnown)
	}
	add("waive", a.Waive)
	var b strings.Builder
	b.WriteString("v=1")
	for _, w := range words {
		for i := 0; i < len(w[1]); i++ {
			if !isAnswerByte(w[1][i]) {
				return "v=1 verdict=failed end=1"
			}
		}
		b.WriteString(" " + w[0] + "=" + w[1])
	}
	b.WriteString(" end=1")
	return b.String()
}

// lastKnown is the one value of the word "known".
const lastKnown = "last"

// ParseAnswer reads an answer back, as Exim's text does: for `exipold ask`, for
// tests, and as the other half of the fuzz test.
func ParseAnswer(s string) (Answer, error) {
	var a Answer
	words := strings.Split(s, " ")
	if len(words) < 2 || words[0] != "v=1" || words[len(words)-1] != "end=1" {
		return a, fmt.Errorf("answer %q is not whole", s)
	}
	seen := map[string]bool{}
	for _, word := range words[1 : len(words)-1] {
		name, value, found := strings.Cut(word, "=")
		if !found {
			return a, fmt.Errorf("answer %q: %q has no equals sign", s, word)
		}
		if seen[name] {
			return a, fmt.Errorf("answer %q gives %q twice", s, name)
		}
		seen[name] = true
		for i := 0; i < len(value); i++ {
			if !isAnswerByte(value[i]) {
				return a, fmt.Errorf("answer %q: a byte that no answer holds", s)
			}
		}
		switch name {
		case "verdict":
			a.Verdict = value
		case "by":
			a.By = value
		case "delay":
			n, err := strconv.ParseUint(value, 10, 63)
			if err != nil {
				return a, fmt.Errorf("answer %q: delay: %w", s, err)
			}
			a.Delay = int64(n)
		case "until":
			n, err := strconv.ParseUint(value, 10, 63)
			if err != nil {
				return a, fmt.Errorf("answer %q: until: %w", s, err)
			}
			a.Until = int64(n)
		case "delayby":
			a.DelayBy = value
		case "add":
			a.Add = strings.Split(value, ",")
		case "would":
			a.Would = value
		case "wouldby":
			a.WouldBy = value
		case "why":
			a.Why = strings.Split(value, ",")
		case "known":
			if a.LastKnown = value == lastKnown; !a.LastKnown {
				return a, fmt.Errorf("answer %q: known: %q is not %q", s, value, lastKnown)
			}
		case "waive":
			a.Waive = value
		default:
			return a, fmt.Errorf("answer %q: unknown word %q", s, name)
		}
	}
	if !slices.Contains([]string{WaiveNo, WaiveMessage, WaiveConnection, ""}, a.Waive) || a.Verdict == "" {
		return a, fmt.Errorf("answer %q makes no sense", s)
	}
	return a, nil
}
