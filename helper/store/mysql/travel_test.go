package mysql

import (
	"fmt"
	"sync"
	"testing"

	"exipol/helper/engine"
	"exipol/helper/store/storetest"
	"exipol/internal/mysqltest"
)

// statements is how many statements a server was sent while something was done, by whomever: the looks at it count,
// too, a few in a second.
func statements(t *testing.T, server *mysqltest.Server, do func()) int {
	t.Helper()
	count := func() (n int) {
		var name string
		if err := server.DB().QueryRow("SHOW GLOBAL STATUS LIKE 'Questions'").Scan(&name, &n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := count()
	do()
	return count() - before
}

// What many ask and write travels together: it takes about as many statements as there are tables.
func TestTogether(t *testing.T) {
	server := mysqltest.Start(t)
	s := open(t, Config{Store: database(t, server), Gateway: "gw", Writers: 1, Readers: 1})
	const rounds, events = 20, 100
	next := 0
	follow := func() {
		first := next
		if err := s.Batch(t.Context(), func(tr engine.Transaction) error {
			next = first
			for range events {
				next++
				if err := event(tr, fmt.Sprintf("1tABCD-%011d-0001", next), benchKey(int64(next%500))); err != nil {
					return err
				}
			}
			return tr.Apply([]engine.Write{engine.PutPlace{Gateway: "gw", Log: "/log", Place: fmt.Sprint(next), At: 1}})
		}); err != nil {
			t.Fatal(err)
		}
	}
	follow()
	if n := statements(t, server, func() {
		for range rounds {
			follow()
		}
	}); n > rounds*20 {
		t.Errorf("%d statements for %d batches of %d events", n, rounds, events)
	} else {
		t.Logf("%d statements for a batch of %d events", n/rounds, events)
	}

	// All wait behind the first one, and are taken together.
	const callers, each = 64, 20
	for name, do := range map[string]func(i, j int) error{
		"updates": func(i, j int) error { return add(t.Context(), s, fmt.Sprint(i, j)) },
		"looks": func(i, j int) error {
			return s.Look(t.Context(), func(st engine.State) error {
				_, _, err := st.Seen("greylist.x", fmt.Sprint(i, j))
				if err != nil {
					return err
				}
				_, err = st.Count(storetest.Policy, fmt.Sprint(i), storetest.Window, 0, 9)
				return err
			})
		},
	} {
		if n := statements(t, server, func() {
			var wg sync.WaitGroup
			for i := range callers {
				wg.Go(func() {
					for j := range each {
						if err := do(i, j); err != nil {
							t.Error(err)
						}
					}
				})
			}
			wg.Wait()
		}); n > callers*each {
			t.Errorf("%d statements for %d %s", n, callers*each, name)
		} else {
			t.Logf("%d statements for %d %s", n, callers*each, name)
		}
	}
}
