package hosts

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"exipol/helper/store"
)

// lookTimeout is within which time a host says how it is.
const lookTimeout = 900 * time.Millisecond

// report is what a look at a host found.
type report struct {
	state   state
	why     string // where it is not well
	refused bool   // it is the user, not the server
	version string
	cluster string // "" where it is no Galera node
	galera  bool

	table bool  // the table lease is there
	row   int64 // when its row probe was written last, Unix milliseconds of the server that it was written at; 0: never
	clock int64 // the server's, Unix microseconds

	paused int64 // for how long the cluster's flow control has stopped writers, all told, in nanoseconds
	queue  int64 // changes of other nodes that wait to be taken in
}

// What a host is asked, in one question: each server reads the half that is meant for it. Neither
// half needs a privilege, and a variable that a server does not have is a row that is not there. The collation is said
// because the servers keep these texts in different ones.
const (
	lookVariables = `SELECT CONVERT('version' USING utf8mb4) COLLATE utf8mb4_bin AS name, CONVERT(VERSION() USING utf8mb4) COLLATE utf8mb4_bin AS value
UNION ALL SELECT 'clock', CAST(CAST(UNIX_TIMESTAMP(NOW(6)) * 1000000 AS SIGNED) AS CHAR)
UNION ALL SELECT variable_name, variable_value
  FROM /*M! information_schema.global_variables */ /*!50700 performance_schema.global_variables */
  WHERE variable_name IN ('read_only', 'super_read_only', 'innodb_read_only', 'wsrep_on', 'wsrep_provider', 'wsrep_reject_queries')
UNION ALL SELECT variable_name, variable_value
  FROM /*M! information_schema.global_status */ /*!50700 performance_schema.global_status */
  WHERE variable_name IN ('wsrep_ready', 'wsrep_cluster_status', 'wsrep_cluster_size', 'wsrep_local_state', 'wsrep_local_state_comment',
    'wsrep_flow_control_paused_ns', 'wsrep_local_recv_queue')`
	lookRow = `
UNION ALL SELECT 'row', CAST(until_at AS CHAR) FROM lease WHERE name = 'probe'`
)

// writeRow is the small write of a trial. Whoever reads the row later sees how far that host has come.
const writeRow = `INSERT INTO lease (name, holder, until_at) VALUES ('probe', ?, CAST(UNIX_TIMESTAMP(NOW(6)) * 1000 AS SIGNED))
ON DUPLICATE KEY UPDATE holder = ?, until_at = CAST(UNIX_TIMESTAMP(NOW(6)) * 1000 AS SIGNED)`

// tooOld is said of a server that is.
const tooOld = "MariaDB 10.11 or later, or MySQL 8.0 or later"

// look asks a host how it is, on a connection of its own. Where the connection was lost, or no answer came in
// time, it asks once more (unless hasty): the server may just have come back, and one late packet is no reason to leave it.
func (h *Host) look(ctx context.Context, hasty bool) (report, sample) {
	r, s, err := h.lookOnce(ctx)
	if err != nil && !hasty && Lost(err) && ctx.Err() == nil {
		r, s, err = h.lookOnce(ctx)
	}
	if err != nil {
		return broken(err, lookTimeout), sample{}
	}
	return r, s
}

func (h *Host) lookOnce(ctx context.Context) (report, sample, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	conn, err := h.probe.Conn(ctx)
	if err != nil {
		return report{}, sample{}, err
	}
	defer conn.Close()
	asked := time.Now()
	values, err := lookup(ctx, conn, lookVariables+lookRow)
	table := err == nil
	if said(err, erNoSuchTable, erNoSuchColumn, erUnknownCommand) {
		asked = time.Now()
		values, err = lookup(ctx, conn, lookVariables)
	}
	if err != nil {
		return report{}, sample{}, err
	}
	trip := time.Since(asked)
	r := judge(values)
	r.table = table
	return r, sample{server: time.UnixMicro(r.clock), local: asked.Add(trip / 2), trip: trip}, nil
}

// lookup runs a query of names and values.
func lookup(ctx context.Context, conn *sql.Conn, query string) (map[string]string, error) {
	rows, err := conn.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	values := map[string]string{}
	for rows.Next() {
		var name, value string
		if err := rows.Scan(&name, &value); err != nil {
			return nil, err
		}
		values[strings.ToLower(name)] = value
	}
	return values, rows.Err()
}

// judge makes a report of what a server said of itself.
func judge(values map[string]string) report {
	number := func(name string) int64 {
		n, _ := strconv.ParseInt(values[name], 10, 64)
		return n
	}
	on := func(name string) bool { v := strings.ToUpper(values[name]); return v != "" && v != "OFF" && v != "0" }
	r := report{
		state: well, version: values["version"], row: number("row"), clock: number("clock"),
		galera: on("wsrep_on") && values["wsrep_provider"] != "" && values["wsrep_provider"] != "none",
		paused: number("wsrep_flow_control_paused_ns"), queue: number("wsrep_local_recv_queue"),
	}
	no := func(why string, args ...any) report {
		r.state, r.why = unready, fmt.Sprintf(why, args...)
		return r
	}
	if r.galera {
		r.cluster = fmt.Sprintf("%s, %s, %s nodes", values["wsrep_cluster_status"], values["wsrep_local_state_comment"], values["wsrep_cluster_size"])
	}
	if !supported(r.version) {
		return no("it is %s: what is needed is %s", r.version, tooOld)
	}
	for _, name := range []string{"read_only", "super_read_only", "innodb_read_only"} {
		if on(name) {
			return no("read-only (%s)", name)
		}
	}
	if !r.galera {
		return r
	}
	reject := values["wsrep_reject_queries"]
	switch local := values["wsrep_local_state"]; {
	case values["wsrep_cluster_status"] != "Primary":
		return no("not in the cluster's primary component: it says %s", values["wsrep_cluster_status"])
	case local == "2":
		r.state, r.why = donor, fmt.Sprintf("it gives its state to another node, or is out of step: %s", values["wsrep_local_state_comment"])
	case local != "4":
		return no("not in step with the cluster: %s", values["wsrep_local_state_comment"])
	}
	if !on("wsrep_ready") {
		return no("it does not take statements: wsrep_ready is %s", values["wsrep_ready"])
	}
	if reject != "" && !strings.EqualFold(reject, "none") {
		return no("it rejects statements: wsrep_reject_queries is %s", reject)
	}
	return r
}

// supported says whether a server's version ("10.11.19-MariaDB-0+deb12u1", "8.0.36") is one of those that
// this is made for, and tested with.
func supported(version string) bool {
	parts := strings.FieldsFunc(version, func(r rune) bool { return r < '0' || r > '9' })
	if len(parts) < 2 {
		return false
	}
	major, _ := strconv.Atoi(parts[0])
	minor, _ := strconv.Atoi(parts[1])
	if strings.Contains(strings.ToLower(version), "mariadb") {
		return major > 10 || major == 10 && minor >= 11
	}
	return major >= 8
}

// broken is the report of a host that could not be asked, or did not answer within that time.
func broken(err error, within time.Duration) report {
	r := report{state: unready, why: words(err, within)}
	e, answered := serverError(err)
	switch {
	case answered && e.Number == erSyntax:
		r.why = "it is too old: what is needed is " + tooOld
	case answered:
		r.refused = errors.Is(Classify(err), store.ErrRefused)
	case errors.Is(err, mysql.ErrNoTLS):
	case untrusted(err):
		r.why = "its certificate: " + r.why
	default:
		r.state = away
	}
	return r
}

// words are an error's, for people.
func words(err error, within time.Duration) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Sprintf("no answer within %s", within)
	}
	if errors.Is(err, mysql.ErrInvalidConn) {
		return "the connection was lost"
	}
	return err.Error()
}

// try puts a host to a trial. Nil is passed.
func (h *Host) try(ctx context.Context, t trial, r report) error {
	within := h.hosts.trialTimeout()
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	conn, err := h.probe.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if t == newcoming && r.galera {
		if err := barrier(ctx, conn); err != nil {
			return err
		}
	}
	if !r.table {
		return nil
	}
	for {
		_, err := conn.ExecContext(ctx, writeRow, h.hosts.config.Gateway, h.hosts.config.Gateway)
		switch {
		case said(err, erNoSuchTable, erNoSuchColumn):
			return nil // it went a moment ago
		case errors.Is(Classify(err), store.ErrFull), errors.Is(Classify(err), store.ErrDisk):
			// It is no better elsewhere: what a cluster's nodes hold is the same. What can be read is of use, and writers
			// are to hear the reason.
			return nil
		case !Retry(err):
			return err
		}
	}
}

// barrier waits until a Galera node has all that was committed in the cluster before.
func barrier(ctx context.Context, conn *sql.Conn) (err error) {
	defer func() {
		if err != nil { // nobody is to go on with a connection that waits
			_ = conn.Raw(func(any) error { return driver.ErrBadConn })
		}
	}()
	for _, statement := range []string{"SET SESSION wsrep_sync_wait = 1", "SELECT 1 FROM DUAL", "SET SESSION wsrep_sync_wait = 0"} {
		if _, err := conn.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}
