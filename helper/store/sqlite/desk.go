package sqlite

import (
	"context"
	"fmt"
	"strings"

	"exipol/helper/store"
)

var _ store.Desk = (*Store)(nil)

// caseColumns are what findCases reads, of desk_case c and its last row of audit a.
const caseColumns = `SELECT c.id, c.policy, c.key_, c.tier, c.who, c.owner, c.opened_at, c.gateway, c.state, c.blocks, c.until_at, c.counted, c.rate, c.decided_at,
	(SELECT count(*) FROM held h WHERE h.case_id = c.id AND h.gone_at = 0),
	(SELECT coalesce(min(h.since_at), 0) FROM held h WHERE h.case_id = c.id AND h.gone_at = 0),
	coalesce(a.did, ''), coalesce(a.who, ''), coalesce(a.why, '')
	FROM desk_case c LEFT JOIN audit a ON a.case_id = c.id AND a.n = (SELECT max(n) FROM audit l WHERE l.case_id = c.id)`

// hasEnded are the cases that have ended by themselves, and hold nothing. It has one place for now.
const hasEnded = `(c.state = 'open' AND c.until_at > 0 AND c.until_at <= ?
	AND NOT EXISTS (SELECT 1 FROM held h WHERE h.case_id = c.id AND h.gone_at = 0))`

// Cases implements store.Desk.
func (s *Store) Cases(ctx context.Context, which store.CaseFilter) ([]store.Case, error) {
	where, values := []string{"c.opened_at >= ?"}, []any{which.Since}
	and := func(condition string, value any) { where, values = append(where, condition), append(values, value) }
	if !which.All {
		where = append(where, "c.state = 'open'")
		and("NOT "+hasEnded, which.Now)
	}
	if which.Policy != "" {
		and("c.policy = ?", which.Policy)
	}
	if which.Owner != "" {
		and("c.owner = ?", []byte(store.Short(which.Owner)))
	}
	query := caseColumns + " WHERE " + strings.Join(where, " AND ") + " ORDER BY c.id DESC"
	if which.Most > 0 {
		query += fmt.Sprintf(" LIMIT %d", which.Most)
	}
	all, err := findCases(ctx, s.readDB, query, values...)
	if err != nil {
		return nil, fmt.Errorf("store %s: %w", s.path, classify(err))
	}
	for i, c := range all {
		// The clean-up will say so, too.
		if c.State == store.CaseOpen && c.Until != 0 && c.Until <= which.Now && c.Held == 0 {
			all[i].State, all[i].Decided = store.CaseEnded, c.Until
		}
	}
	return all, nil
}

// Freezing implements store.Desk.
func (s *Store) Freezing(ctx context.Context, now int64) ([]store.Case, error) {
	all, err := findCases(ctx, s.readDB, caseColumns+` WHERE c.state = 'open' AND c.queued = 1 AND c.owner <> x'' AND (c.until_at = 0 OR c.until_at > ?) ORDER BY c.id`, now)
	if err != nil {
		return nil, fmt.Errorf("store %s: %w", s.path, classify(err))
	}
	return all, nil
}

func findCases(ctx context.Context, db asker, query string, values ...any) ([]store.Case, error) {
	rows, err := db.QueryContext(ctx, query, values...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []store.Case
	for rows.Next() {
		var c store.Case
		var last store.Audit
		if err := rows.Scan(&c.ID, &c.Policy, &c.Key, &c.Tier, &c.Who, &c.Owner, &c.Opened, &c.Gateway, &c.State, &c.Blocks, &c.Until,
			&c.Counted, &c.Rate, &c.Decided, &c.Held, &c.Oldest, &last.Did, &last.Who, &last.Why); err != nil {
			return nil, err
		}
		c.LastWord = lastWord(last)
		all = append(all, c)
	}
	return all, rows.Err()
}

func lastWord(a store.Audit) string {
	text := a.Did
	if a.Who != "" {
		text += " by " + a.Who
	}
	if a.Why != "" {
		text += ": " + a.Why
	}
	return text
}

// Case implements store.Desk. What is gone from the queues is not in it.
func (s *Store) Case(ctx context.Context, id int64) (store.CaseFile, error) {
	file, err := s.caseFile(ctx, id)
	if err != nil {
		return store.CaseFile{}, fmt.Errorf("store %s: %w", s.path, classify(err))
	}
	return file, nil
}

func (s *Store) caseFile(ctx context.Context, id int64) (file store.CaseFile, err error) {
	tx, err := s.readDB.BeginTx(ctx, nil)
	if err != nil {
		return file, err
	}
	defer tx.Rollback()
	cases, err := findCases(ctx, tx, caseColumns+" WHERE c.id = ?", id)
	if err != nil {
		return file, err
	}
	if len(cases) == 0 {
		return file, fmt.Errorf("case %d: %w", id, store.ErrNoCase)
	}
	file.Case = cases[0]
	if err := all(ctx, tx, func(scan func(...any) error) error {
		var e store.Sample
		err := scan(&e.At, &e.Gateway, &e.Message, &e.Address, &e.Line)
		file.Evidence = append(file.Evidence, e)
		return err
	}, "SELECT seen_at, gateway, message, address, line FROM evidence WHERE case_id = ? ORDER BY seen_at, n", id); err != nil {
		return file, err
	}
	if err := all(ctx, tx, func(scan func(...any) error) error {
		var a store.Audit
		err := scan(&a.At, &a.Gateway, &a.Who, &a.Did, &a.Why)
		file.Audit = append(file.Audit, a)
		return err
	}, "SELECT made_at, gateway, who, did, why FROM audit WHERE case_id = ? ORDER BY n", id); err != nil {
		return file, err
	}
	if file.Held, err = findHeld(ctx, tx, "case_id = ?", id); err != nil {
		return file, err
	}
	err = all(ctx, tx, func(scan func(...any) error) error {
		var n store.Notice
		err := scan(&n.Case, &n.Tier, &n.Receiver, &n.Made, &n.Due, &n.Tries, &n.Mailed, &n.Posted, &n.Error)
		file.Notices = append(file.Notices, n)
		return err
	}, "SELECT case_id, tier, receiver, made_at, due_at, tries, mailed_at, posted_at, error FROM notice WHERE case_id = ? ORDER BY made_at, tier, receiver", id)
	return file, err
}

// all calls take for each row of a query.
func all(ctx context.Context, db asker, take func(scan func(...any) error) error, query string, values ...any) error {
	rows, err := db.QueryContext(ctx, query, values...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := take(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// Held implements store.Desk.
func (s *Store) Held(ctx context.Context, gateway string) ([]store.Held, error) {
	where, value := "gateway = ?", name(gateway)
	if gateway == "" {
		where = "gateway >= ?"
	}
	held, err := findHeld(ctx, s.readDB, where, value)
	if err != nil {
		return nil, fmt.Errorf("store %s: %w", s.path, classify(err))
	}
	return held, nil
}

func findHeld(ctx context.Context, db asker, where string, value any) (held []store.Held, err error) {
	err = all(ctx, db, func(scan func(...any) error) error {
		var h store.Held
		err := scan(&h.Gateway, &h.Message, &h.Case, &h.Since, &h.Size, &h.Wanted)
		held = append(held, h)
		return err
	}, "SELECT gateway, message, case_id, since_at, size, wanted FROM held WHERE "+where+" AND gone_at = 0 ORDER BY since_at, gateway, message", value)
	return held, err
}
