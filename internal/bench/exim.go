package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"exipol/helper/engine"
	"exipol/internal/endtoend"
	"exipol/internal/eximtest"
	"exipol/policies"
)

// Clients of the sessions: of one network the senders and recipients are known, the
// other is trusted.
const (
	knownClient   = "127.0.1.1"
	trustedClient = "127.0.2.1"
)

// siteACLs are the site's own RCPT ACLs that are measured.
var siteACLs = []struct{ name, rcpt string }{
	{"usual", "  accept hosts = +relay_from_hosts\n  require message = relay not permitted\n          domains = +local_domains : +relay_to_domains\n  require verify = recipient\n  accept\n"},
	{"bare", "  accept\n"},
}

// kinds are the sessions that are measured.
var kinds = []struct {
	name, client string
	recipients   int
	goal         float64
}{
	{"sessions/s, one recipient, known", knownClient, 1, 0.9},
	{"sessions/s, one recipient, trusted client", trustedClient, 1, 0.9},
	{"recipients/s, 100 a session, trusted client", trustedClient, 100, 0.5},
}

// daemon is an Exim that is measured.
type daemon struct {
	name string
	port int
}

// exim measures a real Exim with the starter policies and without any.
func (b *bench) exim() {
	if eximtest.Binary() == "" {
		b.leaveOut("Exim: it is not installed (apt-get install exim4-daemon-heavy).")
		return
	}
	var rows [][]string
	for _, acl := range siteACLs {
		discard := func(bed *eximtest.Bed) {
			bed.Site["rcpt"], bed.Site["data"] = acl.rcpt, "  discard\n"
		}
		none := eximtest.New(b, eximtest.Small)
		discard(none)
		none.Start()
		site := b.startSite(discard)
		daemons := []daemon{{"none", none.Port()}, {"starter", site.Port()}, {"none again", none.Port()}}
		for _, kind := range kinds {
			rate := map[string]series{}
			for round := range b.o.eximRounds {
				b.logf("Exim, %s ACL, %s, round %d of %d", acl.name, kind.name, round+1, b.o.eximRounds)
				for i := range daemons {
					d := daemons[(i+round)%len(daemons)]
					r, err := sessions(d.port, kind.client, kind.recipients, b.o.eximSlice)
					if err != nil {
						b.Fatalf("Exim with policies %q, %s: %v", d.name, kind.name, err)
					}
					rate[d.name] = append(rate[d.name], r*float64(kind.recipients))
				}
			}
			without := make(series, b.o.eximRounds)
			for i := range without {
				without[i] = (rate["none"][i] + rate["none again"][i]) / 2
			}
			ratio := rate["starter"].over(without)
			rows = append(rows, []string{kind.name, acl.name, without.show(0), rate["starter"].show(0), rate["none again"].over(rate["none"]).show(2),
				ratio.show(2), fmt.Sprintf("%.1f or more", kind.goal), verdict(ratio, kind.goal, true)})
		}
	}
	table("Against the goals: Exim with the starter policies, and without any", []string{"what", "site's RCPT ACL", "without", "with", "without again / without", "with / without", "goal", ""}, rows)
}

// startSite is an Exim with the starter policies, and the exipold that it asks.
func (b *bench) startSite(configure func(*eximtest.Bed)) *endtoend.Site {
	files, err := policies.Starter()
	if err != nil {
		b.Fatalf("%v", err)
	}
	var set []byte
	for _, file := range files[1:] { // the site is made here
		set = append(append(set, file.Text...), '\n')
	}
	set = append(set, "list \"friends\" {\n  clients = []\n  senders = []\n}\n"...)
	s := endtoend.New(b, string(set), endtoend.Options{Layout: eximtest.Small, Configure: configure})
	if err := os.MkdirAll(filepath.Dir(s.Plan.Store.Path), 0o750); err != nil {
		b.Fatalf("make exipold's folder: %v", err)
	}
	now := time.Now()
	var writes []engine.Write
	writes = append(writes, clientRow("127.0.1.0/24", 1, now)...)
	writes = append(writes, clientRow("127.0.2.0/24", 10, now)...)
	for n := range smtpSenders {
		writes = append(writes, knownRow("127.0.1.0/24", smtpSender(n), smtpRecipient(firstRecipient(n)), now)...)
	}
	b.remember(s.Plan, writes)
	file := s.WriteFile("plan.json", s.Files["plan.json"])
	b.start("exipold", s.Plan.Socket, b.o.exipold, "serve", "--plan", file, "--log-level", "warn", "--group", s.ID.Group)
	s.Start()
	return s
}
