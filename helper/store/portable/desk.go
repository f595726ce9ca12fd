package portable

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
		and("c.policy = ?", ShortName(which.Policy))
	}
	if which.Owner != "" {
		and("c.owner = ?", []byte(store.Short(which.Owner)))
	}
	query := caseColumns + " WHERE " + strings.Join(where, " AND ") + " ORDER BY c.id DESC"
	if which.Most > 0 {
		query += fmt.Sprintf(" LIMIT %d", which.Most)
	}
	cases, err := s.cases(ctx, query, values...)
	for i, c := range cases {
		// The clean-up will say so, too.
		if c.State == store.CaseOpen && c.Until != 0 && c.Until <= which.Now && c.Held == 0 {
			cases[i].State, cases[i].Decided = store.CaseEnded, c.Until
		}
	}
	return cases, err
}

// Freezing implements store.Desk.
func (s *Store) Freezing(ctx context.Context, now int64) ([]store.Case, error) {
	return s.cases(ctx, caseColumns+" WHERE c.state = 'open' AND c.queued = 1 AND c.owner <> x'' AND (c.until_at = 0 OR c.until_at > ?) ORDER BY c.id", now)
}

func (s *Store) cases(ctx context.Context, query string, values ...any) (cases []store.Case, err error) {
	err = s.read(ctx, func(r Reader) (err error) {
		cases, err = findCases(ctx, r, query, values...)
		return err
	})
	if err != nil {
		return nil, err
	}
	return cases, nil
}

func findCases(ctx context.Context, r Reader, query string, values ...any) (cases []store.Case, err error) {
	err = all(ctx, r, func(scan func(...any) error) error {
		var c store.Case
		var last store.Audit
		err := scan(&c.ID, &c.Policy, &c.Key, &c.Tier, &c.Who, &c.Owner, &c.Opened, &c.Gateway, &c.State, &c.Blocks, &c.Until,
			&c.Counted, &c.Rate, &c.Decided, &c.Held, &c.Oldest, &last.Did, &last.Who, &last.Why)
		c.LastWord = lastWord(last)
		cases = append(cases, c)
		return err
	}, query, values...)
	return cases, err
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
func (s *Store) Case(ctx context.Context, id int64) (file store.CaseFile, err error) {
	err = s.snapshot(ctx, func(r Reader) (err error) {
		file, err = caseFile(ctx, r, id)
		return err
	})
	if err != nil {
		return store.CaseFile{}, err
	}
	return file, nil
}

func caseFile(ctx context.Context, r Reader, id int64) (file store.CaseFile, err error) {
	cases, err := findCases(ctx, r, caseColumns+" WHERE c.id = ?", id)
	if err != nil {
		return file, err
	}
	if len(cases) == 0 {
		return file, fmt.Errorf("case %d: %w", id, store.ErrNoCase)
	}
	file.Case = cases[0]
	if err := all(ctx, r, func(scan func(...any) error) error {
		var e store.Sample
		err := scan(&e.At, &e.Gateway, &e.Message, &e.Address, &e.Line)
		file.Evidence = append(file.Evidence, e)
		return err
	}, "SELECT seen_at, gateway, message, address, line FROM evidence WHERE case_id = ? ORDER BY seen_at, n", id); err != nil {
		return file, err
	}
	if err := all(ctx, r, func(scan func(...any) error) error {
		var a store.Audit
		err := scan(&a.At, &a.Gateway, &a.Who, &a.Did, &a.Why)
		file.Audit = append(file.Audit, a)
		return err
	}, "SELECT made_at, gateway, who, did, why FROM audit WHERE case_id = ? ORDER BY n", id); err != nil {
		return file, err
	}
	if file.Held, err = findHeld(ctx, r, "case_id = ?", id); err != nil {
		return file, err
	}
	file.Notices, err = findNotices(ctx, r, "case_id = ? ORDER BY made_at, tier, receiver", id)
	return file, err
}
