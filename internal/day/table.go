package day

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Verdicts is what one judge made of a day.
type Verdicts struct {
	Judge    string
	Outcomes []Outcome
}

// codeLife is how long a login code is good for: most senders say ten minutes.
const codeLife = 10 * time.Minute

// Tables shows judges beside each other, in Markdown. All of them had the same day.
func Tables(all []Verdicts) string {
	var b strings.Builder
	head := func(title string, columns ...string) {
		fmt.Fprintf(&b, "\n### %s\n\n| %s |\n|%s\n", title, strings.Join(columns, " | "), strings.Repeat("---|", len(columns)))
	}
	row := func(cells ...string) { fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | ")) }
	names := make([]string, len(all))
	for i, v := range all {
		names[i] = v.Judge
	}

	byKind := func(title string, first []string, cell func([]Outcome) string, wanted func(*Kind) bool) {
		head(title, append(first, names...)...)
		for i := range kinds {
			k := &kinds[i]
			if !wanted(k) {
				continue
			}
			cells := []string{k.Name, ""}
			for _, v := range all {
				of := v.of(func(o *Kind) bool { return o == k })
				cells[1] = fmt.Sprint(len(of))
				cells = append(cells, cell(of))
			}
			row(cells...)
		}
	}
	bots := func(k *Kind) bool { return k.Bot }
	honest := func(k *Kind) bool { return !k.Bot }
	sum := func(name string, cell func([]Outcome) string, of func(*Kind) bool) {
		cells := []string{name, ""}
		for _, v := range all {
			o := v.of(of)
			cells[1] = fmt.Sprint(len(o))
			cells = append(cells, cell(o))
		}
		row(cells...)
	}

	byKind("Spam kept out", []string{"kind", "messages"}, keptOut, bots)
	sum("all", keptOut, bots)

	head("Delay of honest mail", "by", "messages", "at once", "median", "p90", "p99", "longest", "never came")
	for _, v := range all {
		o := v.of(honest)
		d := delays(o)
		row(v.Judge, fmt.Sprint(len(o)), percent(unhindered(d), len(o)), span(at(d, 50)), span(at(d, 90)), span(at(d, 99)), span(at(d, 100)), fmt.Sprint(len(o)-len(d)))
	}

	byKind("The same by kind", []string{"kind", "messages"}, distribution, honest)
	b.WriteString("\nA cell is the share that was let in at once; then median, p90, p99 and longest delay of all that came; then how many never came, if any.\n")

	byKind("Login codes that came within ten minutes", []string{"kind", "messages"}, inTime, func(k *Kind) bool { return k.Code })
	return b.String()
}

// of are the outcomes of some kinds.
func (v Verdicts) of(wanted func(*Kind) bool) []Outcome {
	var out []Outcome
	for _, o := range v.Outcomes {
		if wanted(o.Kind) {
			out = append(out, o)
		}
	}
	return out
}

func keptOut(all []Outcome) string { return percent(len(all)-len(delays(all)), len(all)) }

func inTime(all []Outcome) string {
	n := 0
	for _, d := range delays(all) {
		if d <= codeLife {
			n++
		}
	}
	return percent(n, len(all))
}

func distribution(all []Outcome) string {
	d := delays(all)
	once, lost := unhindered(d), len(all)-len(d)
	text := percent(once, len(all))
	if once < len(d) {
		text += fmt.Sprintf("; %s, %s, %s, %s", span(at(d, 50)), span(at(d, 90)), span(at(d, 99)), span(at(d, 100)))
	}
	if lost > 0 {
		text += fmt.Sprintf("; **%d** never", lost)
	}
	return text
}

// delays of what came, sorted.
func delays(all []Outcome) []time.Duration {
	var out []time.Duration
	for _, o := range all {
		if o.Delivered {
			out = append(out, o.Delay)
		}
	}
	slices.Sort(out)
	return out
}

func unhindered(sorted []time.Duration) int {
	n, _ := slices.BinarySearch(sorted, 1)
	return n
}

// at is a percentile: so many of a hundred waited no longer.
func at(sorted []time.Duration, percentile int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[max(0, (len(sorted)*percentile+99)/100-1)]
}

// percent never rounds to all or none what is not.
func percent(n, of int) string {
	if n == of || n == 0 || of == 0 {
		return fmt.Sprintf("%d %%", 100*n/max(of, 1))
	}
	return fmt.Sprintf("%.1f %%", min(99.9, max(0.1, 100*float64(n)/float64(of))))
}

func span(d time.Duration) string {
	switch {
	case d == 0:
		return "0"
	case d < 100*time.Second:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < 100*time.Minute:
		return fmt.Sprintf("%.0f min", d.Minutes())
	default:
		return fmt.Sprintf("%.1f h", d.Hours())
	}
}
