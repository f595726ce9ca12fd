package main

import (
	"fmt"
	"slices"
	"strings"
)

// series are the figures of one cell, one of each round.
type series []float64

func (s series) median() float64 {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s))
	if n := len(sorted); n%2 == 0 {
		return (sorted[n/2-1] + sorted[n/2]) / 2
	}
	return sorted[len(sorted)/2]
}

// show is "median [min-max]" with so many decimals.
func (s series) show(decimals int) string {
	if len(s) == 0 {
		return "-"
	}
	return fmt.Sprintf("%s [%s-%s]", number(s.median(), decimals), number(slices.Min(s), decimals), number(slices.Max(s), decimals))
}

// over divides within the rounds.
func (s series) over(t series) series {
	var out series
	for i := range min(len(s), len(t)) {
		if t[i] > 0 {
			out = append(out, s[i]/t[i])
		}
	}
	return out
}

// number prints with separators between thousands.
func number(f float64, decimals int) string {
	text := fmt.Sprintf("%.*f", decimals, f)
	whole, rest, found := strings.Cut(text, ".")
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if found {
		return whole + "." + rest
	}
	return whole
}

// verdict compares a median with a goal.
func verdict(s series, goal float64, atLeast bool) string {
	if len(s) == 0 {
		return "not measured"
	}
	if atLeast == (s.median() >= goal) || s.median() == goal {
		return "pass"
	}
	return "**miss**"
}

// table prints a Markdown table.
func table(title string, head []string, rows [][]string) {
	fmt.Printf("\n## %s\n\n| %s |\n|%s\n", title, strings.Join(head, " | "), strings.Repeat("---|", len(head)))
	for _, r := range rows {
		fmt.Printf("| %s |\n", strings.Join(r, " | "))
	}
}
