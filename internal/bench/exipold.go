package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"exipol/generator"
	"exipol/generator/plan"
	"exipol/helper/engine"
	"exipol/helper/normalize"
	"exipol/helper/store/sqlite"
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

// gatewaySet is what a site has beside the ready-made policy.
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
}
store "sqlite" {
  path = %q
}
`

// gateway is an exipold with greylist-classic and a store of its own.
type gateway struct {
	*process
	plan *plan.Plan
}

// startExipold compiles the policy, makes the known keys known, and starts exipold.
func (b *bench) startExipold(name string) *gateway {
	dir := b.path(name)
	if err := os.Mkdir(dir, 0o750); err != nil {
		b.Fatalf("make exipold's folder: %v", err)
	}
	classic, err := policies.Files.ReadFile("greylist-classic.hcl")
	if err != nil {
		b.Fatalf("read the policy: %v", err)
	}
	socket := filepath.Join(dir, "exipold.sock")
	set := fmt.Sprintf(gatewaySet, socket, filepath.Join(dir, "exipol.db"))
	built, err := generator.BuildFiles(map[string][]byte{"site.hcl": []byte(set), "greylist-classic.hcl": classic}, nil, "bench")
	if err != nil {
		b.Fatalf("build the policy: %v", err)
	}
	if built.Plan == nil {
		b.Fatalf("the policy does not compile: %v", built.Diags)
	}
	g := &gateway{plan: built.Plan}
	file := filepath.Join(dir, "plan.json")
	for _, f := range built.Files {
		if f.Name == "plan.json" {
			if err := os.WriteFile(file, f.Data, 0o600); err != nil {
				b.Fatalf("write the plan: %v", err)
			}
		}
	}
	var writes []engine.Write
	now := time.Now()
	for i := range int64(knownSet) {
		t := newTriplet(i, "known")
		writes = append(writes, knownRow(t.network, t.sender, t.recipient, now)...)
		writes = append(writes, clientRow(t.network, 1, now)...)
	}
	b.remember(built.Plan, writes)
	g.process = b.start("exipold", socket, b.o.exipold, "serve", "--plan", file, "--log-level", "warn")
	return g
}

// knownRow is what the store has of a triplet that has passed.
func knownRow(network, sender, recipient string, now time.Time) []engine.Write {
	key := normalize.Key([]string{network, normalize.Address(sender), normalize.Address(recipient)})
	row := engine.SeenRow{First: now.Add(-time.Hour).UnixMilli(), Passed: now.UnixMilli(), Expires: now.Add(36 * 24 * time.Hour).UnixMilli()}
	return []engine.Write{engine.PutSeen{Policy: "greylist.classic", Key: key, Row: row}}
}

// clientRow is what it has of a client that has passed so many times, just now for the
// last time.
func clientRow(network string, passes int64, now time.Time) []engine.Write {
	row := engine.SeenRow{
		First: now.Add(-24 * time.Hour).UnixMilli(), Passes: passes, Counted: now.UnixMilli(),
		Expires: now.Add(36 * 24 * time.Hour).UnixMilli(),
	}
	return []engine.Write{engine.PutSeen{Policy: "greylist.classic.trusted", Key: normalize.Key([]string{network}), Row: row}}
}

// remember puts rows into a plan's store, as another process than exipold can.
func (b *bench) remember(p *plan.Plan, writes []engine.Write) {
	ctx := context.Background()
	store, err := sqlite.Open(ctx, p.Store.Path, sqlite.Options{Create: true})
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
