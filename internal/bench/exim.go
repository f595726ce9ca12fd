package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"exipol/helper/engine"
	"exipol/internal/endtoend"
	"exipol/internal/eximtest"
)

// Clients of the sessions, all of them with one host name: of one network the senders
// and recipients are known, another is trusted, of the last nobody knows anything but
// what DNS says, which is all good. Mail of that one is never deferred and never becomes
// known, so its facts are gathered for each message.
const (
	knownClient   = "127.0.1.1"
	trustedClient = "127.0.2.1"
	wellRunClient = "127.0.3.1"
)

// internet is what DNS says of them. No list lists them.
const internet = `
remote.test TXT "v=spf1 ip4:127.0.0.0/8 -all"
mail.remote.test A 127.0.1.1
mail.remote.test A 127.0.2.1
mail.remote.test A 127.0.3.1
127.0.1.1 PTR mail.remote.test
127.0.2.1 PTR mail.remote.test
127.0.3.1 PTR mail.remote.test
`

// siteACLs are the site's own RCPT ACLs that are measured.
var siteACLs = []struct{ name, rcpt string }{
	{"usual", "  accept hosts = +relay_from_hosts\n  require message = relay not permitted\n          domains = +local_domains : +relay_to_domains\n  require verify = recipient\n  accept\n"},
	{"bare", "  accept\n"},
}

// kinds are the sessions that are measured.
var kinds = []struct {
	name, client string
	recipients   int
	goal         float64 // 0: none
}{
	{"sessions/s, one recipient, known", knownClient, 1, 0.9},
	{"sessions/s, one recipient, trusted client", trustedClient, 1, 0.9},
	{"sessions/s, one recipient, unknown but well-run client", wellRunClient, 1, 0},
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
			bed.Site["rcpt"], bed.Edit = acl.rcpt, discardLast
		}
		none := eximtest.New(b, eximtest.Small)
		discard(none)
		none.Start()
		site := b.startSite(discard)
		daemons := []daemon{{"none", none.Port()}, {"starter", site.Port()}, {"none again", none.Port()}}
		for _, d := range daemons { // the first sessions of a daemon take longer
			if _, _, err := sessions(d.port, knownClient, 1, b.o.eximSlice); err != nil {
				b.Fatalf("Exim with policies %q: %v", d.name, err)
			}
		}
		for _, kind := range kinds {
			rate := map[string]series{}
			for round := range b.o.eximRounds {
				b.logf("Exim, %s ACL, %s, round %d of %d", acl.name, kind.name, round+1, b.o.eximRounds)
				for i := range daemons {
					d := daemons[(i+round)%len(daemons)]
					asked := site.asked(b)
					r, held, err := sessions(d.port, kind.client, kind.recipients, b.o.eximSlice)
					if err != nil {
						b.Fatalf("Exim with policies %q, %s: %v", d.name, kind.name, err)
					}
					if now := site.asked(b); d.name == "starter" && now-asked != held {
						b.Fatalf("%s: %d sessions, and exipold was asked %d times", kind.name, held, now-asked)
					}
					rate[d.name] = append(rate[d.name], r*float64(kind.recipients))
				}
			}
			without := make(series, b.o.eximRounds)
			for i := range without {
				without[i] = (rate["none"][i] + rate["none again"][i]) / 2
			}
			ratio := rate["starter"].over(without)
			goal, judged := "none", ""
			if kind.goal > 0 {
				goal, judged = fmt.Sprintf("%.1f or more", kind.goal), verdict(ratio, kind.goal, true)
			}
			rows = append(rows, []string{kind.name, acl.name, without.show(0), rate["starter"].show(0), rate["none again"].over(rate["none"]).show(2),
				ratio.show(2), goal, judged})
		}
	}
	table("Against the goals: Exim with the starter policies, and without any", []string{"what", "site's RCPT ACL", "without", "with", "without again / without", "with / without", "goal", ""}, rows)
}

// dataACL is where Exim's configuration names the ACL after the data.
var dataACL = regexp.MustCompile(`(?m)^acl_smtp_data = (\S+)$`)

// discardLast has Exim discard each message that it would accept, after all that is
// asked about it. The site's own ACL cannot: after its discard nobody else is asked.
func discardLast(conf string) string {
	conf = strings.Replace(conf, "begin acl\n", "begin acl\n\nacl_discard:\n  require acl = "+dataACL.FindStringSubmatch(conf)[1]+"\n  discard\n", 1)
	return dataACL.ReplaceAllLiteralString(conf, "acl_smtp_data = acl_discard")
}

// policed is an Exim with policies, and the exipold that it asks.
type policed struct {
	*endtoend.Site
	exipold *process
}

// asked is how often exipold was asked so far.
func (p *policed) asked(b *bench) int64 {
	status, err := p.exipold.status()
	if err != nil {
		b.Fatalf("exipold's status: %v", err)
	}
	return status.Questions
}

// startSite starts an Exim with the starter policies.
func (b *bench) startSite(configure func(*eximtest.Bed)) *policed {
	files, greylist := b.starter()
	var set []byte
	for _, name := range slices.Sorted(maps.Keys(files)) {
		set = append(append(set, files[name]...), '\n')
	}
	dns := b.nameServer(internet)
	s := endtoend.New(b, string(set), endtoend.Options{Layout: eximtest.Small, Configure: configure, Helper: fmt.Sprintf("dns = [%q]", dns.Address())})
	b.befriend(dns, s.Plan)
	if err := os.MkdirAll(filepath.Dir(s.Plan.Store.Path), 0o750); err != nil {
		b.Fatalf("make exipold's folder: %v", err)
	}
	now := time.Now()
	var writes []engine.Write
	writes = append(writes, clientRow(greylist, "127.0.1.0/24", 1, now)...)
	writes = append(writes, clientRow(greylist, "127.0.2.0/24", 10, now)...)
	for n := range smtpSenders {
		writes = append(writes, knownRow(greylist, "127.0.1.0/24", smtpSender(n), smtpRecipient(firstRecipient(n)), now)...)
	}
	b.remember(s.Plan, writes)
	file := s.WriteFile("plan.json", s.Files["plan.json"])
	p := b.start("exipold", s.Plan.Socket, b.o.exipold, "serve", "--plan", file, "--log-level", "warn", "--group", s.ID.Group)
	s.Start()
	return &policed{s, p}
}
