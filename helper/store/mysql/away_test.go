package mysql

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"exipol/helper/engine"
	"exipol/helper/store"
	"exipol/helper/store/storetest"
	"exipol/internal/mysqltest"
)

// behind opens a database behind a proxy.
func behind(t *testing.T, server *mysqltest.Server) (*Store, *mysqltest.Proxy) {
	t.Helper()
	made := database(t, server)
	proxy := mysqltest.NewProxy(t, server.Addr())
	made.Hosts = []string{proxy.Addr()}
	return open(t, Config{Store: made, Gateway: "gw"}), proxy
}

// add counts one, and says whether that is promised.
func add(ctx context.Context, s *Store, key string) error {
	return s.Update(ctx, func(st engine.State) ([]engine.Write, error) {
		_, err := st.Count(storetest.Policy, key, storetest.Window, 0, 9)
		return []engine.Write{storetest.Add(key, 1, 1)}, err
	})
}

// until does something until it succeeds, or the test fails.
func until(t testing.TB, do func() error) {
	t.Helper()
	err := do()
	for end := time.Now().Add(30 * time.Second); err != nil; err = do() {
		if time.Now().After(end) {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// A connection that is lost in the COMMIT leaves open what became of it: it is not done again, and the error says so.
func TestLostCommit(t *testing.T) {
	s, proxy := behind(t, mysqltest.Shared(t))
	storetest.Do(t, s, storetest.Add("k", 1, 1))
	want := int64(1)
	for round, fate := range []mysqltest.Fate{mysqltest.Lost, mysqltest.Unanswered, mysqltest.Unanswered, mysqltest.Lost} {
		for name, do := range map[string]func() error{
			"update": func() error { return add(t.Context(), s, "k") },
			"batch": func() error {
				return s.Batch(t.Context(), func(tr engine.Transaction) error { return tr.Apply([]engine.Write{storetest.Add("k", 1, 1)}) })
			},
			"desk": func() error { _, err := s.Open(t.Context(), blocking("k", 1)); return err },
		} {
			until(t, func() error {
				return s.View(t.Context(), func(st engine.State) error { _, _, err := st.Seen("list.x", "x"); return err })
			})
			proxy.LoseCommit(fate)
			if err := do(); !errors.Is(err, store.ErrUnknown) {
				t.Errorf("round %d: %s: %v", round, name, err)
			}
			proxy.OnCommit(nil)
			if fate == mysqltest.Unanswered && name != "desk" {
				want++
			}
		}
	}
	until(t, func() error { return add(t.Context(), s, "other") })
	// The server takes a moment to see that a connection is gone; a commit that it had got is done.
	until(t, func() error {
		if n := storetest.Count(t, s, "k", 0); n != want {
			return fmt.Errorf("%d were kept, want %d", n, want)
		}
		return nil
	})
}

// A connection that is lost before that costs nothing but another attempt: what is promised is kept once.
func TestLostConnections(t *testing.T) {
	s, proxy := behind(t, mysqltest.Shared(t))
	var promised, asked atomic.Int64
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				asked.Add(1)
				switch err := add(t.Context(), s, "k"); {
				case err == nil:
					promised.Add(1)
				case errors.Is(err, store.ErrUnknown):
				case errors.Is(err, store.ErrAway):
					asked.Add(-1)
				default:
					t.Error(err)
				}
			}
		})
	}
	for range 10 {
		before := promised.Load()
		for end := time.Now().Add(30 * time.Second); promised.Load() < before+20; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("nothing is promised any more")
			}
		}
		proxy.Cut()
	}
	close(stop)
	wg.Wait()
	var n int64
	until(t, func() error {
		return s.View(t.Context(), func(st engine.State) (err error) {
			n, err = st.Count(storetest.Policy, "k", storetest.Window, 0, 9)
			return err
		})
	})
	if n < promised.Load() || n > asked.Load() {
		t.Errorf("%d were promised, %d may have been kept, and %d were", promised.Load(), asked.Load(), n)
	}
	t.Logf("%d promised, %d kept, %d asked", promised.Load(), n, asked.Load())
}

// A server that is killed and started again under load: nothing that was promised is lost, nothing counts twice,
// and the store goes on by itself.
func TestKill(t *testing.T) {
	server := mysqltest.Start(t)
	all := []*Store{}
	c := Config{Store: database(t, server)}
	for i := range 2 {
		c.Gateway = fmt.Sprint("gw", i)
		all = append(all, open(t, c))
	}
	const callers = 12
	var promised, asked [callers]int64
	var progress atomic.Int64
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			s, key := all[i%2], fmt.Sprint("k", i)
			for {
				select {
				case <-stop:
					return
				default:
				}
				var err error
				if i < 2 { // a batch of three
					err = s.Batch(t.Context(), func(tr engine.Transaction) error {
						for range 3 {
							if _, err := tr.Count(storetest.Policy, key, storetest.Window, 0, 9); err != nil {
								return err
							}
							if err := tr.Apply([]engine.Write{storetest.Add(key, 1, 1), storetest.Add("twin"+key, 1, 1)}); err != nil {
								return err
							}
						}
						return nil
					})
				} else {
					err = s.Update(t.Context(), func(engine.State) ([]engine.Write, error) {
						return []engine.Write{storetest.Add(key, 1, 3), storetest.Add("twin"+key, 1, 3)}, nil
					})
				}
				switch {
				case err == nil:
					promised[i] += 3
					asked[i] += 3
					progress.Add(1)
				case errors.Is(err, store.ErrUnknown):
					asked[i] += 3
				case !errors.Is(err, store.ErrAway):
					t.Error(err)
				default:
					time.Sleep(time.Millisecond) // as mail that is not there all the time
				}
			}
		})
	}
	for range 4 {
		before := progress.Load()
		for end := time.Now().Add(60 * time.Second); progress.Load() < before+100; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("nothing is promised any more")
			}
		}
		server.Kill()
		server.Start()
	}
	close(stop)
	wg.Wait()
	until(t, func() error { return add(t.Context(), all[0], "end") })
	for i := range callers {
		key := fmt.Sprint("k", i)
		n, twin := storetest.Count(t, all[0], key, 0), storetest.Count(t, all[0], "twin"+key, 0)
		if n < promised[i] || n > asked[i] || n != twin {
			t.Errorf("caller %d: %d promised, %d asked for, %d and %d kept", i, promised[i], asked[i], n, twin)
		}
	}
}

// Where no server can be used everybody hears so at once, and where one says nothing, in time.
func TestAway(t *testing.T) {
	s, proxy := behind(t, mysqltest.Shared(t))
	storetest.Do(t, s, storetest.Add("k", 1, 1))
	look := func() error {
		return s.Look(t.Context(), func(st engine.State) error {
			_, err := st.Count(storetest.Policy, "k", storetest.Window, 0, 9)
			return err
		})
	}
	proxy.Hang()
	began := time.Now()
	if err := look(); !errors.Is(err, store.ErrAway) {
		t.Errorf("a look at a server that hangs: %v", err)
	}
	if err := add(t.Context(), s, "k"); !errors.Is(err, store.ErrAway) {
		t.Errorf("an update at a server that hangs: %v", err)
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("both took %s", took)
	}
	proxy.Heal()
	until(t, look)
	proxy.Refuse()
	until(t, func() error {
		if s.Health().Away == "" {
			return errors.New("it is not seen to be away")
		}
		return nil
	})
	began = time.Now()
	for range 100 {
		if err := look(); !errors.Is(err, store.ErrAway) {
			t.Fatal(err)
		}
		if err := add(t.Context(), s, "k"); !errors.Is(err, store.ErrAway) {
			t.Fatal(err)
		}
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("two hundred that could have heard at once heard after %s", took)
	}
	proxy.Heal()
	until(t, func() error { return add(t.Context(), s, "k") })
	if n := storetest.Count(t, s, "k", 0); n != 2 {
		t.Errorf("%d were kept, want 2", n)
	}
}

// A caller whose time is over before its update is written takes it back; nobody else's goes with it.
func TestGivenUp(t *testing.T) {
	server := mysqltest.Shared(t)
	s := open(t, Config{Store: database(t, server), Gateway: "gw", Writers: 1, Timeout: 10 * time.Second})
	storetest.Do(t, s, storetest.Add("hot", 1, 1))
	// Somebody holds the row, so that the writer waits.
	host, err := s.hosts.Use(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	tx, err := host.DB().BeginTx(t.Context(), nil)
	if err == nil {
		_, err = tx.Exec("UPDATE counter SET n = n WHERE key_ = 'hot'")
	}
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	first, second := make(chan error), make(chan error)
	go func() { first <- add(ctx, s, "hot") }()
	until(t, func() error { // it waits at the row
		var n int
		time.Sleep(150 * time.Millisecond) // the server makes this table anew where nobody has read it for so long
		if err := server.DB().QueryRow("SELECT count(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'").Scan(&n); err != nil || n == 0 {
			return fmt.Errorf("nobody waits (%w)", err)
		}
		return nil
	})
	go func() { second <- add(t.Context(), s, "other") }()
	cancel()
	if err := <-first; !errors.Is(err, context.Canceled) || errors.Is(err, store.ErrUnknown) {
		t.Errorf("who gave up while it waited: %v", err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := <-second; err != nil {
		t.Error(err)
	}
	if hot, other := storetest.Count(t, s, "hot", 0), storetest.Count(t, s, "other", 0); hot != 1 || other != 1 {
		t.Errorf("%d and %d were kept", hot, other)
	}
	if n := ask(t, s, "SELECT count(*) FROM counter"); n != 2 {
		t.Errorf("%d rows", n)
	}
}
