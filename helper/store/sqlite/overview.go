package sqlite

import (
	"context"
	"fmt"

	"exipol/generator/plan"
	"exipol/helper/store"
)

// Untold are the notices that wait, and those that were given up, oldest first.
func (s *Store) Untold(ctx context.Context) ([]store.Notice, error) {
	var untold []store.Notice
	err := all(ctx, s.readDB, func(scan func(...any) error) error {
		var n store.Notice
		err := scan(&n.Case, &n.Tier, &n.Receiver, &n.Made, &n.Due, &n.Tries, &n.Mailed, &n.Posted, &n.Error)
		untold = append(untold, n)
		return err
	}, "SELECT case_id, tier, receiver, made_at, due_at, tries, mailed_at, posted_at, error FROM notice WHERE due_at > 0 OR error <> '' ORDER BY made_at, case_id, tier, receiver")
	if err != nil {
		return nil, fmt.Errorf("store %s: %w", s.path, classify(err))
	}
	return untold, nil
}

// Bouncers are the owners whose mail bounced most since day, most first, with how often since hour (both Unix
// milliseconds): up to so many. A store without the log's tables has none.
func (s *Store) Bouncers(ctx context.Context, hour, day int64, most int) ([]store.Bouncer, error) {
	columns, err := liveColumns(ctx, s.readDB, plan.TableLogEvent)
	if err == nil && len(columns) == 0 {
		return nil, nil
	}
	var bouncers []store.Bouncer
	if err == nil {
		err = all(ctx, s.readDB, func(scan func(...any) error) error {
			var owner []byte
			var b store.Bouncer
			err := scan(&owner, &b.Hour, &b.Day)
			b.Owner = string(owner)
			bouncers = append(bouncers, b)
			return err
		}, `SELECT owner, sum(seen_at >= ?), count(*) FROM log_event WHERE kind = ? AND seen_at >= ? AND owner <> x''
			GROUP BY owner ORDER BY count(*) DESC, owner LIMIT ?`, hour, plan.Bounce, day, most)
	}
	if err != nil {
		return nil, fmt.Errorf("store %s: %w", s.path, classify(err))
	}
	return bouncers, nil
}
