package watch

import (
	"net/netip"
	"strings"
	"time"

	"exipol/generator/plan"
)

// wants are what a plan's limits count of a log.
type wants struct {
	traffic map[string]map[string]bool // by event: whose
	horizon map[string]time.Duration   // by event: what is older counts no more
	logins  bool                       // plan.Login is among them: asked for every message
	relays  []netip.Prefix
	domains map[string]bool // the site's own, as far as the plan names them
}

// Needed says whether a plan has a limit that counts what is read from a log.
func Needed(p *plan.Plan) bool { return len(wantsOf(p).traffic) > 0 }

// day is how long bounces are remembered for those who only ask how many there were.
const day = 24 * time.Hour

func wantsOf(p *plan.Plan) *wants {
	w := &wants{traffic: map[string]map[string]bool{}, horizon: map[string]time.Duration{}, domains: map[string]bool{}}
	for i := range p.Limits {
		l := &p.Limits[i]
		for _, e := range l.Events {
			if plan.Events[e.Event].Log && !(e.Event == plan.Bounce && p.Source == plan.FromEvent) {
				w.add(e.Event, l)
			}
		}
	}
	for _, r := range p.RelayHosts {
		if prefix, err := netip.ParsePrefix(r); err == nil {
			w.relays = append(w.relays, prefix.Masked())
		}
	}
	for _, d := range p.Domains {
		if !strings.ContainsAny(d, "+*!@^;/") {
			w.domains[strings.ToLower(d)] = true
		}
	}
	return w
}

func (w *wants) add(event string, l *plan.Limit) {
	if w.traffic[event] == nil {
		w.traffic[event] = map[string]bool{}
	}
	if l.Traffic == "" {
		for _, t := range []string{plan.Submission, plan.Relay, plan.Local} {
			w.traffic[event][t] = true
		}
	} else {
		w.traffic[event][l.Traffic] = true
	}
	if event == plan.AuthFailure && l.Traffic == plan.Inbound { // who failed to log in is a stranger, whatever his address
		w.traffic[event][plan.Relay] = true
	}
	w.logins = w.logins || event == plan.Login
	longest := w.horizon[event]
	if event == plan.Bounce {
		longest = max(longest, day)
	}
	for _, d := range l.Windows {
		longest = max(longest, time.Duration(d))
	}
	w.horizon[event] = longest
}

// event says whether anybody counts an event.
func (w *wants) event(name string) bool { return w.traffic[name] != nil }

// isRelay says whether a client is one of the site's relay hosts.
func (w *wants) isRelay(client netip.Addr) bool {
	for _, r := range w.relays {
		if r.Contains(client) {
			return true
		}
	}
	return false
}

// isOurs says whether the domain of an address is the site's by name.
func (w *wants) isOurs(address []byte) bool {
	i := strings.LastIndexByte(string(address), '@')
	return i >= 0 && w.domains[strings.ToLower(string(address[i+1:]))]
}
