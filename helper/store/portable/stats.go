package portable

import (
	"context"

	"exipol/helper/normalize"
	"exipol/helper/store"
)

// counted are the tables that Stats counts, sorted. When a counter's row was made is known from
// its end. Without made, a table's rows belong to no policy; without top, Top does not look at it.
var counted = []struct{ table, made, top string }{
	{"arrival", "", ""},
	{"counter", "expires_at - span * 1000", "SELECT key_, span, sum(n) AS total, 0 FROM counter WHERE policy = ? AND expires_at > ? GROUP BY span, key_"},
	{"desk_case", "opened_at", ""},
	{"distinct_member", "seen_at", "SELECT key_, 0, count(*) AS total, 0 FROM distinct_member WHERE policy = ? AND expires_at > ? GROUP BY key_"},
	{"held", "", ""},
	{"log_event", "", ""},
	{"sample", "seen_at", ""},
	{"seen", "first_at", "SELECT key_, 0, passes AS total, passed_at <> 0 FROM seen WHERE policy = ? AND expires_at > ?"},
	{"standing", "since_at", ""},
}

// Stats counts everything; a million rows take it about a second. now is Unix
// milliseconds.
func (s *Store) Stats(ctx context.Context, now int64) (stats store.Stats, err error) {
	err = s.snapshot(ctx, func(r Reader) error {
		stats = store.Stats{}
		if stats.Bytes, err = s.config.Size(ctx, r); err != nil {
			return err
		}
		if stats.Version, err = s.config.Version(ctx, r); err != nil {
			return err
		}
		for _, t := range counted {
			columns, err := s.config.Columns(ctx, r, t.table)
			if err != nil {
				return err
			}
			if len(columns) == 0 {
				continue
			}
			table, err := tableStats(ctx, r, t.table, t.made, now)
			if err != nil {
				return err
			}
			stats.Tables = append(stats.Tables, table)
		}
		return nil
	})
	return stats, err
}

func tableStats(ctx context.Context, r Reader, table, made string, now int64) (store.TableStats, error) {
	stats := store.TableStats{Name: table}
	if made == "" {
		return stats, r.QueryRowContext(ctx, "SELECT count(*), coalesce(sum(expires_at <= ?), 0) FROM "+table, now).Scan(&stats.Rows, &stats.Expired)
	}
	err := all(ctx, r, func(scan func(...any) error) error {
		var p store.PolicyStats
		var expired int64
		err := scan(&p.Policy, &p.Rows, &expired, &p.Oldest)
		stats.Rows += p.Rows
		stats.Expired += expired
		stats.Policies = append(stats.Policies, p)
		return err
	}, "SELECT policy, count(*), sum(expires_at <= ?), min("+made+") FROM "+table+" GROUP BY policy ORDER BY policy", now)
	return stats, err
}

// Top is a policy's n busiest keys in each table, at now (Unix milliseconds): by
// events, by distinct members, by passes.
func (s *Store) Top(ctx context.Context, policy string, n int, now int64) (keys []store.TopKey, err error) {
	err = s.read(ctx, func(r Reader) error {
		for _, t := range counted {
			if t.top == "" {
				continue
			}
			columns, err := s.config.Columns(ctx, r, t.table)
			if err != nil {
				return err
			}
			if len(columns) == 0 {
				continue
			}
			if err := all(ctx, r, func(scan func(...any) error) error {
				var key string
				k := store.TopKey{Table: t.table}
				err := scan(&key, &k.Span, &k.N, &k.LetIn)
				k.Key, k.Since = normalize.CutSince(key)
				keys = append(keys, k)
				return err
			}, t.top+" ORDER BY total DESC, key_ LIMIT ?", ShortName(policy), now, n); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return keys, nil
}
