package portable

import (
	"context"
	"fmt"
	"unicode/utf8"

	"exipol/helper/engine"
	"exipol/helper/store"
)

// Runtime is what was said at run time and has not ended at now (Unix milliseconds), and how keys
// stand for whom that matters now; a standing that has ended lately may be among them.
func (s *Store) Runtime(ctx context.Context, now int64) (r engine.Runtime, err error) {
	err = s.snapshot(ctx, func(db Reader) (err error) {
		const ends = " WHERE until_at = 0 OR until_at > ?"
		if r.Allowances, err = allowances(ctx, db, ends, now); err == nil {
			r.Off, err = switches(ctx, db, ends, now)
		}
		if err == nil {
			r.Standings, err = s.standings(ctx, db, now)
		}
		return err
	})
	if err != nil {
		return engine.Runtime{}, err
	}
	return r, nil
}

// ListAllowances is all of them, ended ones that were not cleaned up yet included.
func (s *Store) ListAllowances(ctx context.Context) (list []engine.Allowance, err error) {
	err = s.read(ctx, func(r Reader) (err error) {
		list, err = allowances(ctx, r, "")
		return err
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

func allowances(ctx context.Context, r Reader, where string, args ...any) (list []engine.Allowance, err error) {
	err = all(ctx, r, func(scan func(...any) error) error {
		var a engine.Allowance
		err := scan(&a.ID, &a.Policy, &a.Field, &a.Pattern, &a.Owner, &a.Why, &a.Made, &a.Until)
		list = append(list, a)
		return err
	}, "SELECT id, policy, field, pattern, owner, why, made_at, until_at FROM allowance"+where+" ORDER BY id", args...)
	return list, err
}

func switches(ctx context.Context, r Reader, where string, args ...any) (list []engine.Switch, err error) {
	err = all(ctx, r, func(scan func(...any) error) error {
		var w engine.Switch
		err := scan(&w.Policy, &w.Owner, &w.Why, &w.Made, &w.Until)
		list = append(list, w)
		return err
	}, "SELECT policy, owner, why, made_at, until_at FROM switched"+where+" ORDER BY policy", args...)
	return list, err
}

// Allow keeps a new allowance and gives its id; the one in a is not looked at. A pattern that is no text, or a very long
// one, is store.ErrDecision.
func (s *Store) Allow(ctx context.Context, a engine.Allowance) (id int64, err error) {
	if len(a.Pattern) > TextLength || !utf8.ValidString(a.Pattern) {
		return 0, s.named(fmt.Errorf("%w: a pattern is text of at most %d bytes", store.ErrDecision, TextLength))
	}
	err = s.write(ctx, func(tx Tx) error {
		if id, err = s.count(tx, lastAllowance); err != nil {
			return err
		}
		_, err := tx.Exec("INSERT INTO allowance (id, policy, field, pattern, owner, why, made_at, until_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
			id, ShortName(a.Policy), ShortName(a.Field), a.Pattern, Words(a.Owner), Words(a.Why), a.Made, a.Until)
		return err
	})
	if err != nil {
		return 0, err
	}
	return id, nil
}

// Disallow ends an allowance; found is false where there is none of that id.
func (s *Store) Disallow(ctx context.Context, id int64) (found bool, err error) {
	return s.gone(ctx, "DELETE FROM allowance WHERE id = ?", id)
}

// SwitchOff switches a policy off; where it is off already, the new owner, reason
// and end hold.
func (s *Store) SwitchOff(ctx context.Context, w engine.Switch) error {
	return s.write(ctx, func(tx Tx) error {
		_, err := tx.Exec(s.text.putSwitched, ShortName(w.Policy), Words(w.Owner), Words(w.Why), w.Made, w.Until)
		return err
	})
}

// SwitchOn switches a policy on again; found is false where it was not off.
func (s *Store) SwitchOn(ctx context.Context, policy string) (found bool, err error) {
	return s.gone(ctx, "DELETE FROM switched WHERE policy = ?", ShortName(policy))
}

// gone runs a statement that removes one row, and says whether there was one.
func (s *Store) gone(ctx context.Context, statement string, key any) (found bool, err error) {
	err = s.write(ctx, func(tx Tx) error {
		n, err := tx.Exec(statement, key)
		found = n > 0
		return err
	})
	return found && err == nil, err
}
