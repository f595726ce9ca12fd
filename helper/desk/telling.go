package desk

import (
	"fmt"
	"strings"
	"time"

	"exipol/generator/plan"
	"exipol/helper/engine"
	"exipol/helper/queue"
	"exipol/helper/store"
)

// telling is a case, and who is to be told of one of its tiers.
type telling struct {
	plan    *plan.Plan
	file    store.CaseFile
	notice  store.Notice
	gateway string // that tells
	now     time.Time
}

// mostLines is how many pieces of evidence a mail has, and mostLine how long each is at most.
const (
	mostLines = 20
	mostLine  = 400
	mostWho   = 80
)

// id names what is told: the same for every try, on every gateway.
func (t telling) id() string {
	return fmt.Sprintf("exipol.case%d.%s.%s.%d@%s", t.file.ID, atom(t.notice.Tier), atom(t.notice.Receiver), t.file.Opened/1000, hostOf(t.file.Gateway))
}

// atom is a text that can stand in a Message-ID.
func atom(s string) string {
	return strings.Map(func(r rune) rune {
		if (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && r != '_' && r != '-' && r != '.' {
			return '-'
		}
		return r
	}, s)
}

// hostOf is a gateway's name as that of a host.
func hostOf(gateway string) string {
	const most = 100
	s := atom(gateway)
	s = strings.Trim(strings.ReplaceAll(s[:min(len(s), most)], "_", "-"), "-.")
	if s == "" || strings.Contains(s, "..") {
		return "exipol.invalid"
	}
	return s
}

// tier is the tier that is told of, with its limit; ok is false where the plan has them no more.
func (t telling) tier() (l plan.Limit, tier plan.Tier, ok bool) {
	if l, ok = limitOf(t.plan, t.file.Policy); !ok {
		return l, tier, false
	}
	tier, ok = tierOf(l, t.notice.Tier)
	return l, tier, ok
}

func (t telling) who() string { return brief(Shown(t.file.Who), mostWho) }

// subject says it all in a line.
func (t telling) subject() string {
	_, tier, ok := t.tier()
	if ok && tier.Block != nil {
		return fmt.Sprintf("exipol case %d: %s is blocked (%s)", t.file.ID, t.who(), t.file.Policy)
	}
	return fmt.Sprintf("exipol case %d: %s (%s, tier %s)", t.file.ID, t.who(), t.file.Policy, t.notice.Tier)
}

// letter is the mail to the desk.
func (t telling) letter(to []string) letter {
	return t.sealed(to, t.subject(), t.text())
}

func (t telling) sealed(to []string, subject, text string) letter {
	l := letter{
		id: t.id(), date: t.now, name: "exipold on " + brief(ascii(t.gateway), mostWho), to: to, subject: subject, text: text,
		extra: [][2]string{{"X-Exipol-Case", fmt.Sprint(t.file.ID)}, {"X-Exipol-Policy", ascii(t.file.Policy + "/" + t.notice.Tier)}},
	}
	if queue.ValidAddress(t.plan.Admin) {
		l.from = t.plan.Admin
	}
	return l
}

// text is what the desk is told.
func (t telling) text() string {
	var b strings.Builder
	f := t.file
	limit, tier, ok := t.tier()
	say := func(format string, args ...any) { b.WriteString(wrapped("", format, args...)) }
	if ok && tier.Block != nil {
		say("%s is blocked since %s.", t.who(), moment(f.Opened))
	} else {
		say("%s is noticed since %s. Nothing is blocked by that.", t.who(), moment(f.Opened))
	}
	b.WriteString("\nWhat happened\n")
	if ok {
		b.WriteString(wrapped("  ", "%s counts %s; its tier %s is for more than %s.", limit.Ref(), countedWords(limit), tier.Name, rates(tier)))
	}
	for _, a := range f.Audit {
		b.WriteString(wrapped("  ", "%s, %s: %s by %s. %s", moment(a.At), Shown(a.Gateway), a.Did, Shown(a.Who), Shown(a.Why)))
	}
	b.WriteString("\nWhat is done\n")
	if ok && tier.Block != nil && f.State == store.CaseOpen {
		b.WriteString(wrapped("  ", "%s.", blockWords(tier.Block)))
	} else {
		b.WriteString("  Nothing but this notice.\n")
	}
	b.WriteString(wrapped("  ", "Held now: %s.", HeldWords(f.Held)))
	b.WriteString("\n" + evidence(f.Evidence))
	b.WriteString("\nWhat you can do (on any gateway, as root)\n")
	for _, c := range t.commands() {
		fmt.Fprintf(&b, "  %s\n    %s\n", c.what, c.line)
	}
	return b.String()
}

func rates(t plan.Tier) string {
	var all []string
	for _, r := range t.Over {
		all = append(all, r.String())
	}
	return strings.Join(all, " or ")
}

// evidence is the last of it, newest first.
func evidence(samples []store.Sample) string {
	if len(samples) == 0 {
		return "Evidence\n  None was kept.\n"
	}
	var b strings.Builder
	last := samples[max(0, len(samples)-mostLines):]
	fmt.Fprintf(&b, "Evidence (the last %d, newest first)\n", len(last))
	for i := range last {
		s := last[len(last)-1-i]
		line := brief(Shown(s.Line), mostLine)
		if s.Message != "" && !strings.Contains(line, s.Message) {
			line = Shown(s.Message) + " " + line
		}
		fmt.Fprintf(&b, "  %s, %s\n    %s\n", moment(s.At), Shown(s.Gateway), line)
	}
	return b.String()
}

// command is something that the desk can do.
type command struct{ name, what, line string }

func (t telling) commands() []command {
	id := t.file.ID
	all := []command{{"show", "See all of it:", fmt.Sprintf("exipold case show %d", id)}}
	if t.file.State != store.CaseOpen {
		return all
	}
	release := "Close the case; what was counted so far counts no more:"
	if t.file.Blocks {
		release = "Lift the block, and deliver what is held:"
	}
	all = append(all, command{"release", release, fmt.Sprintf("exipold case release %d --reason '...'", id)})
	if t.file.Blocks {
		all = append(all,
			command{"remove", "Delete what is held, without a bounce; the block stays:", fmt.Sprintf("exipold case remove %d --reason '...'", id)},
			command{"remove_release", "Both: delete what is held, and lift the block:", fmt.Sprintf("exipold case remove %d --release --reason '...'", id)})
	}
	return all
}

// ownerAddress is whereto mail for an owner goes: his login where that is an address, or his
// mailbox on this host; "" for a relay host, or a name that no mail can be written to.
func ownerAddress(owner string) string {
	kind, name, _ := strings.Cut(owner, ":")
	if kind != "auth" && kind != "user" || !queue.ValidAddress(name) && !queue.ValidLogin(name) {
		return ""
	}
	return name
}

// ownerLetter is the mail to whom the case is about. It says nothing of how the desk works.
func (t telling) ownerLetter(to string) letter {
	var b strings.Builder
	limit, tier, ok := t.tier()
	say := func(format string, args ...any) { b.WriteString(wrapped("", format, args...)) }
	_, name, _ := strings.Cut(t.file.Owner, ":")
	name = brief(Shown(name), mostWho)
	say("This is an automatic message of the mail server %s about mail that was sent with the login %s.", Shown(t.gateway), name)
	b.WriteString("\n")
	switch {
	case ok && t.file.Rate != "" && t.notice.Tier == t.file.Tier:
		say("The server counts %s. Of late: %s; over %s it takes notice.", countedWords(limit), store.Tally(t.file.Counted, t.file.Rate), t.file.Rate)
	case ok:
		say("The server counts %s. Of late there were too many.", countedWords(limit))
	default:
		say("Of late the server found too many mistakes in it.")
	}
	if ok && tier.Block != nil && t.file.State == store.CaseOpen {
		say("%s.", strings.NewReplacer("Its mail", "This mail", "somebody releases the case", "the administrator has looked at it").Replace(blockWords(tier.Block)))
	}
	b.WriteString("\n")
	say("If you did not send it, somebody else knows your password, or uses your machine: change the password, and tell the administrator." +
		" If you did, please take addresses that do not exist off your lists.")
	b.WriteString("\n" + evidence(t.file.Evidence) + "\n")
	if t.plan.Admin != "" {
		say("The administrator is %s. Please name case %d.", Shown(t.plan.Admin), t.file.ID)
	} else {
		say("When you write to the administrator, name case %d.", t.file.ID)
	}
	return t.sealed([]string{to}, fmt.Sprintf("Mail sent with the login %s (case %d)", name, t.file.ID), b.String())
}

// payload is what a webhook gets about a case.
type payload struct {
	FormatVersion string            `json:"format_version"`
	Kind          string            `json:"kind"` // case
	ID            string            `json:"id"`   // of the notice; the header Idempotency-Key has it, too
	Gateway       string            `json:"gateway"`
	Receiver      string            `json:"receiver"`
	Tier          string            `json:"tier"`
	Summary       string            `json:"summary"`
	Commands      map[string]string `json:"commands"`
	Case          File              `json:"case"`
}

func (t telling) payload() payload {
	p := payload{
		FormatVersion: FormatVersion, Kind: "case", ID: t.id(), Gateway: t.gateway, Receiver: t.notice.Receiver, Tier: t.notice.Tier,
		Summary: t.subject(), Commands: map[string]string{}, Case: NewFile(t.file),
	}
	for _, c := range t.commands() {
		p.Commands[c.name] = c.line
	}
	return p
}

// ByHand is what opens a case of a limit by hand, with the highest tier of it that blocks.
func ByHand(l plan.Limit, who Party, gateway, by, why string, now time.Time) (engine.OpenCase, error) {
	rank := 0
	for i, t := range l.Tiers {
		if t.Block != nil {
			rank = i + 1
		}
	}
	if rank == 0 {
		return engine.OpenCase{}, fmt.Errorf("%s: no tier of it blocks", l.Ref())
	}
	key, words, ok := who.named(l.Key)
	if !ok {
		return engine.OpenCase{}, fmt.Errorf("%s: its key is not known whole", l.Ref())
	}
	t := l.Tiers[rank-1]
	c := engine.OpenCase{
		Policy: l.Ref(), Key: key, Tier: t.Name, Rank: rank, Blocks: true, At: now.UnixMilli(), Who: words, Owner: who.keyOwner(l),
		Gateway: gateway, Notify: t.Notify, Freeze: t.Block.Queued == plan.Freeze, By: by, Why: why,
	}
	for _, w := range l.Windows {
		c.Window = max(c.Window, w.Milliseconds())
	}
	if t.Block.Until > 0 {
		c.Until = c.At + t.Block.Until.Milliseconds()
	}
	return c, nil
}

// Probation is until when lower rates hold for a case that is released now; 0 where the policy
// says nothing of that, or is not there any more.
func Probation(p *plan.Plan, c store.Case, now time.Time) int64 {
	l, _ := limitOf(p, c.Policy)
	var lasts plan.Duration
	for _, t := range l.Tiers {
		if t.Block == nil || t.Block.Probation == nil {
			continue
		}
		lasts = t.Block.Probation.Lasts
		if t.Name == c.Tier {
			break
		}
	}
	if !c.Blocks || lasts == 0 {
		return 0
	}
	return now.UnixMilli() + lasts.Milliseconds()
}
