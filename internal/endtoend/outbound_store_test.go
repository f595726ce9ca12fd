package endtoend

import (
	"context"
	"math"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"exipol/helper/engine"
	"exipol/helper/normalize"
	"exipol/helper/store"
	"exipol/helper/store/sqlite"
	"exipol/policies"
)

// ready is a ready-made policy with the files that it needs, and with other numbers in it:
// pairs of what stands there once and what is to stand there.
func ready(t *testing.T, name string, changes ...string) string {
	t.Helper()
	files, err := policies.With(name)
	if err != nil {
		t.Fatal(err)
	}
	set := ""
	for _, f := range files {
		set += string(f.Text) + "\n"
	}
	for i := 0; i < len(changes); i += 2 {
		if strings.Count(set, changes[i]) != 1 {
			t.Fatalf("%s has %q %d times", name, changes[i], strings.Count(set, changes[i]))
		}
		set = strings.Replace(set, changes[i], changes[i+1], 1)
	}
	return set
}

// inStore opens the store as another process of the machine does.
func (o *outbound) inStore(f func(context.Context, store.Store)) {
	o.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	s, err := openStore(ctx, o.store, sqlite.Options{})
	if err != nil {
		o.t.Fatalf("store: %v", err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			o.t.Errorf("close the store: %v", err)
		}
	}()
	f(ctx, s)
}

// cases are all cases, open ones and others, the oldest first.
func (o *outbound) cases() (all []store.Case) {
	o.t.Helper()
	o.inStore(func(ctx context.Context, s store.Store) {
		var err error
		if all, err = s.Cases(ctx, store.CaseFilter{All: true, Now: s.Now().UnixMilli()}); err != nil {
			o.t.Fatal(err)
		}
	})
	slices.Reverse(all)
	return all
}

// oneCase is the only case that there is.
func (o *outbound) oneCase() store.CaseFile {
	o.t.Helper()
	all := o.cases()
	if len(all) != 1 {
		o.t.Fatalf("%d cases, want one: %+v", len(all), all)
	}
	return o.caseFile(all[0].ID)
}

func (o *outbound) caseFile(id int64) (file store.CaseFile) {
	o.t.Helper()
	o.inStore(func(ctx context.Context, s store.Store) {
		var err error
		if file, err = s.Case(ctx, id); err != nil {
			o.t.Fatal(err)
		}
	})
	return file
}

// counted is how often a limit with a window of an hour has counted a key.
func (o *outbound) counted(limit string, key ...string) (n int64) {
	o.t.Helper()
	o.inStore(func(ctx context.Context, s store.Store) {
		err := s.View(ctx, func(st engine.State) (err error) {
			n, err = st.Count("limit."+limit, normalize.Key(key), time.Hour, 0, math.MaxInt64)
			return err
		})
		if err != nil {
			o.t.Fatal(err)
		}
	})
	return n
}

// distinct is how many different things a limit has counted for a client's network.
func (o *outbound) distinct(limit, client string) (n int64) {
	o.t.Helper()
	key := normalize.Key([]string{normalize.Client(netip.MustParseAddr(client), 32, 56)})
	o.inStore(func(ctx context.Context, s store.Store) {
		err := s.View(ctx, func(st engine.State) (err error) {
			n, _, err = st.Distinct("limit."+limit, key, "", 0, math.MaxInt64, 1000)
			return err
		})
		if err != nil {
			o.t.Fatal(err)
		}
	})
	return n
}

// header is the header of a message in the queue, as the spool has it.
func (o *outbound) header(id string) string {
	o.t.Helper()
	out, _, err := o.Exec("", "-Mvh", id)
	if err != nil {
		o.t.Fatal(err)
	}
	return out
}

// exists says whether a file of the bed is there.
func (o *outbound) exists(name string) bool {
	_, err := os.Stat(o.Path(name))
	return err == nil
}
