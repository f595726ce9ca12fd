package check

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"exipol/generator/plan"
	"exipol/generator/policy"
)

// storeTLS: what leaves the machine is encrypted, and nothing is promised that is not done.
func storeTLS(c *checker) {
	s := c.set.Store
	if s.Kind.V != plan.MySQL || len(s.Hosts) == 0 {
		return
	}
	far := slices.IndexFunc(s.Hosts, func(h policy.Value[string]) bool { return !policy.Near(h.V) })
	if s.TLS.V == plan.TLSOff && far >= 0 {
		c.fail("EP308", s.TLS.Range, fmt.Sprintf("the connection to %s would not be encrypted", s.Hosts[far].V),
			`tls = "verified", with a ca_file where the system does not know who vouches for the server`, note(s.Hosts[far].Range, "this host is not on loopback"))
		return
	}
	if s.TLS.Set && s.TLS.V != plan.TLSOff && !slices.ContainsFunc(s.Hosts, overNetwork) {
		c.warn("EP214", s.TLS.Range, "all hosts are sockets, which get no encryption", "leave tls out")
	}
	if s.CAFile.Set && s.TLS.V != plan.TLSVerified {
		c.fail("EP308", s.CAFile.Range, fmt.Sprintf("with tls = %q nobody looks at ca_file", s.TLS.V), `tls = "verified", or leave ca_file out`)
	}
}

// overNetwork says whether a host is no socket.
func overNetwork(h policy.Value[string]) bool { return !strings.HasPrefix(h.V, "/") }

// storeHosts: sockets have paths that the system takes, and all gateways that have these
// policies mean the same servers.
func storeHosts(c *checker) {
	hosts := c.set.Store.Hosts
	for _, h := range hosts {
		if !overNetwork(h) {
			c.socketPath(h)
		}
	}
	isNear := func(h policy.Value[string]) bool { return policy.Near(h.V) }
	isFar := func(h policy.Value[string]) bool { return !policy.Near(h.V) }
	near, far := slices.IndexFunc(hosts, isNear), slices.IndexFunc(hosts, isFar)
	if near >= 0 && far >= 0 {
		c.warn("EP309", hosts[near].Range, fmt.Sprintf("%s is another server on every gateway", hosts[near].V),
			"name it as all gateways can reach it", note(hosts[far].Range, "%s is the same for all", hosts[far].V))
	}
}

// systemUser is who exipold runs as, as its units and INSTALL.txt have it.
const systemUser = "exipold"

// storeUser: without a password the server lets in the system's user of the same name only.
func storeUser(c *checker) {
	s := c.set.Store
	if s.Kind.V == plan.MySQL && len(s.Hosts) > 0 && !s.PasswordFile.Set && s.User.V != "" && s.User.V != systemUser {
		c.warn("EP310", s.User.Range, fmt.Sprintf("without a password the server lets in the system's user %q only, and exipold runs as %q", s.User.V, systemUser),
			fmt.Sprintf("user = %q, or a password_file", systemUser))
	}
}

// leastServerTimeout leaves two seconds for the first of Exim's two calls: one is soon gone
// while a server is found to be away, and another one takes over.
const leastServerTimeout = plan.Duration(3 * time.Second)

// storeTimeout: there is time to find out that a server is away.
func storeTimeout(c *checker) {
	t := c.set.Helper.Timeout
	if c.set.Store.Kind.V == plan.MySQL && t.V >= leastTimeout && t.V < leastServerTimeout {
		c.warn("EP306", t.Range, fmt.Sprintf("with a timeout of %s there is one second for an answer: too little while the store's hosts change", t.V),
			"at least 3s", note(c.set.Store.DeclRange, "the store is on a server"))
	}
}
