package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"

	"exipol/cmd/internal/cli"
	"exipol/generator/plan"
	"exipol/helper/desk"
	"exipol/helper/engine"
	"exipol/helper/imports"
	"exipol/helper/normalize"
)

// blockedUsers blocks authenticated ids.
func (im *importer) blockedUsers(f *importFile) error {
	l, err := im.blocking(plan.Submission, "auth")
	if err != nil {
		return err
	}
	return imports.Names(f, func(n imports.Name) error {
		return im.block(f, n.Line, l, desk.Party{Auth: n.Name})
	}, f.bad)
}

// blockedRelays blocks relay hosts, by address or by id.
func (im *importer) blockedRelays(f *importFile) error {
	l, err := im.blocking(plan.Relay, "client")
	if err != nil {
		return err
	}
	return imports.Relays(f, func(n imports.Name) error {
		who := desk.Party{Relay: n.Name}
		if a, err := netip.ParseAddr(n.Name); err == nil {
			who.Client = a
			who.Relay = normalize.Client(a, 32, 128)
		}
		return im.block(f, n.Line, l, who)
	}, f.bad)
}

// blocking is the limit that blocks whom a traffic comes from, by one field or by the owner: rather one that counts
// recipients that do not exist, as the recipes do.
func (im *importer) blocking(traffic, field string) (plan.Limit, error) {
	var fits []string
	var found []plan.Limit
	for _, l := range im.plan.Limits {
		blocks := slices.ContainsFunc(l.Tiers, func(t plan.Tier) bool { return t.Block != nil })
		if !blocks || l.Mode == plan.Observe || len(l.Key) != 1 || l.Traffic != traffic && l.Traffic != "" {
			continue
		}
		if key := l.Key[0]; key.Field == "owner" || key.Field == field && (field != "client" || key.V4 >= 32 && key.V6 >= 128) {
			found = append(found, l)
		}
	}
	slices.SortStableFunc(found, func(a, b plan.Limit) int {
		return cmp.Compare(likeTheRecipes(b), likeTheRecipes(a))
	})
	for _, l := range found {
		fits = append(fits, l.Ref())
	}
	ref, err := im.goesTo("limit", fits)
	if err != nil {
		return plan.Limit{}, err
	}
	if ref == "" {
		return plan.Limit{}, fmt.Errorf("no limit of this plan blocks %s by one key that they are known by", traffic)
	}
	return found[slices.Index(fits, ref)], nil
}

// likeTheRecipes is 1 for a limit that counts what the BlockCracking recipes count, else 0.
func likeTheRecipes(l plan.Limit) int {
	if slices.ContainsFunc(l.Events, func(e plan.WeightedEvent) bool { return e.Event == plan.InvalidRecipient }) {
		return 1
	}
	return 0
}

// block opens a case by hand, unless there was one.
func (im *importer) block(f *importFile, line int, l plan.Limit, who desk.Party) error {
	return im.add(f, l.Ref(), line, func(st engine.State) ([]engine.Write, importOutcome, error) {
		c, err := desk.ByHand(l, who, im.live.Gateway, im.by, "imported from "+f.name, im.now)
		if err != nil {
			return nil, 0, fmt.Errorf("%w: %w", engine.ErrUnlike, err)
		}
		c.Notify = nil
		standing, there, err := st.Standing(c.Policy, c.Key)
		switch {
		case err != nil:
			return nil, 0, err
		case there && standing.InForce(im.now.UnixMilli()):
			return nil, known, nil
		case there && !standing.Open(im.now.UnixMilli()):
			return nil, released, nil
		}
		return []engine.Write{c}, imported, nil
	})
}

// greylist is the one that contacts go to.
func (im *importer) greylist(fits func(plan.Grey) bool) (*plan.Grey, error) {
	var refs []string
	for _, g := range im.plan.Greylists {
		if fits(g) {
			refs = append(refs, g.Ref())
		}
	}
	ref, err := im.goesTo("greylist", refs)
	if err != nil {
		return nil, err
	}
	for i := range im.plan.Greylists {
		if im.plan.Greylists[i].Ref() == ref {
			return &im.plan.Greylists[i], nil
		}
	}
	return nil, nil
}

func anyGreylist(plan.Grey) bool { return true }

func trusting(g plan.Grey) bool { return g.Trust != nil }

// greylistd reads its two files, in whatever order they come.
func (im *importer) greylistd(names []string, stdin io.Reader) error {
	g, err := im.greylist(anyGreylist)
	if err != nil || g == nil {
		return errors.Join(err, noGreylist(g))
	}
	names = greylistdFiles(names)
	if slices.Contains(names, "-") || len(names) != 2 {
		return cli.WrongUsage("greylistd has two files, states and triplets: name both, or their folder")
	}
	states, triplets := names[0], names[1]
	head, err := os.ReadFile(triplets)
	if err != nil {
		return err
	}
	if imports.IsGreylistdStates(head[:min(len(head), 256)]) {
		states, triplets = triplets, states
	}
	var all *imports.Greylistd
	err = im.open(states, stdin, func(f *importFile) (err error) {
		begins, whole := begin(f)
		if !imports.IsGreylistdStates(begins) {
			return errors.New("not greylistd's file states")
		}
		all, err = imports.ReadGreylistd(whole, f.bad)
		return err
	})
	if err != nil {
		return err
	}
	err = im.open(triplets, stdin, func(f *importFile) error {
		return all.Triplets(f, func(t imports.Triplet) error { return im.contact(f, g, t) }, f.bad)
	})
	if n := all.Nameless(); n > 0 && err == nil {
		im.remark("%s of greylistd's have no text in %s and cannot be imported", number(n, "entry", "entries"), triplets)
	}
	if all.Black > 0 {
		im.remark("%s of greylistd's blacklist were left out: exipold has none", number(all.Black, "entry", "entries"))
	}
	return err
}

func noGreylist(g *plan.Grey) error {
	if g == nil {
		return errors.New("this plan has no greylist that it could go to")
	}
	return nil
}

// postgrey reads dumps of its databases.
func (im *importer) postgrey(f *importFile) error {
	g, err := im.greylist(anyGreylist)
	if err != nil || g == nil {
		return errors.Join(err, noGreylist(g))
	}
	head, whole := begin(f)
	if len(head) > 0 && !bytes.HasPrefix(head, []byte("VERSION=")) {
		return errors.New("not what db5.3_dump prints; of a database itself: db5.3_dump -h DIRECTORY -p postgrey.db | exipold import postgrey -")
	}
	contact := func(t imports.Triplet) error {
		// Postgrey lets in who comes back after its own delay, which it does not write down.
		t.Passed = t.Last-t.First >= g.Delay.Seconds()
		return im.contact(f, g, t)
	}
	client := func(c imports.Client) error {
		if g.Trust == nil {
			im.remark("%s trusts nobody: clients that Postgrey would let in were left out", g.Ref())
			return nil
		}
		return im.vouch(f, g, c)
	}
	return imports.Postgrey(whole, contact, client, f.bad)
}

// contact imports a contact.
func (im *importer) contact(f *importFile, g *plan.Grey, t imports.Triplet) error {
	past := engine.Past{Client: t.Client, Sender: t.Sender, Recipient: t.Recipient, First: t.First * 1000, Last: t.Last * 1000, Passed: t.Passed}
	return im.add(f, g.Ref(), t.Line, func(st engine.State) ([]engine.Write, importOutcome, error) {
		end := past.First + g.Retry.Milliseconds()
		if past.Passed {
			end = past.Last + g.Remember.Milliseconds()
		}
		writes, err := im.engine.Recall(g.Ref(), past, im.now, st, im.live)
		return writes, cameOf(writes, end <= im.now.UnixMilli()), err
	})
}

// vouch imports a client that is trusted, or may be.
func (im *importer) vouch(f *importFile, g *plan.Grey, c imports.Client) error {
	return im.add(f, g.Ref(), c.Line, func(st engine.State) ([]engine.Write, importOutcome, error) {
		writes, err := im.engine.Vouch(g.Ref(), c.Client, c.Passes, c.Last*1000, im.now, st, im.live)
		return writes, cameOf(writes, c.Last != 0 && c.Last*1000+g.Trust.Remember.Milliseconds() <= im.now.UnixMilli()), err
	})
}

func cameOf(writes []engine.Write, tooOld bool) importOutcome {
	switch {
	case len(writes) > 0:
		return imported
	case tooOld:
		return old
	}
	return known
}

// greylistdFiles are the files of its folder.
func greylistdFiles(names []string) []string {
	var out []string
	for _, name := range names {
		if info, err := os.Stat(name); err == nil && info.IsDir() {
			out = append(out, filepath.Join(name, "states"), filepath.Join(name, "triplets"))
			continue
		}
		out = append(out, name)
	}
	return out
}
