package sqlite

import (
	"context"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"

	"exipol/helper/store"
)

// expiring are tables whose rows end, each with the statement that removes a few of those that ended first. The
// inner query reads the index alone. What package portable keeps is not among them.
var expiring = []struct{ table, remove string }{
	{"counter", `DELETE FROM counter WHERE (policy, span, key_, slot) IN
		(SELECT policy, span, key_, slot FROM counter WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)`},
	{"distinct_member", `DELETE FROM distinct_member WHERE (policy, key_, member_) IN
		(SELECT policy, key_, member_ FROM distinct_member WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)`},
	{"seen", `DELETE FROM seen WHERE (policy, key_) IN
		(SELECT policy, key_ FROM seen WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)`},
	{"sample", `DELETE FROM sample WHERE (policy, key_, n) IN
		(SELECT policy, key_, n FROM sample WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)`},
	{"arrival", `DELETE FROM arrival WHERE (gateway, message) IN
		(SELECT gateway, message FROM arrival WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)`},
	{"log_event", `DELETE FROM log_event WHERE (gateway, message, item) IN
		(SELECT gateway, message, item FROM log_event WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)`},
}

// Cleanup removes at most batch rows of each table that ended at now (Unix
// milliseconds) or before, and closes cases that have ended by themselves; more says that it
// is to be called again. It is one update among the others: lookups do not wait for it, and
// updates for one batch. The caller paces it.
func (s *Store) Cleanup(ctx context.Context, now int64, batch int) (removed int, more bool, err error) {
	err = s.submit(ctx, &request{run: func(session *session, c sqldriver.Conn) error {
		removed, more = 0, false
		took := func(n int, again bool, err error) error {
			if err != nil && !errors.Is(err, store.ErrMissing) { // a table that no policy needed so far
				return fmt.Errorf("clean up store %s: %w", s.path, err)
			}
			removed, more = removed+n, more || again
			return nil
		}
		t := tx{session, c}
		for _, e := range expiring {
			n, err := t.Exec(e.remove, now, int64(batch))
			if err := took(int(n), n >= int64(batch), err); err != nil {
				return err
			}
		}
		if err := took(s.CleanSaid(t, now, batch)); err != nil {
			return err
		}
		return took(s.CleanCases(t, now, batch))
	}})
	if err != nil {
		return 0, false, err
	}
	return removed, more, nil
}
