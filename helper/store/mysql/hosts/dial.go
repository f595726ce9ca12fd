package hosts

import (
	"database/sql"
	"errors"
	"fmt"

	"github.com/go-sql-driver/mysql"
)

// Dial makes connections to one host of a configuration, for somebody who looks at that host by himself, whichever
// one is in use (exipold doctor). They are as those of Host.DB are, a few of them; none is made before it is
// wanted. An error is one of the configuration; those of the connections are the database's, for which Classify has
// the store's words.
func Dial(c Config, host string) (*sql.DB, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	c = c.filled()
	encrypted, err := encryption(c.Store)
	if err != nil {
		return nil, fmt.Errorf("host %s: %w", host, err)
	}
	one, err := newConnector(c, host, encrypted, c.Timeout/2)
	if err != nil {
		return nil, err
	}
	return pool(one, 2, 1), nil
}

// Supported says whether a server of this version ("10.11.19-MariaDB-0+deb12u1", "8.0.36") is one that a store can be
// kept on; Needed are those, in words.
func Supported(version string) bool { return supported(version) }

// Needed are the servers that a store can be kept on.
const Needed = tooOld

// Untrusted says whether a connection was not made because of the server's certificate.
func Untrusted(err error) bool { return untrusted(err) }

// Unencrypted says whether a connection was not made because the server knows no encryption.
func Unencrypted(err error) bool { return errors.Is(err, mysql.ErrNoTLS) }
