package sqlite

import (
	"context"
	sqldriver "database/sql/driver"
	"fmt"

	"exipol/helper/engine"
)

// lastAllowance is the row of meta with the greatest id given so far: none is used
// twice.
const lastAllowance = "last_allowance"

const countUp = `INSERT INTO meta (name, value) VALUES (?, '1')
	ON CONFLICT (name) DO UPDATE SET value = cast(cast(value AS INTEGER) + 1 AS TEXT)`

// Runtime is what was said at run time and has not ended at now (Unix milliseconds), and how keys
// stand for whom that matters now; a standing that has ended lately may be among them.
func (s *Store) Runtime(ctx context.Context, now int64) (engine.Runtime, error) {
	var r engine.Runtime
	tx, err := s.readDB.BeginTx(ctx, nil)
	if err != nil {
		return r, fmt.Errorf("store %s: %w", s.path, classify(err))
	}
	defer tx.Rollback()
	const ends = " WHERE until_at = 0 OR until_at > ?"
	if r.Allowances, err = allowances(ctx, tx, ends, now); err == nil {
		r.Off, err = switches(ctx, tx, ends, now)
	}
	if err == nil {
		r.Standings, err = s.standings(ctx, tx, now)
	}
	if err != nil {
		return engine.Runtime{}, fmt.Errorf("store %s: %w", s.path, classify(err))
	}
	return r, nil
}

// ListAllowances is all of them, ended ones that were not cleaned up yet included.
func (s *Store) ListAllowances(ctx context.Context) ([]engine.Allowance, error) {
	all, err := allowances(ctx, s.readDB, "")
	if err != nil {
		return nil, fmt.Errorf("store %s: %w", s.path, classify(err))
	}
	return all, nil
}

func allowances(ctx context.Context, db asker, where string, args ...any) ([]engine.Allowance, error) {
	rows, err := db.QueryContext(ctx, "SELECT id, policy, field, pattern, owner, why, made_at, until_at FROM allowance"+where+" ORDER BY id", args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []engine.Allowance
	for rows.Next() {
		var a engine.Allowance
		if err := rows.Scan(&a.ID, &a.Policy, &a.Field, &a.Pattern, &a.Owner, &a.Why, &a.Made, &a.Until); err != nil {
			return nil, err
		}
		all = append(all, a)
	}
	return all, rows.Err()
}

func switches(ctx context.Context, db asker, where string, args ...any) ([]engine.Switch, error) {
	rows, err := db.QueryContext(ctx, "SELECT policy, owner, why, made_at, until_at FROM switched"+where+" ORDER BY policy", args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []engine.Switch
	for rows.Next() {
		var w engine.Switch
		if err := rows.Scan(&w.Policy, &w.Owner, &w.Why, &w.Made, &w.Until); err != nil {
			return nil, err
		}
		all = append(all, w)
	}
	return all, rows.Err()
}

// Allow keeps a new allowance and gives its id; the one in a is not looked at.
func (s *Store) Allow(ctx context.Context, a engine.Allowance) (id int64, err error) {
	err = s.said(ctx, func(session *session, c sqldriver.Conn) error {
		if _, err := session.run(c, countUp, lastAllowance); err != nil {
			return err
		}
		if _, err := session.run(c, `INSERT INTO allowance (id, policy, field, pattern, owner, why, made_at, until_at)
			SELECT cast(value AS INTEGER), ?, ?, ?, ?, ?, ?, ? FROM meta WHERE name = '`+lastAllowance+`'`,
			a.Policy, a.Field, a.Pattern, a.Owner, a.Why, a.Made, a.Until); err != nil {
			return err
		}
		id, err = session.number(c, "SELECT cast(value AS INTEGER) FROM meta WHERE name = ?", lastAllowance)
		return err
	})
	if err != nil {
		return 0, err
	}
	return id, nil
}

// Disallow ends an allowance; found is false where there is none of that id.
func (s *Store) Disallow(ctx context.Context, id int64) (found bool, err error) {
	err = s.said(ctx, func(session *session, c sqldriver.Conn) error {
		n, err := session.run(c, "DELETE FROM allowance WHERE id = ?", id)
		found = n > 0
		return err
	})
	return found && err == nil, err
}

// SwitchOff switches a policy off; where it is off already, the new owner, reason
// and end hold.
func (s *Store) SwitchOff(ctx context.Context, w engine.Switch) error {
	return s.said(ctx, func(session *session, c sqldriver.Conn) error {
		_, err := session.run(c, `INSERT INTO switched (policy, owner, why, made_at, until_at) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT (policy) DO UPDATE SET owner = excluded.owner, why = excluded.why, made_at = excluded.made_at, until_at = excluded.until_at`,
			w.Policy, w.Owner, w.Why, w.Made, w.Until)
		return err
	})
}

// SwitchOn switches a policy on again; found is false where it was not off.
func (s *Store) SwitchOn(ctx context.Context, policy string) (found bool, err error) {
	err = s.said(ctx, func(session *session, c sqldriver.Conn) error {
		n, err := session.run(c, "DELETE FROM switched WHERE policy = ?", policy)
		found = n > 0
		return err
	})
	return found && err == nil, err
}

// said makes a change of what is said at run time.
func (s *Store) said(ctx context.Context, change func(*session, sqldriver.Conn) error) error {
	return s.submit(ctx, &request{run: func(session *session, c sqldriver.Conn) error {
		if err := change(session, c); err != nil {
			return fmt.Errorf("store %s: %w", s.path, err)
		}
		return nil
	}})
}
