package portable

import (
	"context"
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
	// didRemove is the audit's word for a decision that deletes what is held.
	didRemove = "removed"
)

// Open implements store.Desk. What is there is raised where c has a higher rank.
func (s *Store) Open(ctx context.Context, c engine.OpenCase) (id int64, err error) {
	if err := CheckWrite(c); err != nil {
		return 0, s.named(err)
	}
	err = s.write(ctx, func(tx Tx) (err error) {
		id, err = s.OpenCase(tx, c)
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
//
// Of two who decide about one case, the second waits for its turn, and finds it closed.
func (s *Store) Decide(ctx context.Context, d store.Decision) error {
	if !d.Release && !d.Remove {
		return s.named(fmt.Errorf("case %d: %w: nothing to release or to remove", d.Case, store.ErrDecision))
	}
	return s.write(ctx, func(tx Tx) error {
		if err := s.Turn(tx); err != nil {
			return err
		}
		c, found, err := s.caseState(tx, d.Case)
		switch {
		case err != nil:
			return err
		case !found:
			return fmt.Errorf("case %d: %w", d.Case, store.ErrNoCase)
		case c.state != store.CaseOpen:
			return fmt.Errorf("case %d: %w", d.Case, store.ErrCaseClosed)
		}
		a := store.Audit{At: d.At, Gateway: d.Gateway, Who: d.Who, Why: d.Why}
		if d.Remove {
			a.Did = didRemove
			if _, err := tx.Exec("UPDATE held SET wanted = ? WHERE case_id = ? AND gone_at = 0", store.Remove, d.Case); err != nil {
				return err
			}
			if err := audit(tx, d.Case, a); err != nil {
				return err
			}
		}
		if !d.Release {
			return nil
		}
		a.Did = "released"
		if err := audit(tx, d.Case, a); err != nil {
			return err
		}
		return s.closeCase(tx, d, c)
	})
}

// closeCase closes a case as released: its standing, unless a newer case has taken that over, and what is
// held and not to be removed. Where the block had ended long ago and only held messages kept the case open, its
// standing is gone, and made again: what was counted before a release counts no more.
func (s *Store) closeCase(tx Tx, d store.Decision, c caseState) error {
	st, span, err := s.standing(tx, s.text.standing, c.policy, c.key)
	if err != nil {
		return err
	}
	if st.Case == 0 {
		st.Case = d.Case
		if _, err := one(tx, []any{&st.Tier, &st.Blocks, &st.Since, &st.Until}, "SELECT tier, blocks, opened_at, until_at FROM desk_case WHERE id = ?", d.Case); err != nil {
			return err
		}
	}
	if st.Case == d.Case {
		// No two releases have the same time, whatever the clocks say: it names what is counted since.
		st.Released, st.Cleared, st.Probation = max(d.At, 1), max(d.At, st.Cleared+1), d.Probation
		if err := s.putStanding(tx, st, span); err != nil {
			return err
		}
	}
	if _, err := tx.Exec("UPDATE held SET wanted = ? WHERE case_id = ? AND gone_at = 0 AND wanted = ?", store.Thaw, d.Case, store.Keep); err != nil {
		return err
	}
	_, err = tx.Exec("UPDATE desk_case SET state = ?, decided_at = ?, expires_at = ? WHERE id = ?", store.CaseReleased, d.At, d.At+keepClosed, d.Case)
	return err
}
