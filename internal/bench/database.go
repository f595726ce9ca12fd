package main

import (
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"exipol/internal/mysqltest"
	"exipol/policies"
)

// The tables of a store that has been at work for a while: rows of each.
const manyRows = 1_000_000

// database measures exipold on a MariaDB on loopback, as durable as it comes (each commit on the
// disk before its answer): lookups as in socket; then, with a million rows of a greylist and a
// million bounces, before, while and after half of them are cleaned up.
func (b *bench) database() {
	server := mysqltest.Start(b, mysqltest.WithArgs("--innodb-buffer-pool-size=1G", "--innodb-log-file-size=512M"))
	shared := server.Database()
	classic, err := policies.Files.ReadFile("greylist-classic.hcl")
	if err != nil {
		b.Fatalf("read the policy: %v", err)
	}
	slow, err := policies.Files.ReadFile("bounce-slow.hcl")
	if err != nil {
		b.Fatalf("read the policy: %v", err)
	}
	block := fmt.Sprintf("store \"mysql\" {\n  hosts = [%q]\n  database = %q\n  user = %q\n  password_file = %q\n}\n", server.Addr(), shared.Database, shared.User, shared.PasswordFile)
	g := b.prepareIn(b.folder("on-a-database"), "", block, map[string][]byte{"greylist-classic.hcl": classic, "bounce-slow.hcl": slow})
	b.remember(g.plan, knownRows(g.plan.Greylists[0].Ref()))
	g.process = b.start("exipold", g.plan.Socket, b.o.exipold, "serve", "--plan", g.file, "--log-level", "warn", "--no-watch", "--gateway", "bench")
	loads := exipoldDialect(g.plan.ID).loads()
	got := newCells()
	measure := func(state string, clients int, rate float64, l load) sample {
		s, err := ask(g.process, l.from, clients, b.o.slice, rate)
		if err != nil {
			b.Fatalf("%s, %s: %v", l.name, state, err)
		}
		got.add(cell{state, l.name, clients}, s)
		return s
	}
	var rows [][]string
	for range b.o.rounds {
		for _, l := range loads {
			for _, clients := range clientCounts {
				measure("MariaDB", clients, 0, l)
			}
			rate := got.rate[cell{"MariaDB", l.name, 8}]
			measure("MariaDB, half load", halfClients, rate[len(rate)-1]/2, l)
		}
	}
	for _, l := range loads {
		for _, clients := range clientCounts {
			rows = append(rows, got.row(cell{"MariaDB", l.name, clients}))
		}
		rows = append(rows, got.row(cell{"MariaDB, half load", l.name, halfClients}))
	}
	table("On MariaDB: a new connection for each question", []string{"store", "keys", "clients", "answers/s", "p50 ms", "p99 ms", "p99.9 ms", "server CPU us/answer"}, rows)

	b.logf("database: %d rows of a greylist, as many bounces", manyRows)
	b.fillDatabase(server, shared.Database)
	mixed := loads[len(loads)-1]
	rate := got.rate[cell{"MariaDB", mixed.name, 8}].median() / 4
	for range b.o.rounds {
		measure("before", halfClients, rate, mixed)
	}
	cleaning := exec.Command(b.o.exipold, "cleanup", "--plan", g.file)
	begun := time.Now()
	var said strings.Builder
	cleaning.Stdout, cleaning.Stderr = &said, &said
	if err := cleaning.Start(); err != nil {
		b.Fatalf("exipold cleanup: %v", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cleaning.Wait() }()
	for cleans := true; cleans; {
		measure("while it is cleaned up", halfClients, rate, mixed)
		select {
		case err := <-ended:
			if err != nil {
				b.Fatalf("exipold cleanup: %v\n%s", err, said.String())
			}
			cleans = false
		default:
		}
	}
	took := time.Since(begun)
	for range b.o.rounds {
		measure("after", halfClients, rate, mixed)
	}
	rows = nil
	for _, state := range []string{"before", "while it is cleaned up", "after"} {
		rows = append(rows, got.row(cell{state, mixed.name, halfClients}))
	}
	table("Two million rows, half of which have ended", []string{"when", "keys", "clients", "answers/s", "p50 ms", "p99 ms", "p99.9 ms", "server CPU us/answer"}, rows)
	fmt.Printf("\nThe clean-up took %s: %s. %d answers a second were asked for.\n", took.Round(time.Second/10), strings.TrimSpace(said.String()), int(rate))
	b.tellSizes(server, shared.Database)
	g.stop()
}

// fillDatabase writes the rows of a store that has been at work: half of them have ended.
func (b *bench) fillDatabase(server *mysqltest.Server, name string) {
	const step = 2000
	now := time.Now().UnixMilli()
	for from := 0; from < manyRows; from += step {
		var seen, events []string
		for i := from; i < from+step; i++ {
			n, end := strconv.Itoa(i), now+int64(i%2)*36*24*3600*1000-1000 // every other row has ended
			hash := fmt.Sprintf("%08x", uint32(i)*2654435761)              // keys come in no order
			seen = append(seen, "('greylist.classic','"+hash+"|sender"+n+"@sender.example|user"+n+"@local.test',"+fmt.Sprint(now-1000)+",0,0,0,"+fmt.Sprint(end)+",'first_contact','192.0.2.1 mail.sender.example')")
			events = append(events, "('bench','1x"+hash+"-000000001aB-"+hash[:4]+"','item"+n+"','bounce','auth:user"+strconv.Itoa(i%50000)+"@example.org',"+fmt.Sprint(now-1000)+","+fmt.Sprint(end)+")")
		}
		for _, query := range []string{
			"INSERT INTO `" + name + "`.seen (policy, key_, first_at, passed_at, passes, counted_at, expires_at, why, who) VALUES " + strings.Join(seen, ","),
			"INSERT INTO `" + name + "`.log_event (gateway, message, item, kind, owner, seen_at, expires_at) VALUES " + strings.Join(events, ","),
		} {
			if _, err := server.DB().ExecContext(context.Background(), query); err != nil {
				b.Fatalf("fill the database: %v", err)
			}
		}
	}
}

// tellSizes says how large a row is on disk, with its indexes.
func (b *bench) tellSizes(server *mysqltest.Server, name string) {
	if _, err := server.DB().Exec("ANALYZE TABLE `" + name + "`.seen, `" + name + "`.log_event"); err != nil {
		b.Fatalf("analyze: %v", err)
	}
	found, err := server.DB().Query("SELECT table_name, table_rows, data_length + index_length FROM information_schema.tables WHERE table_schema = ? AND table_rows > 100000", name)
	if err != nil {
		b.Fatalf("sizes: %v", err)
	}
	defer found.Close()
	for found.Next() {
		var table string
		var rows, bytes int64
		if err := found.Scan(&table, &rows, &bytes); err != nil {
			b.Fatalf("sizes: %v", err)
		}
		fmt.Printf("%s: some %d rows in %d MiB.\n", table, rows, bytes>>20)
	}
	if err := found.Err(); err != nil {
		b.Fatalf("sizes: %v", err)
	}
}
