package desk

import (
	"fmt"
	"strings"
	"time"

	"exipol/generator/plan"
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

// open says whether the case is, now that it is told of: a notice can be late.
func (t telling) open() bool {
	return t.file.State == store.CaseOpen && (t.file.Until == 0 || t.now.UnixMilli() < t.file.Until)
}

// inForce is the block that is in force now, of whatever tier; nil for none.
func (t telling) inForce() *plan.Block {
	l, known := limitOf(t.plan, t.file.Policy)
	if !known || !t.file.Blocks || !t.open() {
		return nil
	}
	var block *plan.Block
	for _, tier := range l.Tiers {
		if tier.Block != nil {
			block = tier.Block
		}
		if tier.Name == t.file.Tier {
			break
		}
	}
	return block
}

// subject says it all in a line.
func (t telling) subject() string {
	_, tier, ok := t.tier()
	if ok && tier.Block != nil {
		is := map[bool]string{true: "is", false: "was"}[t.open()]
		return fmt.Sprintf("exipol case %d: %s %s blocked (%s)", t.file.ID, t.who(), is, t.file.Policy)
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
	switch blocks := ok && tier.Block != nil; {
	case blocks && t.open():
		say("%s is blocked since %s.", t.who(), moment(t.notice.Made))
	case blocks:
		say("%s was blocked at %s. That is over.", t.who(), moment(t.notice.Made))
	case t.inForce() != nil:
		say("%s is noticed since %s. A higher tier blocks it by now.", t.who(), moment(t.notice.Made))
	default:
		say("%s is noticed since %s. Nothing is blocked by that.", t.who(), moment(t.notice.Made))
	}
	b.WriteString("\nWhat happened\n")
	if ok {
		b.WriteString(wrapped("  ", "%s counts %s; its tier %s is for more than %s.", limit.Ref(), countedWords(limit), tier.Name, rates(tier)))
	}
	for _, a := range f.Audit {
		b.WriteString(wrapped("  ", "%s, %s: %s by %s. %s", moment(a.At), Shown(a.Gateway), a.Did, Shown(a.Who), Shown(a.Why)))
	}
	b.WriteString("\nWhat is done\n")
	if block := t.inForce(); block != nil {
		b.WriteString(wrapped("  ", "%s.", blockWords(block)))
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
	if t.file.State != store.CaseOpen || !t.open() && len(t.file.Held) == 0 {
		return all
	}
	release := "Close the case; what was counted so far counts no more:"
	switch {
	case t.file.Blocks && t.open():
		release = "Lift the block, and deliver what is held:"
	case t.file.Blocks:
		release = "Deliver what is held:"
	}
	all = append(all, command{"release", release, fmt.Sprintf("exipold case release %d --reason '...'", id)})
	if t.file.Blocks && !t.open() {
		all = append(all, command{"remove", "Delete what is held, without a bounce:", fmt.Sprintf("exipold case remove %d --reason '...'", id)})
	} else if t.file.Blocks {
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
	limit, _, ok := t.tier()
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
	if block := t.inForce(); block != nil {
		say("%s.", strings.NewReplacer("Its mail", "This mail", "somebody releases the case", "the administrator has looked at it").Replace(blockWords(block)))
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
