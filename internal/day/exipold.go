package day

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"exipol/generator"
	"exipol/generator/plan"
	"exipol/generator/wire"
	"exipol/helper"
	"exipol/helper/dns"
	"exipol/helper/pools"
	"exipol/helper/store/sqlite"
	"exipol/internal/dnstest"
	"exipol/policies"
)

// Exipold is exipold itself, without its socket: it is asked what the generated text
// would ask by its plan, finds its facts in the day's DNS, and has the time of the day.
type Exipold struct {
	name   string
	plan   *plan.Plan
	helper *helper.Helper
	store  *sqlite.Store
	dns    *dnstest.Server
	now    atomic.Int64 // Unix, in nanoseconds
	asked  int64
}

// siteSet is what a site has beside the ready-made policies. Its timeout is a long one:
// on a busy machine the tables must not tell of the machine.
const siteSet = `
exipol {
  format = 1
}
site {
  layout  = "debian"
  domains = ["+local_domains"]
}
helper {
  socket  = %q
  timeout = "20s"
  dns     = [%q]
}
store "sqlite" {
  path = %q
}
list "friends" {
  clients = []
}
`

// Classic is the ready-made policy that greylists everybody.
func Classic() (map[string][]byte, error) {
	text, err := policies.Files.ReadFile("greylist-classic.hcl")
	if err != nil {
		return nil, fmt.Errorf("greylist-classic: %w", err)
	}
	return map[string][]byte{"greylist-classic.hcl": text}, nil
}

// Selective is the ready-made set that greylists what looks bad, as `exipol init`
// writes it.
func Selective() (map[string][]byte, error) {
	files, err := policies.Starter()
	if err != nil {
		return nil, err
	}
	set := map[string][]byte{}
	for _, f := range files {
		if f.Name != "exipol.hcl" { // the site's own, which is siteSet here
			set[f.Name] = f.Text
		}
	}
	return set, nil
}

// StartExipold makes one with these policies and a store in dir, until Close.
func StartExipold(ctx context.Context, name, dir string, d *Day, set map[string][]byte) (_ *Exipold, err error) {
	e := &Exipold{name: name}
	defer func() {
		if err != nil {
			e.Close()
			err = fmt.Errorf("%s: %w", name, err)
		}
	}()
	if e.dns, err = dnstest.New("127.0.0.1:0"); err != nil {
		return nil, err
	}
	if err := e.dns.Add(d.Records...); err != nil {
		return nil, err
	}
	if err := e.compile(dir, set); err != nil {
		return nil, err
	}
	if err := e.idlePools(d); err != nil {
		return nil, err
	}
	e.now.Store(d.Start.UnixNano())
	if e.store, err = sqlite.Open(ctx, e.plan.Store.Path, sqlite.Options{Create: true}); err != nil {
		return nil, err
	}
	if _, err := e.store.Migrate(ctx, e.plan.Tables); err != nil {
		return nil, err
	}
	networks := filepath.Join(dir, "pools.json")
	if err := e.resolve(ctx, networks); err != nil {
		return nil, err
	}
	o := helper.Options{Store: e.store, Pools: networks, Log: slog.New(slog.DiscardHandler), Clock: e.clock}
	o.Outside = func(servers []string) helper.Outside {
		return helper.NewOutside(servers, o.Log, o.Clock)
	}
	e.helper, err = helper.New(ctx, e.plan, o)
	return e, err
}

func (e *Exipold) clock() time.Time { return time.Unix(0, e.now.Load()).UTC() }

func (e *Exipold) compile(dir string, set map[string][]byte) error {
	files := map[string][]byte{"site.hcl": fmt.Appendf(nil, siteSet, filepath.Join(dir, "exipold.sock"), e.dns.Address(), filepath.Join(dir, "exipol.db"))}
	for name, text := range set {
		files[name] = text
	}
	built, err := generator.BuildFiles(files, nil, "day")
	if err != nil {
		return err
	}
	if built.Plan == nil {
		return fmt.Errorf("the policies do not compile: %v", built.Diags)
	}
	e.plan = built.Plan
	return nil
}

// resolve finds out the pools' networks and leaves them where exipold remembers them.
func (e *Exipold) resolve(ctx context.Context, file string) error {
	r := dns.New(dns.Options{Servers: e.plan.DNS, Clock: e.clock})
	var all []pools.Networks
	for _, p := range e.plan.Pools {
		networks, _, err := pools.Resolve(ctx, r, p)
		if err != nil {
			return err
		}
		all = append(all, pools.Networks{Name: p.Name, Networks: networks, Resolved: e.clock()})
	}
	if err := pools.Write(file, all); err != nil {
		return fmt.Errorf("write the pools: %w", err)
	}
	return nil
}

// idlePools gives those providers of the plan's pools a record and a network that send
// nothing in this day.
func (e *Exipold) idlePools(d *Day) error {
	idle := 0
	for _, p := range e.plan.Pools {
		for _, domain := range p.SPF {
			known := func(record string) bool { return strings.HasPrefix(record, domain+" TXT ") }
			if slices.ContainsFunc(d.Records, known) {
				continue
			}
			idle++
			if err := e.dns.Add(fmt.Sprintf(`%s TXT "v=spf1 ip4:254.0.%d.0/24 -all"`, domain, idle)); err != nil {
				return err
			}
		}
	}
	return nil
}

// Close closes the store and the name server.
func (e *Exipold) Close() {
	if e.store != nil {
		_ = e.store.Close()
	}
	if e.dns != nil {
		e.dns.Close()
	}
}

// Name is for the tables.
func (e *Exipold) Name() string { return e.name }

// Try asks at each stage what the plan says is to be asked there, as the generated
// text does, until one defers.
func (e *Exipold) Try(now time.Time, a Attempt) (deferred bool, err error) {
	q := wire.Question{
		Traffic: plan.Inbound, Client: a.Client, Helo: a.Helo, Sender: a.Sender, Recipient: a.Recipient,
		Host: a.Host,
	}
	if q.Host == "" {
		q.Host = wire.HostNone // Exim has looked: host_lookup = * is Debian's setting
	}
	for _, s := range e.plan.Stages {
		switch s.Name {
		case plan.Predata, plan.Data:
			if a.Callout {
				return false, nil
			}
		}
		if s.Name == plan.Data {
			q.From, q.Dkim = a.From, a.Dkim
		}
		q.Stage = s.Name
		if deferred, err = e.ask(now, q, s.After); deferred || err != nil {
			return deferred, err
		}
	}
	return false, nil
}

// Sent is what a user's message teaches, at data.
func (e *Exipold) Sent(now time.Time, from, to string) error {
	q := wire.Question{Traffic: plan.Submission, Sender: from, Recipient: to, Auth: from, Client: netip.AddrFrom4([4]byte{198, 51, 100, 7})}
	for _, s := range e.plan.Stages {
		q.Stage = s.Name
		if deferred, err := e.ask(now, q, s.After); deferred || err != nil {
			return errors.Join(err, fmt.Errorf("a user's message at %s: deferred %v", s.Name, deferred))
		}
	}
	return nil
}

// ask puts the one question of a stage's second half.
func (e *Exipold) ask(now time.Time, q wire.Question, asks []plan.Ask) (deferred bool, err error) {
	for _, a := range asks {
		// Null senders are asked about at predata; at data only where there was none (BDAT).
		skipped := a.Event == plan.NullSender && (q.Sender != "" || q.Stage == plan.Data)
		if a.Traffic == q.Traffic && !skipped && happens(a.Event) && len(a.Policies) > 0 && !slices.Contains(q.Events, a.Event) {
			q.Events = append(q.Events, a.Event)
		}
	}
	if len(q.Events) == 0 {
		return false, nil
	}
	e.now.Store(now.UnixNano())
	e.asked++
	q.Plan, q.Half, q.Nonce = e.plan.ID, plan.After, fmt.Sprintf("1.%d", e.asked)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	text := string(e.helper.Answer(ctx, []byte(q.String())))
	answer, err := wire.ParseAnswer(text)
	if err != nil {
		return false, err
	}
	switch answer.Verdict {
	case plan.Accept:
		return false, nil
	case plan.Defer:
		return true, nil
	default:
		return false, fmt.Errorf("asked %q, and the answer is %q", strings.TrimSpace(q.String()), text)
	}
}

// happens leaves out what no message of the day does.
func happens(event string) bool {
	return slices.Contains([]string{plan.Recipient, plan.NullSender, plan.WholeMessage, plan.Message}, event)
}
