package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"exipol/generator/plan"
	"exipol/helper/engine"
	"exipol/helper/imports"
)

// item is the name of a row that has none: of several that are the same, each has its number. Read again it
// has the same name.
func (f *importFile) item(parts ...any) string {
	text := fmt.Sprintf("%q", parts)
	f.seen[text]++
	sum := sha256.Sum256([]byte(text + strconv.Itoa(f.seen[text])))
	return hex.EncodeToString(sum[:16])
}

// bouncelist counts bounces. Nobody is blocked by that alone: the next bounce judges.
func (im *importer) bouncelist(f *importFile) error {
	var fits []string
	classed := true
	for _, l := range im.plan.Limits {
		if slices.ContainsFunc(l.Events, func(w plan.WeightedEvent) bool { return w.Event == plan.Bounce }) {
			fits = append(fits, l.Ref())
			classed = classed && len(l.Classes) > 0 && !slices.Contains(l.Classes, "other")
		}
	}
	if len(fits) == 0 {
		return errors.New("no limit of this plan counts bounces")
	}
	im.report.Policies = slices.Compact(slices.Sorted(slices.Values(append(im.report.Policies, fits...))))
	if classed {
		im.remark("all limits count some classes of bounces only, and the table does not say of which class one is: only BOUNCELIST will tell of these")
	}
	return imports.Bounces(f, func(b imports.Bounce) error {
		hp := engine.Happening{
			Event: plan.Bounce, Class: "other", Traffic: plan.Submission, At: time.Unix(b.At, 0), Gateway: b.Host, Message: b.Message,
			Item: f.item("bouncelist", b.Host, b.Message, b.User, b.Sender, b.At), Sender: b.Sender, Auth: b.User, Line: "imported from " + f.name,
		}
		if hp.Gateway == "" {
			hp.Gateway = im.live.Gateway
		}
		return im.add(f, fits[0], b.Line, func(st engine.State) ([]engine.Write, importOutcome, error) {
			out, err := im.engine.Count(hp, im.now, st, im.live)
			switch {
			case err != nil || out.Known:
				return nil, known, err
			case len(out.Writes) == 0:
				return nil, old, nil
			}
			judged := slices.DeleteFunc(out.Writes, func(w engine.Write) bool { _, opens := w.(engine.OpenCase); return opens })
			return judged, imported, nil
		})
	}, f.bad)
}

// importedRows is the name of the rows that remember which rows were counted.
const importedRows = "import"

// tarlist counts unknown recipients, and trusts clients.
func (im *importer) tarlist(f *importFile) error {
	limit, err := im.tarpit()
	if err != nil {
		return err
	}
	g, err := im.greylist(trusting)
	if err != nil {
		return err
	}
	offence := func(o imports.Offence) error {
		if limit.Name == "" {
			im.remark("no limit of this plan counts unknown recipients by client: the offences were left out")
			return nil
		}
		item := f.item("tarlist", limit.Ref(), o.Client, o.At)
		at := time.Unix(o.At, 0)
		return im.add(f, limit.Ref(), o.Line, func(st engine.State) ([]engine.Write, importOutcome, error) {
			row, counted, err := st.Seen(importedRows, item)
			if err != nil || counted && im.now.UnixMilli() < row.Expires {
				return nil, known, err
			}
			writes, err := im.engine.Offended(limit.Ref(), o.Client, at, im.now, st, im.live)
			if len(writes) == 0 {
				return nil, old, err
			}
			until := at.UnixMilli() + limit.Windows[len(limit.Windows)-1].Milliseconds() + time.Hour.Milliseconds()
			return append(writes, engine.PutSeen{Policy: importedRows, Key: item, Row: engine.SeenRow{First: at.UnixMilli(), Expires: until}}), imported, nil
		})
	}
	client := func(c imports.Client) error {
		if g == nil {
			im.remark("no greylist of this plan trusts clients: those of IPlist were left out")
			return nil
		}
		return im.vouch(f, g, c)
	}
	return imports.Tarlist(f, offence, client, f.bad)
}

// tarpit is the limit that offences go to, an empty one for none.
func (im *importer) tarpit() (plan.Limit, error) {
	var fits []string
	for _, l := range im.plan.Limits {
		counts := slices.ContainsFunc(l.Events, func(w plan.WeightedEvent) bool { return w.Event == plan.UnknownRecipient })
		other := slices.ContainsFunc(l.Key, func(p plan.Part) bool { return p.Field != "client" && p.Field != "pool" })
		if counts && !other && l.Traffic == plan.Inbound && l.Engine == plan.EngineHelper && l.Distinct == nil && l.Share == nil {
			fits = append(fits, l.Ref())
		}
	}
	ref, err := im.goesTo("limit", fits)
	for _, l := range im.plan.Limits {
		if err == nil && l.Ref() == ref {
			return l, nil
		}
	}
	return plan.Limit{}, err
}
