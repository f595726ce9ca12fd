package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"exipol/generator"
	"exipol/generator/plan"
	"exipol/helper/engine"
	"exipol/helper/normalize"
	"exipol/helper/store"
	"exipol/helper/store/mysql"
	"exipol/helper/store/sqlite"
	"exipol/internal/dnstest"
	"exipol/policies"
)

// buildExipold builds the program that is measured.
func (b *bench) buildExipold() {
	if b.o.exipold != "" {
		var err error
		if b.o.exipold, err = filepath.Abs(b.o.exipold); err != nil {
			b.Fatalf("%v", err)
		}
		return
	}
	b.o.exipold = b.path("exipold")
	cmd := exec.Command("go", "build", "-trimpath", "-o", b.o.exipold, "exipol/cmd/exipold")
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("build exipold: %v\n%s", err, out)
	}
}

// gatewaySet is what a site has beside the ready-made policies.
const gatewaySet = `
exipol {
  format = 1
}
site {
  layout  = "debian"
  domains = ["+local_domains"]
}
helper {
  socket = %q
%s
}
%s`

// gateway is an exipold with policies.
type gateway struct {
	*process
	plan   *plan.Plan
	file   string        // of the plan
	size   int           // of that file, in bytes
	built  time.Duration // how long compiling took
	starts time.Duration // how long it was until it answered
}

// prepare compiles policies, with further arguments of the helper block, for a SQLite file of its
// own. exipold does not run yet.
func (b *bench) prepare(name, helper string, set map[string][]byte) *gateway {
	dir := b.folder(strings.NewReplacer(" ", "-", ",", "").Replace(name))
	return b.prepareIn(dir, helper, fmt.Sprintf("store \"sqlite\" {\n  path = %q\n}\n", filepath.Join(dir, "exipol.db")), set)
}

// prepareIn is prepare in a folder and with a store block.
func (b *bench) prepareIn(dir, helper, store string, set map[string][]byte) *gateway {
	set = maps.Clone(set)
	set["site.hcl"] = fmt.Appendf(nil, gatewaySet, filepath.Join(dir, "exipold.sock"), helper, store)
	begin := time.Now()
	built, err := generator.BuildFiles(set, nil, "bench")
	if err != nil {
		b.Fatalf("build the policies: %v", err)
	}
	if built.Plan == nil {
		b.Fatalf("the policies do not compile: %v", built.Diags)
	}
	g := &gateway{plan: built.Plan, file: filepath.Join(dir, "plan.json"), built: time.Since(begin)}
	for _, f := range built.Files {
		if f.Name == "plan.json" {
			g.size = len(f.Data)
			if err := os.WriteFile(g.file, f.Data, 0o600); err != nil {
				b.Fatalf("write the plan: %v", err)
			}
		}
	}
	return g
}

// serve starts it.
func (b *bench) serve(g *gateway) {
	begin := time.Now()
	g.process = b.start("exipold", g.plan.Socket, b.o.exipold, "serve", "--plan", g.file, "--log-level", "warn")
	if _, err := g.status(); err != nil { // it listens before it answers
		b.Fatalf("exipold's status: %v", err)
	}
	g.starts = time.Since(begin)
}

// startExipold is one with greylist-classic, to which the known keys are known.
func (b *bench) startExipold(name string) *gateway {
	classic, err := policies.Files.ReadFile("greylist-classic.hcl")
	if err != nil {
		b.Fatalf("read the policy: %v", err)
	}
	g := b.prepare(name, "", map[string][]byte{"greylist-classic.hcl": classic})
	b.remember(g.plan, knownRows(g.plan.Greylists[0].Ref()))
	b.serve(g)
	return g
}

// starter is the set that `exipol init` writes, without what a site has of its own: the
// greylist in it has the name of the second.
func (b *bench) starter() (set map[string][]byte, greylist string) {
	files, err := policies.Starter()
	if err != nil {
		b.Fatalf("%v", err)
	}
	set = map[string][]byte{"friends.hcl": []byte("list \"friends\" {\n  clients = []\n  senders = []\n}\n")}
	for _, f := range files {
		if f.Name != "exipol.hcl" {
			set[f.Name] = f.Text
		}
	}
	return set, "greylist.selective"
}

// nameServer answers for the internet of a bench with these records. The providers of
// a plan's pools get a network each from befriend.
func (b *bench) nameServer(records ...string) *dnstest.Server {
	s, err := dnstest.New("127.0.0.1:0")
	if err != nil {
		b.Fatalf("%v", err)
	}
	b.Cleanup(s.Close)
	if err := s.Add(records...); err != nil {
		b.Fatalf("%v", err)
	}
	return s
}

// befriend gives each provider of a plan's pools a record with a network that sends
// nothing here.
func (b *bench) befriend(s *dnstest.Server, p *plan.Plan) {
	n := 0
	for _, pool := range p.Pools {
		for _, domain := range pool.SPF {
			n++
			if err := s.Add(fmt.Sprintf(`%s TXT "v=spf1 ip4:254.0.%d.0/24 -all"`, domain, n)); err != nil {
				b.Fatalf("%v", err)
			}
		}
	}
}

// knownRows are the rows of the known keys.
func knownRows(greylist string) []engine.Write {
	var writes []engine.Write
	now := time.Now()
	for i := range int64(knownSet) {
		t := newTriplet(i, "known")
		writes = append(writes, knownRow(greylist, t.network, t.sender, t.recipient, now)...)
		writes = append(writes, clientRow(greylist, t.network, 1, now)...)
	}
	return writes
}

// knownRow is what the store has of a triplet that has passed: where a key says
// client.pool, of a client in no pool under its network.
func knownRow(greylist, network, sender, recipient string, now time.Time) []engine.Write {
	key := normalize.Key([]string{network, normalize.Address(sender), normalize.Address(recipient)})
	row := engine.SeenRow{First: now.Add(-time.Hour).UnixMilli(), Passed: now.UnixMilli(), Expires: now.Add(36 * 24 * time.Hour).UnixMilli()}
	return []engine.Write{engine.PutSeen{Policy: greylist, Key: key, Row: row}}
}

// clientRow is what it has of a client that has passed so many times, just now for the
// last time.
func clientRow(greylist, network string, passes int64, now time.Time) []engine.Write {
	row := engine.SeenRow{
		First: now.Add(-24 * time.Hour).UnixMilli(), Passes: passes, Counted: now.UnixMilli(),
		Expires: now.Add(36 * 24 * time.Hour).UnixMilli(),
	}
	return []engine.Write{engine.PutSeen{Policy: greylist + ".trusted", Key: normalize.Key([]string{network}), Row: row}}
}

// remember puts rows into a plan's store, as another process than exipold can.
func (b *bench) remember(p *plan.Plan, writes []engine.Write) {
	ctx := context.Background()
	store, err := openStore(ctx, p)
	if err != nil {
		b.Fatalf("store: %v", err)
	}
	if _, err := store.Migrate(ctx, p.Tables); err != nil {
		b.Fatalf("store: %v", err)
	}
	if err := store.Update(ctx, func(engine.State) ([]engine.Write, error) { return writes, nil }); err != nil {
		b.Fatalf("store: %v", err)
	}
	if err := store.Close(); err != nil {
		b.Fatalf("store: %v", err)
	}
}

// openStore opens a plan's store, and makes it where it is a file.
func openStore(ctx context.Context, p *plan.Plan) (store.Store, error) {
	if p.Store.Kind == plan.SQLite {
		return sqlite.Open(ctx, p.Store.Path, sqlite.Options{Create: true})
	}
	s, err := mysql.Open(ctx, mysql.Config{Store: p.Store, Gateway: "bench", Timeout: time.Minute})
	if err != nil {
		return nil, err
	}
	return s, s.Wait(ctx)
}
