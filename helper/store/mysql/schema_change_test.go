package mysql

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"exipol/helper/engine"
	"exipol/helper/store"
	"exipol/helper/store/storetest"
	"exipol/internal/mysqltest"
)

// An exipold of an earlier version goes on while the store is expanded, and with it afterwards.
func TestMigrateUnderWriters(t *testing.T) {
	server := mysqltest.Shared(t)
	c := Config{Store: database(t, server), Gateway: "gw"}
	old, s := open(t, c), open(t, c)
	db, _ := s.hosts.Use(t.Context())
	stop := make(chan struct{})
	var kept atomic.Int64
	var wg sync.WaitGroup
	for w := range 3 {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				_, err := db.Long().ExecContext(t.Context(), "INSERT INTO seen (policy, key_, first_at, passed_at, passes, counted_at, expires_at, why, who) VALUES ('p', ?, 1, 2, 3, 4, 5, '', '')",
					fmt.Sprintf("%d %d", w, i))
				if err != nil {
					t.Error(err)
					return
				}
				kept.Add(1)
				storetest.Do(t, old, storetest.Add("k", 1, 1))
			}
		})
	}
	for kept.Load() < 50 {
		time.Sleep(time.Millisecond)
	}
	ran, err := s.Migrate(t.Context(), wider())
	if err != nil || len(ran) != wide {
		t.Errorf("ran %q, %v", ran, err)
	}
	for _, statement := range ran {
		if !strings.Contains(s.Health().Hosts[0].Version, "MariaDB") { // MySQL copies the table for a column of text
			break
		}
		if !strings.Contains(statement, "ALGORITHM=INSTANT") && !strings.Contains(statement, "ALGORITHM=INPLACE, LOCK=NONE") {
			t.Errorf("it stops writers: %s", statement)
		}
	}
	for before := kept.Load(); kept.Load() < before+50 && !t.Failed(); {
		time.Sleep(time.Millisecond)
	}
	close(stop)
	wg.Wait()
	var rows int64
	if err := db.DB().QueryRowContext(t.Context(), "SELECT count(*) FROM seen WHERE extra = 0 AND note = '' AND bits = ''").Scan(&rows); err != nil || rows != kept.Load() {
		t.Errorf("%d rows, want %d, %v", rows, kept.Load(), err)
	}
	if n := storetest.Count(t, s, "k", 0); n != kept.Load() {
		t.Errorf("counted %d, want %d", n, kept.Load())
	}
}

// A server that cannot do a change in the gentlest way does it in another.
func TestMigrateNotInstant(t *testing.T) {
	server := mysqltest.Shared(t)
	s := open(t, Config{Store: database(t, server), Gateway: "gw"})
	server.Exec("ALTER TABLE " + s.config.Store.Database + ".seen ADD FULLTEXT INDEX theirs (why)") // what no table with one of can
	ran, err := s.Migrate(t.Context(), wider())
	if err != nil || len(ran) != wide || strings.Contains(ran[0], "INSTANT") {
		t.Errorf("ran %q, %v", ran, err)
	}
	whole(t, s, wider())
}

// Who died while he changed the tables has the lease until it ends, and then another goes on.
func TestMigrateAfterDeath(t *testing.T) {
	s := open(t, Config{Store: database(t, mysqltest.Shared(t)), Gateway: "gw"})
	const lasts = 2 * time.Second
	if held, err := s.Lease(t.Context(), store.MigrateLease, "dead", lasts); !held || err != nil {
		t.Fatal(held, err)
	}
	end := s.Now().Add(lasts)
	short, cancel := context.WithTimeout(t.Context(), lasts/4)
	defer cancel()
	if ran, err := s.Migrate(short, wider()); len(ran) != 0 || !errors.Is(err, store.ErrLocked) {
		t.Errorf("another changes it: ran %q, %v", ran, err)
	}
	ran, err := s.Migrate(t.Context(), wider())
	if err != nil || len(ran) != wide {
		t.Errorf("ran %q, %v", ran, err)
	}
	if now := s.Now(); now.Before(end.Add(-100 * time.Millisecond)) {
		t.Errorf("it went on %s before the lease ended", end.Sub(now))
	}
	if held, err := s.Lease(t.Context(), store.MigrateLease, "next", lasts); !held || err != nil {
		t.Errorf("the lease was not given back: %v", err)
	}
}

// A transaction of somebody's that has used a table keeps it from being changed. The change
// does not keep everybody else from the table.
func TestMigrateBehindTransaction(t *testing.T) {
	server := mysqltest.Shared(t)
	var said buffer
	s := open(t, Config{Store: database(t, server), Gateway: "gw", Log: slog.New(slog.NewTextHandler(&said, nil))})
	tx, err := server.DB().BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	var n int
	if err := tx.QueryRowContext(t.Context(), "SELECT count(*) FROM "+s.config.Store.Database+".seen").Scan(&n); err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if ran, err := s.Migrate(short, wider()); len(ran) != 0 || !errors.Is(err, store.ErrLocked) || !strings.Contains(err.Error(), "others use the table seen") {
		t.Errorf("ran %q, %v", ran, err)
	}
	type result struct {
		ran []string
		err error
	}
	done := make(chan result, 1)
	go func() {
		ran, err := s.Migrate(t.Context(), wider())
		done <- result{ran, err}
	}()
	before, deadline := said.count("waits for others"), time.Now().Add(time.Minute)
	for said.count("waits for others") < before+2 {
		if time.Now().After(deadline) {
			t.Fatalf("it does not try again:\n%s", said.String())
		}
		// Within the time of a lookup, which is longer than a change waits.
		err := s.Update(t.Context(), func(engine.State) ([]engine.Write, error) {
			return []engine.Write{engine.PutSeen{Policy: "p", Key: fmt.Sprint("k", n), Row: engine.SeenRow{First: 1, Expires: 1 << 50}}}, nil
		})
		if err != nil {
			t.Fatalf("a decision meanwhile: %v", err)
		}
		n++
	}
	if err := tx.Rollback(); err != nil {
		t.Error(err)
	}
	if r := <-done; r.err != nil || len(r.ran) != wide {
		t.Errorf("ran %q, %v", r.ran, r.err)
	}
	whole(t, s, wider())
}

// buffer is a log.
type buffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *buffer) count(words string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Count(b.Buffer.String(), words)
}
