package hosts

import (
	"context"
	"crypto/tls"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/go-sql-driver/mysql"
)

// Lives of connections.
const (
	// lifetime is after how long a connection is closed though it is well, so that a server whose
	// name leads elsewhere now, or a changed setting of its, is met some time.
	lifetime = 5 * time.Minute
	// idleAt is after how long an idle connection is closed by us, idleAtServer after how long by the server, so
	// that the server does not do it just when a statement is on its way. The server does it at all for a gateway
	// that died without a word, whose transaction would hold its locks for eight hours, the default.
	idleAt       = 30 * time.Second
	idleAtServer = 60 * time.Second
	// longest is after how long without a byte from the server a statement is given up that may take
	// longer than an answer: making an index, counting rows.
	longest = time.Hour
	// longConnections is how many such statements there are at a time.
	longConnections = 4
)

// connector makes the connections to one host.
type connector struct {
	driver.Connector
	settings []string // statements that every connection begins with
}

// newConnector makes one for a host of the configuration; quiet is how long the server may take for
// its next byte.
func newConnector(c Config, host string, encrypted *tls.Config, quiet time.Duration) (connector, error) {
	network, addr, err := address(host)
	if err != nil {
		return connector{}, err
	}
	d := mysql.NewConfig()
	d.Net, d.Addr, d.User, d.Passwd, d.DBName = network, addr, c.Store.User, c.Password, c.Store.Database
	d.Collation = "utf8mb4_bin"
	d.ClientFoundRows = true // an UPDATE counts the rows that it found, changed or not: as SQLite does
	d.InterpolateParams = true
	d.Timeout, d.ReadTimeout, d.WriteTimeout = c.Timeout/2, quiet, c.Timeout/2
	d.Logger = driverLog{c.Log, host}
	if network == "tcp" { // what goes over a socket stays on this machine
		d.TLS = encrypted
	}
	made, err := mysql.NewConnector(d)
	if err != nil {
		return connector{}, fmt.Errorf("host %s: %w", host, err)
	}
	return connector{made, settings(c)}, nil
}

// settings are the statements that every connection begins with. What one server does not know is in
// comments that only the other obeys.
//
//   - A string that is too long is an error, not a shorter string.
//   - Nobody waits for a row that another transaction holds, or for a table that is being changed, for longer than
//     an answer may take; servers do not know shorter times than a second.
//   - Who gives up a statement closes its connection, and the server learns of it when the statement is done. So a
//     transaction that wrote and then says nothing is ended early: its rows are wanted by others. MySQL
//     has no such setting, and takes idleAtServer.
//   - READ COMMITTED: no locks on gaps, which are what concurrent inserts deadlock on. A statement of its
//     own, for the name of the variable differs between versions.
func settings(c Config) []string {
	wait := max(1, int(c.Timeout/2/time.Second))
	return []string{
		fmt.Sprintf("SET autocommit = 1, sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', time_zone = '+00:00', "+
			"collation_connection = 'utf8mb4_bin', character_set_client = 'utf8mb4', character_set_results = 'utf8mb4', "+
			"innodb_lock_wait_timeout = %d, lock_wait_timeout = %d, wait_timeout = %d /*M!100300 , idle_write_transaction_timeout = %d */",
			wait, wait, int(idleAtServer/time.Second), max(5, 2*int(c.Timeout/time.Second))),
		"SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
	}
}

// Connect implements driver.Connector.
func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	execer, ok := conn.(driver.ExecerContext)
	if !ok {
		return nil, errors.Join(errors.New("the driver runs no statements"), conn.Close())
	}
	for _, statement := range c.settings {
		if _, err := execer.ExecContext(ctx, statement, nil); err != nil {
			_ = conn.Close()
			return nil, fmt.Errorf("setting up the connection: %w", err)
		}
	}
	return conn, nil
}

// pool makes the connections of a connector a pool of at most n, of which idle are kept.
func pool(c connector, n, idle int) *sql.DB {
	db := sql.OpenDB(c)
	db.SetMaxOpenConns(n)
	db.SetMaxIdleConns(idle)
	db.SetConnMaxLifetime(lifetime)
	db.SetConnMaxIdleTime(idleAt)
	return db
}

// driverLog takes what the driver says beside its errors: why a connection is invalid.
type driverLog struct {
	log  *slog.Logger
	host string
}

// Print implements mysql.Logger.
func (l driverLog) Print(v ...any) {
	l.log.Debug("database driver", "host", l.host, "says", fmt.Sprint(v...))
}
