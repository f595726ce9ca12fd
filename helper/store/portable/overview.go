package portable

import (
	"context"

	"exipol/generator/plan"
	"exipol/helper/engine"
	"exipol/helper/store"
)

// Untold are the notices that wait, and those that were given up, oldest first.
func (s *Store) Untold(ctx context.Context) (untold []store.Notice, err error) {
	err = s.read(ctx, func(r Reader) (err error) {
		untold, err = findNotices(ctx, r, "due_at > 0 OR error <> '' ORDER BY made_at, case_id, tier, receiver")
		return err
	})
	if err != nil {
		return nil, err
	}
	return untold, nil
}

// Bouncers are the owners whose mail bounced most since day, most first, with how often since hour (both Unix
// milliseconds): up to so many. A store without the log's tables has none.
func (s *Store) Bouncers(ctx context.Context, hour, day int64, most int) (bouncers []store.Bouncer, err error) {
	err = s.read(ctx, func(r Reader) error {
		columns, err := s.config.Columns(ctx, r, plan.TableLogEvent)
		if err != nil || len(columns) == 0 {
			return err
		}
		return all(ctx, r, func(scan func(...any) error) error {
			var b store.Bouncer
			err := scan(&b.Owner, &b.Hour, &b.Day)
			bouncers = append(bouncers, b)
			return err
		}, `SELECT owner, sum(seen_at >= ?), count(*) AS bounces FROM log_event WHERE kind = ? AND seen_at >= ? AND owner <> x''
			GROUP BY owner ORDER BY bounces DESC, owner LIMIT ?`, hour, plan.Bounce, day, most)
	})
	if err != nil {
		return nil, err
	}
	return bouncers, nil
}

// Places are how far each gateway has read its logs, sorted by gateway and log.
func (s *Store) Places(ctx context.Context) (places []engine.PutPlace, err error) {
	err = s.read(ctx, func(r Reader) error {
		return all(ctx, r, func(scan func(...any) error) error {
			var p engine.PutPlace
			err := scan(&p.Gateway, &p.Log, &p.Place, &p.At)
			places = append(places, p)
			return err
		}, "SELECT gateway, log, place, read_at FROM log_place ORDER BY gateway, log")
	})
	if err != nil {
		return nil, err
	}
	return places, nil
}
