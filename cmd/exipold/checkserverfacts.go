package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"exipol/generator/plan"
	"exipol/helper/store/mysql/hosts"
)

// serverFacts are what one host of a store says of itself. Nothing of it needs a right that exipold does not have.
type serverFacts struct {
	host      string
	version   string
	variables map[string]string // in lower case
	status    map[string]string // likewise
	grants    []string          // of exipold's user; they hold the hash of its password
	skew      time.Duration     // how far this host's clock is ahead
	cipher    string            // of this connection; "" for none
	engines   map[string]string // of the database's tables, by name
}

// lookLimit is for all that is asked of one host.
const lookLimit = 8 * time.Second

// The variables that the doctor judges, and what a Galera node says of itself.
const (
	askVariables = `SHOW GLOBAL VARIABLES WHERE Variable_name IN ('read_only', 'super_read_only', 'innodb_read_only', 'innodb_flush_log_at_trx_commit',
		'sync_binlog', 'log_bin', 'binlog_format', 'max_allowed_packet', 'max_connections', 'max_user_connections', 'wsrep_on', 'wsrep_provider',
		'wsrep_provider_options', 'wsrep_reject_queries', 'wsrep_sync_wait')`
	askStatus  = `SHOW GLOBAL STATUS WHERE Variable_name IN ('wsrep_cluster_status', 'wsrep_cluster_size', 'wsrep_ready', 'wsrep_local_state_comment')`
	askCipher  = `SHOW SESSION STATUS LIKE 'Ssl_cipher'`
	askEngines = `SELECT table_name, COALESCE(engine, '') FROM information_schema.tables WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE'`
	askClock   = `SELECT VERSION(), CAST(CAST(UNIX_TIMESTAMP(NOW(6)) * 1000000 AS SIGNED) AS CHAR)`
)

// lookAt asks one host.
func lookAt(ctx context.Context, s plan.Store, password, host string) (f serverFacts, err error) {
	ctx, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	db, err := hosts.Dial(hosts.Config{Store: s, Password: password, Gateway: "exipold doctor", Timeout: lookLimit}, host)
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(hosts.Classify(err), db.Close()) }()
	conn, err := db.Conn(ctx)
	if err != nil {
		return f, err
	}
	defer conn.Close()
	f.host = host
	if err := f.clock(ctx, conn); err != nil {
		return f, err
	}
	cipher := map[string]string{}
	for _, ask := range []struct {
		into  *map[string]string
		query string
	}{{&f.variables, askVariables}, {&f.status, askStatus}, {&cipher, askCipher}, {&f.engines, askEngines}} {
		if *ask.into, err = pairs(ctx, conn, ask.query); err != nil {
			return f, err
		}
	}
	f.cipher = cipher["ssl_cipher"]
	rows, err := conn.QueryContext(ctx, "SHOW GRANTS")
	if err != nil {
		return f, err
	}
	defer rows.Close()
	for rows.Next() {
		var grant string
		if err := rows.Scan(&grant); err != nil {
			return f, err
		}
		f.grants = append(f.grants, grant)
	}
	return f, rows.Err()
}

// clock asks for the version and the time.
func (f *serverFacts) clock(ctx context.Context, conn *sql.Conn) error {
	var micros int64
	asked := time.Now()
	if err := conn.QueryRowContext(ctx, askClock).Scan(&f.version, &micros); err != nil {
		return err
	}
	took := time.Since(asked)
	f.skew = asked.Add(took / 2).Sub(time.UnixMicro(micros))
	return nil
}

// pairs are the rows of a query that gives names and values, by the names in lower case.
func pairs(ctx context.Context, conn *sql.Conn, query string) (map[string]string, error) {
	rows, err := conn.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	values := map[string]string{}
	for rows.Next() {
		var name, value string
		if err := rows.Scan(&name, &value); err != nil {
			return nil, fmt.Errorf("a name and its value: %w", err)
		}
		values[strings.ToLower(name)] = value
	}
	return values, rows.Err()
}

// on says whether a variable, or what a node says of itself, is on.
func on(value string) bool {
	v := strings.ToUpper(value)
	return v == "ON" || v == "1" || v == "YES" || v == "TRUE"
}

// galera says whether the host is a node of a cluster.
func (f *serverFacts) galera() bool {
	return on(f.variables["wsrep_on"]) && f.variables["wsrep_provider"] != "" && f.variables["wsrep_provider"] != "none"
}
