package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"exipol/generator/plan"
	"exipol/helper/desk"
	"exipol/helper/engine"
)

// checkBlocked sees whether Exim can read the file of the blocks in force, by which it goes while exipold is away.
func (d *doctor) checkBlocked() {
	e, err := engine.New(d.plan)
	if err != nil || d.eximUser == nil || !e.KeepsBlocks() {
		return
	}
	file, want := d.plan.Blocked, toRead
	o, err := d.eximUser.obstacle(file, want)
	if errors.Is(err, fs.ErrNotExist) { // exipold has not come to it yet; the way to it has to be open
		file, want = filepath.Dir(file), toPass
		o, err = d.eximUser.obstacle(file, want)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist): // the store has its own findings
	case err != nil:
		d.say(warning, "blocked", err.Error(), asRoot(file))
	case o == nil:
		d.say(fine, "blocked", fmt.Sprintf("Exim (user %s) can read the blocks in force while exipold is away", d.eximUser.name), "")
	default:
		mend := "chmod a+x " + o.path // for others, as nothing in these directories can be read by that
		switch {
		case !o.info.IsDir() && d.helper.uid == 0:
			mend = fmt.Sprintf("chgrp %s %s; exipold gives it to the group of its socket", d.eximUser.group, o.path)
		case !o.info.IsDir():
			mend = fmt.Sprintf("usermod -a -G %s %s, then restart exipold: it gives the file to the group of its socket", d.eximUser.group, cmp.Or(d.helper.name, "exipold"))
		}
		d.say(broken, "blocked", fmt.Sprintf("Exim (user %s) cannot read %s, so that no block is in force while exipold is away: %s", d.eximUser.name, d.plan.Blocked, o), mend)
	}
}

// startDesk is how the desk's work comes to be done.
const startDesk = "systemctl enable --now exipold-desk.service (without systemd: as INSTALL.txt says)"

// checkDesk sees whether exipold desk runs where policies open cases, whether it can do its work, and what
// it could not tell anybody.
func (d *doctor) checkDesk(ctx context.Context) {
	if !desk.Needed(d.plan) {
		return
	}
	m, err := readMark(d.plan)
	switch level := map[bool]string{true: broken, false: remark}[opensCases(d.plan)]; {
	case errors.Is(err, fs.ErrPermission):
		d.say(warning, "desk", err.Error(), asRoot(markFile(d.plan)))
	case err != nil:
		d.say(warning, "desk", err.Error(), "restart exipold desk")
	case m == nil:
		d.say(level, "desk", "exipold desk has never run here: nobody is told of cases, and what is decided about held mail waits", startDesk)
	case m.runs:
		d.say(fine, "desk", fmt.Sprintf("exipold desk runs (user %s, gateway %s)", userName(uint32(m.User)), m.Gateway), "")
	case time.Since(m.Started) < byCron:
		d.say(fine, "desk", fmt.Sprintf("exipold desk ran last at %s (user %s, gateway %s)", m.Started.Format(time.RFC3339), userName(uint32(m.User)), m.Gateway), "")
	default:
		d.say(level, "desk", fmt.Sprintf("exipold desk does not run, since some time after %s: nobody is told of cases, and what is decided about held mail waits", m.Started.Format(time.RFC3339)), startDesk)
	}
	d.checkDeskRights(m)
	d.checkNotices(ctx)
}

// byCron is how long ago exipold desk --once may have run at most where cron does it.
const byCron = time.Hour

// opensCases says whether policies do more than observe when they find something for the desk.
func opensCases(p *plan.Plan) bool {
	return slices.ContainsFunc(p.Limits, func(l plan.Limit) bool {
		return l.Mode != plan.Observe && slices.ContainsFunc(l.Tiers, func(t plan.Tier) bool { return t.Desk() })
	})
}

// checkDeskRights sees whether whoever does the desk's work may read Exim's queue, and give Exim orders.
func (d *doctor) checkDeskRights(m *deskMark) {
	who, level := d.helper, warning // a guess: systemd may give it more groups than the system's lists do
	if m != nil {
		who, level = account{name: userName(uint32(m.User)), uid: uint32(m.User)}, broken
		for _, g := range m.Groups {
			who.gids = append(who.gids, uint32(g))
		}
	}
	if m != nil && m.NoMore && m.User != 0 {
		d.say(broken, "desk", "exipold desk runs with NoNewPrivileges: Exim cannot become root for it, so nothing is mailed, thawed or removed", "use the exipold-desk.service that came with this exipold (some settings of systemd's imply NoNewPrivileges: that unit names them)")
	}
	exim := d.eximUser
	if exim == nil || who.uid == 0 {
		return
	}
	restart := "then restart exipold-desk"
	if who.uid != exim.uid && !slices.Contains(who.gids, exim.gid) {
		d.say(level, "desk", fmt.Sprintf("user %s is not in Exim's group %s: exipold desk can neither see what is held, nor thaw or remove it", who.name, exim.group),
			fmt.Sprintf("usermod -a -G %s %s, %s", exim.group, who.name, restart))
		return
	}
	input := filepath.Join(d.plan.Spool, "input")
	switch o, err := who.obstacle(input, toRead|toPass); {
	case errors.Is(err, fs.ErrNotExist): // no mail yet; that it is another spool than Exim's is checkSettings' finding
	case err != nil:
		d.say(warning, "desk", err.Error(), asRoot(input))
	case o != nil:
		d.say(level, "desk", fmt.Sprintf("exipold desk (user %s) cannot read Exim's queue: %s", who.name, o), fmt.Sprintf("chmod g+rx %s; it belongs to Exim's group by rights", o.path))
	}
}

// Notices that nobody has taken for so long, and given up no longer ago than that, are worth a word.
const (
	noticeLate    = 15 * time.Minute
	noticeGivenUp = 7 * 24 * time.Hour
)

// checkNotices says which notices reached nobody.
func (d *doctor) checkNotices(ctx context.Context) {
	s, err := openStore(ctx, d.plan, storeOptions{wait: hostsSeen})
	if err != nil {
		return // checkStore has said it
	}
	defer s.Close()
	now := s.Now()
	told, err := noticesOf(ctx, s, now)
	if err != nil {
		return
	}
	if !told.oldest.IsZero() && now.Sub(told.oldest) > noticeLate {
		d.say(broken, "notices", fmt.Sprintf("%s, the oldest since %s, and nobody takes them", number(told.waiting, "notice waits", "notices wait"), told.oldest.UTC().Format(time.RFC3339)), startDesk)
	}
	var words, cases []string
	for _, n := range told.givenUp {
		if now.Sub(n.made) < noticeGivenUp {
			words = append(words, fmt.Sprintf("case %d to %s: %s", n.Case, readable(n.Receiver), readable(n.Error)))
			cases = append(cases, fmt.Sprint(n.Case))
		}
	}
	if len(words) > 0 {
		d.say(warning, "notices", fmt.Sprintf("%s given up, nobody was told: %s", number(len(words), "notice was", "notices were"), strings.Join(words, "; ")),
			"look at the cases (exipold case show "+strings.Join(slices.Compact(cases), ", ")+"), and mend the addresses in the policies' notice blocks")
	}
}
