package watch

import (
	"bytes"
	"net/netip"
	"time"

	"exipol/generator/plan"
	"exipol/helper/engine"
	"exipol/helper/mainlog"
)

// keepArrival is how long a message is remembered that is not completed: Exim gives up after four days, by
// its default retry rules, and some sites wait for a week.
const keepArrival = 8 * day

// arrivalOf says whose a message is, by its line. The traffic is empty where nobody can tell.
func (w *wants) arrivalOf(e *mainlog.Entry) engine.Arrival {
	a := engine.Arrival{Helo: said(e.Host.Helo), Sender: said(e.Sender), Came: e.Time.UnixMilli()}
	if e.Damaged {
		return a // better nobody's than somebody else's
	}
	a.Traffic, a.Auth, a.Login = w.traffics(e)
	if a.Traffic == plan.Local && !bytes.HasPrefix(e.Protocol, []byte("local")) {
		// A trusted program, such as a virus scanner, gave it another protocol, and gives back what came from
		// anywhere.
		a.Traffic, a.Login = "", ""
	}
	if e.Host.IP.IsValid() {
		a.Client = e.Host.IP.Unmap().String()
	}
	return a
}

// owned says whether somebody answers for the message. Nobody does for a bounce, nor for what
// strangers sent.
func owned(a engine.Arrival, e *mainlog.Entry) bool {
	return e.HasSender && len(e.Sender) > 0 && a.Traffic != plan.Inbound && engine.Owner(a.Auth, a.Login, a.Client) != "" && a.Traffic != ""
}

// traffics says what traffic a line is about, and who it names.
func (w *wants) traffics(e *mainlog.Entry) (traffic, auth, login string) {
	client := e.Host.IP.Unmap()
	switch {
	case len(e.Auth.Driver) > 0 && e.Kind != mainlog.AuthFailed:
		return plan.Submission, said(e.Auth.ID), ""
	case client.IsValid() && w.isRelay(client):
		return plan.Relay, "", ""
	case client.IsValid():
		return plan.Inbound, "", ""
	case len(e.Ident) > 0 && !hasHost(e.Rest):
		return plan.Local, "", said(e.Ident)
	}
	return "", "", ""
}

// said is what somebody called something, as Exim's questions have it.
func said(logged []byte) string { return string(mainlog.Unprint(logged)) }

// hasHost says whether a rejection is about a client, though it may not be told which one: then U= is what
// that one says.
func hasHost(rest []byte) bool {
	return bytes.HasPrefix(rest, []byte("H=")) || bytes.HasPrefix(rest, []byte(" DSH="))
}

// happening is something that a line tells.
type happening struct {
	engine.Happening
	lookup bool // its message is not in memory
}

// of gives a happening to whom the message is of.
func (h *happening) of(a engine.Arrival) {
	h.Traffic, h.Auth, h.User, h.Helo, h.Sender = a.Traffic, a.Auth, a.Login, a.Helo, a.Sender
	if a.Client != "" {
		h.Client, _ = netip.ParseAddr(a.Client)
	}
}

// happen begins a happening with what every line says.
func (f *follower) happen(event string, e *mainlog.Entry, at time.Time, line []byte) happening {
	return happening{Happening: engine.Happening{
		Event: event, At: at, Gateway: f.o.Gateway, Message: string(e.ID),
		Client: e.Host.IP.Unmap(), Helo: said(e.Host.Helo), Sender: said(e.Sender),
		Line: string(line[:min(len(line), engine.SampleLine)]),
	}}
}

// add has a happening counted, if somebody wants it.
func (f *follower) add(h happening) {
	if h.lookup || f.wants.traffic[h.Event][h.Traffic] {
		f.p.happenings = append(f.p.happenings, h)
	}
}

// recent says whether something that was then can still count.
func (f *follower) recent(event string, at time.Time) bool {
	return f.now.Sub(at) <= f.wants.horizon[event]
}

// failed reads a line about an address that failed for good.
func (f *follower) failed(e *mainlog.Entry, line []byte) {
	if !f.wants.event(plan.Bounce) || len(e.ID) == 0 {
		return
	}
	arrival, state, known := f.flights.line(e.ID)
	if known && state == nobody {
		return
	}
	at := f.when(e)
	if !f.recent(plan.Bounce, at) {
		return
	}
	h := f.happen(plan.Bounce, e, at, line)
	h.Client, h.Helo = netip.Addr{}, ""      // that is the remote side's
	if mainlog.Same(e.Address, e.Original) { // which has its quotes
		e.Address, e.Original = e.Original, nil
	}
	h.Recipient = said(e.Address)
	h.Item = BounceItem(h.Recipient, said(e.Original))
	h.Class = e.Class.String()
	if e.Class == mainlog.NoSuchDomain && e.Stage == mainlog.NoStage && f.wants.isOurs(e.Address) {
		h.Class = mainlog.NoSuchUser.String() // no router of ours wanted it
	}
	if !known {
		h.lookup = true
		f.add(h)
		return
	}
	came, _ := mainlog.Parse(arrival, f.lines)
	a := f.wants.arrivalOf(&came)
	if !owned(a, &came) {
		f.flights.nobodys(e.ID)
		return
	}
	h.of(a)
	f.add(h)
}

// arrived reads the arrival of a message, where it is a login as well.
func (f *follower) arrived(line []byte) {
	if !f.wants.logins || !bytes.Contains(line, []byte(" A=")) {
		return
	}
	e, at, ok := f.parse(line)
	if !ok || len(e.Auth.ID) == 0 || len(e.ID) == 0 || !f.recent(plan.Login, at) {
		return
	}
	h := f.happen(plan.Login, &e, at, line)
	h.Item = "login"
	f.login(h, &e)
}

func (f *follower) login(h happening, e *mainlog.Entry) {
	h.Traffic, h.Auth, h.User = f.wants.traffics(e)
	h.Login = h.Auth
	f.add(h)
}

// rejected reads a command that was refused.
func (f *follower) rejected(line []byte) {
	recipients, logins := f.wants.event(plan.RejectedRecipient), f.wants.logins
	if !recipients && !logins {
		return
	}
	e, at, ok := f.parse(line)
	if !ok || e.Kind != mainlog.Rejected || e.Temporary {
		return
	}
	traffic, auth, user := f.wants.traffics(&e)
	rejected := recipients && string(e.Command) == "RCPT" && f.wants.traffic[plan.RejectedRecipient][traffic] && f.recent(plan.RejectedRecipient, at)
	login := logins && auth != "" && f.recent(plan.Login, at)
	if !rejected && !login {
		return
	}
	item := f.numbers.item(at, line)
	if rejected {
		h := f.happen(plan.RejectedRecipient, &e, at, line)
		h.Traffic, h.Auth, h.User = traffic, auth, user
		h.Recipient, h.Item = said(e.Address), item
		f.add(h)
	}
	if login {
		h := f.happen(plan.Login, &e, at, line)
		h.Item = "login." + item // the line counts as both
		f.login(h, &e)
	}
}

// authFailed reads a login that was refused.
func (f *follower) authFailed(line []byte) {
	if !f.wants.event(plan.AuthFailure) {
		return
	}
	e, at, ok := f.parse(line)
	if !ok || e.Kind != mainlog.AuthFailed || e.Temporary || !f.recent(plan.AuthFailure, at) {
		return
	}
	h := f.happen(plan.AuthFailure, &e, at, line)
	h.Traffic, _, h.User = f.wants.traffics(&e)
	if !f.wants.traffic[plan.AuthFailure][h.Traffic] {
		return
	}
	h.Login = said(e.Auth.ID)
	h.Item = f.numbers.item(at, line)
	f.add(h)
}
