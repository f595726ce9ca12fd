package endtoend

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"exipol/internal/eximtest"
)

// provider is a sender with an address in each of twenty networks, all in its SPF
// record, as the customer's record includes it.
func provider() (records string, clients []string) {
	var addresses strings.Builder
	for i := range 20 {
		client := fmt.Sprintf("198.18.%d.25", i)
		clients = append(clients, client)
		fmt.Fprintf(&addresses, " ip4:%s", client)
		records += fmt.Sprintf("out%d.provider.test A %s\n%s PTR out%d.provider.test\n", i, client, client, i)
	}
	records += `_spf.provider.test TXT "v=spf1` + addresses.String() + ` -all"` + "\n"
	return records + `customer.test TXT "v=spf1 include:_spf.provider.test -all"` + "\n", clients
}

// TestProvider: a provider that retries from another of its addresses each time passes
// on its second try: by the SPF record of its customer, or as a named pool. The same
// from strangers' addresses does not.
func TestProvider(t *testing.T) {
	t.Parallel()
	if !eximtest.Alone(t) {
		return
	}
	records, clients := provider()
	online(t, records)
	const key = `greylist "inbound" {
  key = [client.pool, sender, recipient]
}
`
	for name, set := range map[string]struct{ policies, from string }{
		"by the sender's SPF": {key, "a@customer.test"},
		"by a named pool":     {key + "pool \"provider\" {\n  spf = [\"_spf.provider.test\"]\n}\n", "a@no-record.test"},
	} {
		t.Run(name, func(t *testing.T) {
			s := startOnline(t, set.policies, Options{})
			from := func(client, helo, to string) contact { return contact{client, helo, set.from, []string{to}} }
			for i, client := range clients {
				to := fmt.Sprintf("user%d@local.test", i)
				want(t, "first try from "+client, try(s, from(client, fmt.Sprintf("out%d.provider.test", i), to)), 451)
			}
			s.Clock.Advance(5 * time.Minute)
			for i := range clients {
				other := (i + 7) % len(clients)
				to := fmt.Sprintf("user%d@local.test", i)
				want(t, "second try from "+clients[other], try(s, from(clients[other], fmt.Sprintf("out%d.provider.test", other), to)), 250)
			}
			for i := range 20 {
				client := fmt.Sprintf("198.19.%d.25", i)
				want(t, "a stranger's try from "+client, try(s, from(client, fmt.Sprintf("out%d.provider.test", i), "alice@local.test")), 451)
				s.Clock.Advance(5 * time.Minute)
			}
			s.CheckLogs()
		})
	}
}

// TestOpenRecord: who lets everybody pass is nobody's pool.
func TestOpenRecord(t *testing.T) {
	t.Parallel()
	if !eximtest.Alone(t) {
		return
	}
	online(t)
	s := startOnline(t, `greylist "inbound" {
  key = [client.pool, sender, recipient]
}`, Options{})
	for i := range 3 {
		want(t, "from anywhere", try(s, contact{fmt.Sprintf("198.19.%d.25", i), "x.anybody.test", "a@anybody.test", nil}), 451)
		s.Clock.Advance(5 * time.Minute)
	}
	s.CheckLogs()
}
