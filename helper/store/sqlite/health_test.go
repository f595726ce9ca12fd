package sqlite

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"exipol/generator/plan"
	"exipol/helper/engine"
	"exipol/helper/store"
	"exipol/helper/store/storetest"
)

// A file is away while it cannot be read; when it can be read again, it is not.
func TestHealth(t *testing.T) {
	path := filepath.Join(t.TempDir(), "exipol.db")
	before := time.Now()
	s := create(t, path, Options{Readers: 1})
	storetest.Do(t, s, storetest.Add("k", 1, 1))
	if s.Name() != path {
		t.Errorf("it is called %s", s.Name())
	}
	if now := s.Now(); now.Before(before) || now.After(time.Now()) {
		t.Errorf("it is %s in the store", now)
	}
	well := s.Health()
	if well.Kind != plan.SQLite || well.Away != "" || well.Failures != 0 || well.Since.Before(before) || well.Host != "" || well.Skew != 0 {
		t.Errorf("%+v", well)
	}
	// All of it is in the file, and nothing of that in a connection for reading.
	script(t, s, "PRAGMA wal_checkpoint(TRUNCATE)")
	s.readDB.SetMaxIdleConns(0)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.Repeat("rubbish ", len(whole)/8)), FileMode); err != nil {
		t.Fatal(err)
	}
	count := func() error {
		return s.View(t.Context(), func(st engine.State) error {
			_, err := st.Count(storetest.Policy, "k", storetest.Window, 0, 1<<50)
			return err
		})
	}
	var first store.Health
	for i := range int64(2) {
		if err := count(); !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("read: %v", err)
		}
		h := s.Health()
		if i == 0 {
			first = h
		}
		if !strings.Contains(h.Away, store.ErrCorrupt.Error()) || h.Failures != i+1 || h.Since.Before(well.Since) || h.Since != first.Since {
			t.Errorf("%+v", h)
		}
	}
	if err := os.WriteFile(path, whole, FileMode); err != nil {
		t.Fatal(err)
	}
	if err := count(); err != nil {
		t.Fatal(err)
	}
	if h := s.Health(); h.Away != "" || h.Failures != 2 || h.Since != well.Since {
		t.Errorf("%+v", h)
	}
}
