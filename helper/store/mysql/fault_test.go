package mysql

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"exipol/helper/engine"
	"exipol/helper/store"
	"exipol/helper/store/storetest"
	"exipol/internal/mysqltest"
)

// What the server says is wrong is said in the store's words, and it is over when it is over.
func TestReadOnly(t *testing.T) {
	server := mysqltest.Start(t)
	s := open(t, Config{Store: database(t, server), Gateway: "gw"})
	storetest.Do(t, s, storetest.Add("k", 1, 1))
	server.ReadOnly()
	if err := add(t.Context(), s, "k"); !errors.Is(err, store.ErrReadOnly) && !errors.Is(err, store.ErrAway) {
		t.Errorf("an update of a server that is read-only: %v", err)
	}
	until(t, func() error {
		if h := s.Health(); !strings.Contains(h.Away, "read-only") {
			return fmt.Errorf("%+v", h)
		}
		return nil
	})
	server.Writable()
	until(t, func() error { return add(t.Context(), s, "k") })
	if n := storetest.Count(t, s, "k", 0); n != 2 {
		t.Errorf("%d were kept", n)
	}
}

func TestFull(t *testing.T) {
	server := mysqltest.Start(t, mysqltest.WithRoom(-1))
	s := open(t, Config{Store: database(t, server), Gateway: "gw"})
	server.Room(3 << 20)
	long := strings.Repeat("x", 60000)
	var err error
	kept := 0
	for i := 0; err == nil && i < 1000; i++ {
		err = s.Update(t.Context(), func(engine.State) ([]engine.Write, error) {
			return []engine.Write{engine.PutPlace{Gateway: fmt.Sprint(i), Log: "/log", Place: long, At: 1}, storetest.Add("k", 1, 1)}, nil
		})
		if err == nil {
			kept++
		}
	}
	if !errors.Is(err, store.ErrFull) {
		t.Fatalf("a full disk, after %d: %v", kept, err)
	}
	if n := storetest.Count(t, s, "k", 0); n != int64(kept) {
		t.Errorf("%d were kept, and %d promised", n, kept)
	}
	server.Room(-1)
	until(t, func() error { return add(t.Context(), s, "k") })
}

// A table that is missing is the trouble of those who need it.
func TestMissingTable(t *testing.T) {
	server := mysqltest.Shared(t)
	s := open(t, Config{Store: database(t, server), Gateway: "gw", Writers: 1})
	if _, err := server.DB().Exec("DROP TABLE " + s.config.Store.Database + ".log_event"); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 40)
	for i := range 40 {
		go func() {
			if i%4 != 0 {
				done <- add(t.Context(), s, "k")
				return
			}
			err := s.Update(t.Context(), func(st engine.State) ([]engine.Write, error) {
				_, err := st.Known("gw", "m", "i")
				return []engine.Write{storetest.Add("lost", 1, 1), bounce("m", "i", 1)}, err
			})
			if !errors.Is(err, store.ErrMissing) {
				done <- fmt.Errorf("without its table: %w", err)
				return
			}
			done <- s.Look(t.Context(), func(st engine.State) error {
				_, _, err := st.Seen("list.x", "k")
				return err
			})
		}()
	}
	for range 40 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	err := s.Look(t.Context(), func(st engine.State) error { _, err := st.Known("gw", "m", "i"); return err })
	if !errors.Is(err, store.ErrMissing) {
		t.Errorf("a look at a table that is not there: %v", err)
	}
	if k, lost := storetest.Count(t, s, "k", 0), storetest.Count(t, s, "lost", 0); k != 30 || lost != 0 {
		t.Errorf("%d and %d were kept, want 30 and 0", k, lost)
	}
	if _, _, err := s.Cleanup(t.Context(), 1, 10); err != nil {
		t.Errorf("clean-up without a table that nobody needs: %v", err)
	}
}

// A database without a schema says so.
func TestNoSchema(t *testing.T) {
	s := open(t, Config{Store: mysqltest.Shared(t).Database(), Gateway: "gw"})
	if err := add(t.Context(), s, "k"); !errors.Is(err, store.ErrMissing) {
		t.Error(err)
	}
	if err := s.Look(t.Context(), func(st engine.State) error { _, _, err := st.Seen("list.x", "k"); return err }); !errors.Is(err, store.ErrMissing) {
		t.Error(err)
	}
}

// A configuration that cannot work is an error at once, and no password is in any.
func TestOpenFails(t *testing.T) {
	c := Config{Store: mysqltest.Shared(t).Database()}
	c.Store.PasswordFile = "/no/such/file"
	if _, err := Open(t.Context(), c); err == nil || !strings.Contains(err.Error(), c.Store.PasswordFile) {
		t.Error(err)
	}
}
