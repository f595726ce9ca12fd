package dns

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/net/dns/dnsmessage"
)

// A resolver that is cut off, or that filters all but a few names, may deny whatever it is
// asked. To believe it would mean that no client has a name, and that no name in a HELO
// exists. So that a name is not there is only believed of a server that has lately found
// something that is there for sure: the root's name servers, as Probe does.

// errDenies is what a server says that cannot be believed.
var errDenies = errors.New("a server that denies that the root has name servers")

// root is the question for the root's name servers to one server.
func root(server string) query { return query{kind: dnsmessage.TypeNS, server: server} }

// believed is nil where it may be believed that a name does not exist, as a server has
// said.
func (r *Resolver) believed(ctx context.Context, server string) error {
	f := r.fly(root(server))
	select {
	case <-f.done:
	case <-ctx.Done():
		return errSilent
	}
	r.doubt(server, f.err)
	switch {
	case f.err == nil:
		return nil
	case errors.Is(f.err, ErrNotFound):
		return errDenies
	}
	return fmt.Errorf("it denies a name, and of the root: %w", f.err)
}

// doubt logs when a server begins, or ceases, to deny what is not believed.
func (r *Resolver) doubt(server string, err error) {
	r.mu.Lock()
	before := r.doubted[server]
	if err != nil {
		r.doubted[server] = true
	} else {
		delete(r.doubted, server)
	}
	r.mu.Unlock()
	switch {
	case err != nil && !before:
		r.log.Warn("a DNS server says that names do not exist, but has no name servers of the root: it is not believed", "server", server, "root", err)
	case err == nil && before:
		r.log.Info("the DNS server has name servers of the root again: it is believed that names do not exist", "server", server)
	}
}
