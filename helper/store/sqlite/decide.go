package sqlite

import (
	"context"
	sqldriver "database/sql/driver"
	"fmt"
	"time"

	"exipol/helper/engine"
	"exipol/helper/store"
)

const (
	// keepClosed is how long a closed case is kept, keepGone how long it is known of a message that
	// it is gone; both in milliseconds.
	keepClosed = int64(90 * 24 * time.Hour / time.Millisecond)
	keepGone   = int64(7 * 24 * time.Hour / time.Millisecond)
	// someHeld is how many messages of a queue are settled in one transaction.
	someHeld = 200
	// didRemove is the audit's word for a decision that deletes what is held.
	didRemove = "removed"
)

// atDesk makes a change of the desk's, for which updates wait as for any other.
func (s *Store) atDesk(ctx context.Context, change func(*session, sqldriver.Conn) error) error {
	return s.submit(ctx, &request{apart: true, run: func(session *session, c sqldriver.Conn) error {
		if err := change(session, c); err != nil {
			return fmt.Errorf("store %s: %w", s.path, err)
		}
		return nil
	}})
}

// Open implements store.Desk. What is there is raised where c has a higher rank.
func (s *Store) Open(ctx context.Context, c engine.OpenCase) (id int64, err error) {
	if err := checkWrite(c); err != nil {
		return 0, fmt.Errorf("store %s: %w", s.path, err)
	}
	err = s.atDesk(ctx, func(session *session, conn sqldriver.Conn) (err error) {
		id, err = session.openCase(conn, c)
		if err == nil && id == 0 {
			err = fmt.Errorf("the key was released later than that: is the clock right?")
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	return id, nil
}

// Decide implements store.Desk. A case whose block has ended by itself can be decided about until
// the clean-up has closed it, which waits until nothing is held any more.
func (s *Store) Decide(ctx context.Context, d store.Decision) error {
	if !d.Release && !d.Remove {
		return fmt.Errorf("store %s: case %d: %w: nothing to release or to remove", s.path, d.Case, store.ErrDecision)
	}
	return s.atDesk(ctx, func(session *session, c sqldriver.Conn) error {
		state, err := session.rows(c, "SELECT state, policy, key_ FROM desk_case WHERE id = ?", 3, d.Case)
		switch {
		case err != nil:
			return err
		case len(state) == 0:
			return fmt.Errorf("case %d: %w", d.Case, store.ErrNoCase)
		case state[0][0] != store.CaseOpen:
			return fmt.Errorf("case %d: %w", d.Case, store.ErrCaseClosed)
		}
		a := store.Audit{At: d.At, Gateway: d.Gateway, Who: d.Who, Why: d.Why}
		if d.Remove {
			a.Did = didRemove
			if _, err := session.run(c, "UPDATE held SET wanted = ? WHERE case_id = ? AND gone_at = 0", store.Remove, d.Case); err != nil {
				return err
			}
			if err := session.audit(c, d.Case, a); err != nil {
				return err
			}
		}
		if !d.Release {
			return nil
		}
		a.Did = "released"
		if err := session.audit(c, d.Case, a); err != nil {
			return err
		}
		return session.closeCase(c, d, state[0][1].(string), string(state[0][2].([]byte)))
	})
}

// closeCase closes a case as released: its standing, unless a newer case has taken that over, and what is
// held and not to be removed. Where the block had ended long ago and only held messages kept the case open, its
// standing is gone, and made again: what was counted before a release counts no more.
func (s *session) closeCase(c sqldriver.Conn, d store.Decision, policy, key string) error {
	st, span, err := s.standing(c, policy, key)
	if err != nil {
		return err
	}
	if st.Case == 0 {
		was, err := s.rows(c, "SELECT tier, blocks, opened_at, until_at FROM desk_case WHERE id = ?", 4, d.Case)
		if err != nil {
			return err
		}
		st.Case, st.Tier, st.Blocks, st.Since, st.Until = d.Case, was[0][0].(string), was[0][1] != int64(0), was[0][2].(int64), was[0][3].(int64)
	}
	if st.Case == d.Case {
		// No two releases have the same time, whatever the clocks say: it names what is counted since.
		st.Released, st.Cleared, st.Probation = max(d.At, 1), max(d.At, st.Cleared+1), d.Probation
		if err := s.putStanding(c, st, span); err != nil {
			return err
		}
	}
	if _, err := s.run(c, "UPDATE held SET wanted = ? WHERE case_id = ? AND gone_at = 0 AND wanted = ?", store.Thaw, d.Case, store.Keep); err != nil {
		return err
	}
	_, err = s.run(c, "UPDATE desk_case SET state = ?, decided_at = ?, expires_at = ? WHERE id = ?", store.CaseReleased, d.At, d.At+keepClosed, d.Case)
	return err
}

// SettleHeld implements store.Desk. It takes several transactions for many messages.
func (s *Store) SettleHeld(ctx context.Context, now int64, found []engine.PutHeld, gone []store.HeldMessage) error {
	for len(found)+len(gone) > 0 {
		some := found[:min(len(found), someHeld)]
		left := gone[:min(len(gone), someHeld-len(some))]
		found, gone = found[len(some):], gone[len(left):]
		err := s.atDesk(ctx, func(session *session, c sqldriver.Conn) error {
			for _, h := range some {
				if err := session.putHeld(c, h); err != nil {
					return err
				}
				if _, err := session.run(c, "UPDATE held SET gone_at = 0, expires_at = ? WHERE gateway = ? AND message = ? AND gone_at <> 0",
					int64(forever), name(h.Gateway), name(h.Message)); err != nil {
					return err
				}
			}
			for _, h := range left {
				if _, err := session.run(c, "UPDATE held SET gone_at = ?, expires_at = ? WHERE gateway = ? AND message = ? AND gone_at = 0",
					max(now, 1), now+keepGone, name(h.Gateway), name(h.Message)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
