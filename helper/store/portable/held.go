package portable

import (
	"context"
	"fmt"

	"exipol/helper/engine"
	"exipol/helper/store"
)

const (
	selectCaseState = "SELECT state, policy, key_, decided_at FROM desk_case WHERE id = ?"
	selectHeldRow   = "SELECT case_id, since_at, size, gone_at, wanted FROM held WHERE gateway = ? AND message = ?"
)

// someHeld is how many messages of a queue are settled in one transaction.
const someHeld = 200

// caseState is what a decision about a case, or a message of it, goes by.
type caseState struct {
	state, policy, key string
	decided            int64
}

func (s *Store) caseState(tx Tx, id int64) (c caseState, found bool, err error) {
	found, err = one(tx, []any{&c.state, &c.policy, &c.key, &c.decided}, s.text.caseState, id)
	return c, found, err
}

// heldRow is a held message as the table has it.
type heldRow struct {
	id, since, size, gone int64
	wanted                string
}

func findHeldRow(tx Tx, query, gateway, message string) (h heldRow, found bool, err error) {
	found, err = one(tx, []any{&h.id, &h.since, &h.size, &h.gone, &h.wanted}, query, gateway, message)
	return h, found, err
}

// PutHeld notes a message that a block froze. Where the case was released between the question
// and now, the message is to be thawed like the others, or removed where the desk had that done and the message was
// frozen by then: nobody has decided to delete what came in later. Where the case had ended, it is open again, as
// somebody has to decide about the message.
//
// A decision of the desk comes wholly before it, and is seen here, or wholly after, and sees the message.
func (s *Store) PutHeld(tx Tx, w engine.PutHeld) error { return s.putHeld(tx, w, false) }

// putHeld is PutHeld; seen says that the message was found in the queue now: if it was thought to be gone,
// it is not.
func (s *Store) putHeld(tx Tx, w engine.PutHeld, seen bool) error {
	gateway, message := ShortName(w.Gateway), ShortName(w.Message)
	h, known, err := findHeldRow(tx, selectHeldRow, gateway, message)
	if err != nil || known && !h.changes(w, seen) {
		return err
	}
	if err := s.Turn(tx); err != nil {
		return err
	}
	if h, known, err = findHeldRow(tx, s.text.heldRow, gateway, message); err != nil {
		return err
	}
	if !known {
		wanted, err := s.wanted(tx, w.Case, w.At)
		if err != nil {
			return err
		}
		_, err = tx.Exec("INSERT INTO held (gateway, message, case_id, since_at, size, wanted, gone_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, 0, ?)",
			gateway, message, w.Case, w.At, w.Size, wanted, int64(forever))
		return err
	}
	if h.size == 0 { // who noted it first did not know
		if _, err := tx.Exec("UPDATE held SET size = ? WHERE gateway = ? AND message = ?", w.Size, gateway, message); err != nil {
			return err
		}
	}
	if !seen || h.gone == 0 {
		return nil
	}
	if h.wanted == store.Keep { // what was decided meanwhile did not reach it
		if h.wanted, err = s.wanted(tx, h.id, h.since); err != nil {
			return err
		}
	}
	_, err = tx.Exec("UPDATE held SET gone_at = 0, wanted = ?, expires_at = ? WHERE gateway = ? AND message = ?", h.wanted, int64(forever), gateway, message)
	return err
}

// changes says whether something is to be changed about a message that is known.
func (h heldRow) changes(w engine.PutHeld, seen bool) bool {
	return seen && h.gone != 0 || h.size == 0 && w.Size > 0
}

// wanted is what is to be done with a message that a case holds since then, and that nothing was decided about yet; who asks has
// his turn.
func (s *Store) wanted(tx Tx, id, since int64) (string, error) {
	c, _, err := s.caseState(tx, id)
	if err != nil {
		return "", err
	}
	switch c.state {
	case store.CaseEnded:
		return store.Keep, reopen(tx, id)
	case store.CaseReleased:
		var removed int64
		if _, err := one(tx, []any{&removed}, "SELECT count(*) FROM audit WHERE case_id = ? AND did = ? AND made_at = ? AND made_at >= ?",
			id, didRemove, c.decided, since); err != nil {
			return "", err
		}
		if removed > 0 {
			return store.Remove, nil
		}
		return store.Thaw, nil
	}
	return store.Keep, nil
}

// SettleHeld implements store.Desk. It takes several transactions for many messages.
func (s *Store) SettleHeld(ctx context.Context, now int64, found []engine.PutHeld, gone []store.HeldMessage) error {
	for len(found)+len(gone) > 0 {
		some := found[:min(len(found), someHeld)]
		left := gone[:min(len(gone), someHeld-len(some))]
		found, gone = found[len(some):], gone[len(left):]
		err := s.write(ctx, func(tx Tx) error {
			for _, h := range some {
				if err := s.putHeld(tx, h, true); err != nil {
					return err
				}
			}
			if len(left) == 0 {
				return nil
			}
			if err := s.Turn(tx); err != nil {
				return err
			}
			for _, h := range left {
				if _, err := tx.Exec("UPDATE held SET gone_at = ?, expires_at = ? WHERE gateway = ? AND message = ? AND gone_at = 0",
					max(now, 1), now+keepGone, ShortName(h.Gateway), ShortName(h.Message)); err != nil {
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

// Held implements store.Desk.
func (s *Store) Held(ctx context.Context, gateway string) (held []store.Held, err error) {
	where, value := "gateway = ?", ShortName(gateway)
	if gateway == "" {
		where = "gateway >= ?"
	}
	err = s.read(ctx, func(r Reader) (err error) {
		held, err = findHeld(ctx, r, where, value)
		return err
	})
	if err != nil {
		return nil, err
	}
	return held, nil
}

func findHeld(ctx context.Context, r Reader, where string, value any) (held []store.Held, err error) {
	err = all(ctx, r, func(scan func(...any) error) error {
		var h store.Held
		err := scan(&h.Gateway, &h.Message, &h.Case, &h.Since, &h.Size, &h.Wanted)
		held = append(held, h)
		return err
	}, fmt.Sprintf("SELECT gateway, message, case_id, since_at, size, wanted FROM held WHERE %s AND gone_at = 0 ORDER BY since_at, gateway, message", where), value)
	return held, err
}
