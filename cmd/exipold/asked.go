package main

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"exipol/generator/plan"
	"exipol/generator/wire"
	"exipol/helper/engine"
	helperfacts "exipol/helper/facts"
)

// asked is the answer to exipold ask, for machines.
type asked struct {
	FormatVersion string         `json:"format_version"`
	Verdict       string         `json:"verdict"`
	By            string         `json:"by,omitempty"`
	Delay         int64          `json:"delay"` // seconds
	Would         string         `json:"would,omitempty"`
	Why           []string       `json:"why"`   // what made the one who decided, or would have, suspicious
	Facts         []factFound    `json:"facts"` // what was looked up
	Note          string         `json:"note,omitempty"`
	At            string         `json:"at"`
	Traffic       string         `json:"traffic"`
	Event         string         `json:"event"`
	Writes        int            `json:"writes"` // what a real question would have changed
	Reasons       []engineReason `json:"reasons"`
}

type engineReason struct {
	Policy  string `json:"policy"`
	Tier    string `json:"tier,omitempty"`
	Verdict string `json:"verdict"`
	Observe bool   `json:"observe,omitempty"`
	Text    string `json:"text"`
}

// factFound is a fact with what was found: yes, no, unclear, or what SPF says.
type factFound struct {
	Fact    string `json:"fact"`
	Finding string `json:"finding"`
}

func printDecision(cmd *cobra.Command, q wire.Question, d engine.Decision, facts []factFound, asJSON bool) error {
	out := asked{
		FormatVersion: "1.0", Verdict: d.Answer.Verdict, By: d.Answer.By, Delay: d.Answer.Delay, Would: d.Answer.Would,
		At: q.Stage + "." + q.Half, Traffic: q.Traffic, Event: q.Events[0], Writes: len(d.Writes), Reasons: []engineReason{},
		Why: listOf(d.Answer.Why), Facts: facts,
	}
	if len(facts) > 0 && q.Client.IsValid() && helperfacts.Local(q.Client) {
		out.Note = fmt.Sprintf("client %s is of a private network: nothing is looked up", q.Client)
	}
	if len(d.Reasons) == 0 && slices.Contains(q.Events, plan.Blocked) {
		out.Note = "no block is in force"
	}
	for _, r := range d.Reasons {
		out.Reasons = append(out.Reasons, engineReason(r))
	}
	w := cmd.OutOrStdout()
	if asJSON {
		return printJSON(w, out)
	}
	verdict := out.Verdict
	if out.Delay > 0 {
		verdict += fmt.Sprintf(" after %ds", out.Delay)
	}
	if out.Would != "" {
		verdict += fmt.Sprintf(" (observing: would be %s)", out.Would)
	}
	fmt.Fprintln(w, verdict)
	for _, r := range out.Reasons {
		name := r.Policy
		if r.Tier != "" {
			name += "/" + r.Tier
		}
		fmt.Fprintf(w, "  %s: %s: %s\n", name, r.Verdict, readable(r.Text))
	}
	if out.Note != "" {
		fmt.Fprintf(w, "  %s\n", out.Note)
		return nil
	}
	for _, f := range out.Facts {
		fmt.Fprintf(w, "  %s: %s\n", readable(f.Fact), readable(f.Finding))
	}
	return nil
}
