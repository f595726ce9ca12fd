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
// Cases are not among them: see cleanCases.
var expiring = []struct{ table, remove string }{
	{"counter", `DELETE FROM counter WHERE (policy, span, key_, slot) IN
		(SELECT policy, span, key_, slot FROM counter WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)`},
	{"distinct_member", `DELETE FROM distinct_member WHERE (policy, key_, member_) IN
		(SELECT policy, key_, member_ FROM distinct_member WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)`},
	{"seen", `DELETE FROM seen WHERE (policy, key_) IN
		(SELECT policy, key_ FROM seen WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)`},
	{"sample", `DELETE FROM sample WHERE (policy, key_, n) IN
		(SELECT policy, key_, n FROM sample WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)`},
	{standingTable, `DELETE FROM standing WHERE (policy, key_) IN
		(SELECT policy, key_ FROM standing WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)`},
	{"held", `DELETE FROM held WHERE (gateway, message) IN
		(SELECT gateway, message FROM held WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)`},
	{"arrival", `DELETE FROM arrival WHERE (gateway, message) IN
		(SELECT gateway, message FROM arrival WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)`},
	{"log_event", `DELETE FROM log_event WHERE (gateway, message, item) IN
		(SELECT gateway, message, item FROM log_event WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)`},
	{"allowance", `DELETE FROM allowance WHERE id IN (SELECT id FROM allowance WHERE until_at > 0 AND until_at <= ? LIMIT ?)`},
	{"switched", `DELETE FROM switched WHERE policy IN (SELECT policy FROM switched WHERE until_at > 0 AND until_at <= ? LIMIT ?)`},
}

const standingTable = "standing"

// Cleanup removes at most batch rows of each table that ended at now (Unix
// milliseconds) or before, and closes cases that have ended by themselves; more says that it
// is to be called again. It is one update among the others: lookups do not wait for it, and
// updates for one batch. The caller paces it.
func (s *Store) Cleanup(ctx context.Context, now int64, batch int) (removed int, more bool, err error) {
	err = s.submit(ctx, &request{run: func(session *session, c sqldriver.Conn) error {
		removed, more = 0, false
		for _, e := range expiring {
			n, err := session.run(c, e.remove, now, int64(batch))
			if errors.Is(err, store.ErrMissing) { // a table that no policy needed so far
				continue
			}
			if err == nil && n > 0 && e.table == standingTable {
				err = session.changedStanding(c, nil)
			}
			if err != nil {
				return fmt.Errorf("clean up store %s: %w", s.path, err)
			}
			removed += int(n)
			more = more || n >= int64(batch)
		}
		n, again, err := session.cleanCases(c, now, batch)
		if err != nil && !errors.Is(err, store.ErrMissing) {
			return fmt.Errorf("clean up store %s: %w", s.path, err)
		}
		removed += n
		more = more || again
		return nil
	}})
	if err != nil {
		return 0, false, err
	}
	return removed, more, nil
}

// caseRows are about how many rows a case has.
const caseRows = 25

// cleanCases closes cases that have ended by themselves and hold nothing, and removes such that were closed
// long ago with all that belongs to them.
func (s *session) cleanCases(c sqldriver.Conn, now int64, batch int) (removed int, more bool, err error) {
	most := int64(max(batch/caseRows, 1))
	ended, err := s.rows(c, "SELECT c.id FROM desk_case c WHERE "+hasEnded+" ORDER BY c.until_at LIMIT ?", 1, now, most)
	if err != nil {
		return 0, false, err
	}
	for _, v := range ended {
		id := v[0].(int64)
		if _, err := s.run(c, "UPDATE desk_case SET state = ?, decided_at = ?, expires_at = ? WHERE id = ?", store.CaseEnded, now, now+keepClosed, id); err != nil {
			return 0, false, err
		}
		if err := s.audit(c, id, store.Audit{At: now, Did: "ended"}); err != nil {
			return 0, false, err
		}
	}
	old, err := s.rows(c, `SELECT c.id FROM desk_case c WHERE c.expires_at <= ?
		AND NOT EXISTS (SELECT 1 FROM held h WHERE h.case_id = c.id AND h.gone_at = 0) ORDER BY c.expires_at LIMIT ?`, 1, now, most)
	if err != nil {
		return 0, false, err
	}
	for _, v := range old {
		for _, query := range []string{
			"DELETE FROM evidence WHERE case_id = ?", "DELETE FROM audit WHERE case_id = ?", "DELETE FROM notice WHERE case_id = ?",
			"DELETE FROM held WHERE case_id = ?", "DELETE FROM desk_case WHERE id = ?",
		} {
			n, err := s.run(c, query, v[0])
			if err != nil {
				return 0, false, err
			}
			removed += int(n)
		}
	}
	return removed, int64(len(ended)) == most || int64(len(old)) == most, nil
}
