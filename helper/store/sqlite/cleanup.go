package sqlite

import (
	"context"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"

	"exipol/helper/store"
)

// expiring are the tables whose rows end, each with the statement that removes a few
// of those that ended first. The inner query reads the index alone.
var expiring = []struct{ table, remove string }{
	{"counter", `DELETE FROM counter WHERE (policy, span, key_, slot) IN
		(SELECT policy, span, key_, slot FROM counter WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)`},
	{"distinct_member", `DELETE FROM distinct_member WHERE (policy, key_, member_) IN
		(SELECT policy, key_, member_ FROM distinct_member WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)`},
	{"seen", `DELETE FROM seen WHERE (policy, key_) IN
		(SELECT policy, key_ FROM seen WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)`},
	{"allowance", `DELETE FROM allowance WHERE id IN (SELECT id FROM allowance WHERE until_at > 0 AND until_at <= ? LIMIT ?)`},
	{"switched", `DELETE FROM switched WHERE policy IN (SELECT policy FROM switched WHERE until_at > 0 AND until_at <= ? LIMIT ?)`},
}

// Cleanup removes at most batch rows of each table that ended at now (Unix
// milliseconds) or before; more says that it is to be called again. It is one
// update among the others: lookups do not wait for it, and updates for one batch.
// The caller paces it.
func (s *Store) Cleanup(ctx context.Context, now int64, batch int) (removed int, more bool, err error) {
	err = s.submit(ctx, &request{run: func(session *session, c sqldriver.Conn) error {
		removed, more = 0, false
		for _, e := range expiring {
			n, err := session.run(c, e.remove, now, int64(batch))
			if errors.Is(err, store.ErrMissing) { // a table that no policy needed so far
				continue
			}
			if err != nil {
				return fmt.Errorf("clean up store %s: %w", s.path, err)
			}
			removed += int(n)
			more = more || n >= int64(batch)
		}
		return nil
	}})
	if err != nil {
		return 0, false, err
	}
	return removed, more, nil
}

// number runs a query for one number, within a transaction.
func (s *session) number(c sqldriver.Conn, query string, values ...any) (int64, error) {
	stmt, err := c.(sqldriver.ConnPrepareContext).PrepareContext(context.Background(), query)
	if err != nil {
		return 0, s.failed(err)
	}
	defer stmt.Close()
	rows, err := stmt.(sqldriver.StmtQueryContext).QueryContext(context.Background(), s.bind(values))
	if err != nil {
		return 0, s.failed(err)
	}
	defer rows.Close()
	dest := make([]sqldriver.Value, 1)
	if err := rows.Next(dest); err != nil {
		return 0, s.failed(err)
	}
	n, ok := dest[0].(int64)
	if !ok {
		return 0, fmt.Errorf("%v where a number belongs", dest[0])
	}
	return n, nil
}
