package sqlite

import (
	"context"
	sqldriver "database/sql/driver"
	"fmt"

	"exipol/helper/store"
)

// due are the notices that somebody may take at a moment, which it has two places for.
const due = " FROM notice WHERE due_at > 0 AND due_at <= ? AND claimed_until <= ?"

// ClaimNotices implements store.Desk. Where nothing is due it writes nothing: it is called every
// few seconds, and a write of another process empties what exipold serve remembers.
func (s *Store) ClaimNotices(ctx context.Context, gateway string, now, until int64, most int) ([]store.Notice, error) {
	var n int
	if err := s.readDB.QueryRowContext(ctx, "SELECT count(*) FROM (SELECT 1"+due+" LIMIT 1) AS one", now, now).Scan(&n); err != nil {
		return nil, fmt.Errorf("store %s: %w", s.path, classify(err))
	}
	if n == 0 || most <= 0 {
		return nil, nil
	}
	var claimed []store.Notice
	err := s.atDesk(ctx, func(session *session, c sqldriver.Conn) error {
		claimed = nil
		rows, err := session.rows(c, `SELECT case_id, tier, receiver, made_at, due_at, tries, mailed_at, posted_at, error`+due+" ORDER BY due_at LIMIT ?", 9, now, now, int64(most))
		if err != nil {
			return err
		}
		for _, v := range rows {
			n := store.Notice{
				Case: v[0].(int64), Tier: v[1].(string), Receiver: v[2].(string), Made: v[3].(int64), Due: v[4].(int64),
				Tries: int(v[5].(int64)), Mailed: v[6].(int64), Posted: v[7].(int64), Error: v[8].(string),
			}
			if _, err := session.run(c, "UPDATE notice SET claimed_by = ?, claimed_until = ? WHERE case_id = ? AND tier = ? AND receiver = ?",
				name(gateway), until, n.Case, n.Tier, n.Receiver); err != nil {
				return err
			}
			claimed = append(claimed, n)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return claimed, nil
}

// SettleNotice implements store.Desk. A notice that is not there any more is no error: its case is gone. Who
// comes so late that another has told it meanwhile must not have it told again.
func (s *Store) SettleNotice(ctx context.Context, n store.Notice) error {
	return s.atDesk(ctx, func(session *session, c sqldriver.Conn) error {
		_, err := session.run(c, `UPDATE notice SET due_at = CASE WHEN due_at = 0 THEN 0 ELSE ? END, tries = ?, error = ?, claimed_by = '', claimed_until = 0,
			mailed_at = CASE WHEN ? <> 0 THEN ? ELSE mailed_at END, posted_at = CASE WHEN ? <> 0 THEN ? ELSE posted_at END
			WHERE case_id = ? AND tier = ? AND receiver = ?`,
			n.Due, int64(n.Tries), words(n.Error), n.Mailed, n.Mailed, n.Posted, n.Posted, n.Case, n.Tier, n.Receiver)
		return err
	})
}

// ClaimDigest implements store.Desk. The next one is due so long after the claim, and a claim
// that nobody settled comes up again when it has ended.
func (s *Store) ClaimDigest(ctx context.Context, receiver, gateway string, now, until, every int64) (from int64, ok bool, err error) {
	const state = `SELECT count(*), coalesce(sum((claimed_by = '' AND due_at <= ?) OR (claimed_by <> '' AND claimed_until <= ?)), 0), coalesce(max(from_at), 0)
		FROM digest WHERE receiver = ?`
	var known, free int64
	if err := s.readDB.QueryRowContext(ctx, state, now, now, name(receiver)).Scan(&known, &free, &from); err != nil {
		return 0, false, fmt.Errorf("store %s: %w", s.path, classify(err))
	}
	if known == 1 && free == 0 {
		return 0, false, nil
	}
	err = s.atDesk(ctx, func(session *session, c sqldriver.Conn) error {
		ok = false
		if _, err := session.run(c, `INSERT INTO digest (receiver, from_at, due_at, claimed_by, claimed_at, claimed_until) VALUES (?, ?, ?, '', 0, 0)
			ON CONFLICT (receiver) DO NOTHING`, name(receiver), now, now+every); err != nil {
			return err
		}
		rows, err := session.rows(c, state, 3, now, now, name(receiver))
		if err != nil {
			return err
		}
		if rows[0][1].(int64) == 0 {
			return nil
		}
		from, ok = rows[0][2].(int64), true
		_, err = session.run(c, "UPDATE digest SET due_at = ?, claimed_by = ?, claimed_at = ?, claimed_until = ? WHERE receiver = ?",
			now+every, name(gateway), now, until, name(receiver))
		return err
	})
	if err != nil || !ok {
		return 0, false, err
	}
	return from, true, nil
}

// SettleDigest implements store.Desk. Who no longer has the claim settles nothing.
func (s *Store) SettleDigest(ctx context.Context, receiver, gateway string, now int64, sent bool) error {
	return s.atDesk(ctx, func(session *session, c sqldriver.Conn) error {
		change, values := "from_at = claimed_at", []any{name(receiver), name(gateway)}
		if !sent {
			change, values = "due_at = ?", append([]any{now}, values...)
		}
		_, err := session.run(c, "UPDATE digest SET claimed_by = '', claimed_until = 0, "+change+" WHERE receiver = ? AND claimed_by = ?", values...)
		return err
	})
}
