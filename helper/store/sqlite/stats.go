package sqlite

import (
	"context"
	"fmt"
	"os"

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
func (s *Store) Stats(ctx context.Context, now int64) (store.Stats, error) {
	stats, err := s.stats(ctx, now)
	if err != nil {
		return stats, fmt.Errorf("store %s: %w", s.path, classify(err))
	}
	return stats, nil
}

func (s *Store) stats(ctx context.Context, now int64) (store.Stats, error) {
	var stats store.Stats
	for _, suffix := range []string{"", "-wal"} {
		if info, err := os.Stat(s.path + suffix); err == nil {
			stats.Bytes += info.Size()
		}
	}
	tx, err := s.readDB.BeginTx(ctx, nil)
	if err != nil {
		return stats, err
	}
	defer tx.Rollback()
	if stats.Version, err = version(ctx, tx); err != nil {
		return stats, err
	}
	for _, t := range counted {
		columns, err := liveColumns(ctx, tx, t.table)
		if err != nil {
			return stats, err
		}
		if len(columns) == 0 {
			continue
		}
		table, err := tableStats(ctx, tx, t.table, t.made, now)
		if err != nil {
			return stats, err
		}
		stats.Tables = append(stats.Tables, table)
	}
	return stats, nil
}

func tableStats(ctx context.Context, db asker, table, made string, now int64) (store.TableStats, error) {
	stats := store.TableStats{Name: table}
	if made == "" {
		return stats, db.QueryRowContext(ctx, "SELECT count(*), coalesce(sum(expires_at <= ?), 0) FROM "+table, now).Scan(&stats.Rows, &stats.Expired)
	}
	rows, err := db.QueryContext(ctx, "SELECT policy, count(*), sum(expires_at <= ?), min("+made+") FROM "+table+" GROUP BY policy ORDER BY policy", now)
	if err != nil {
		return stats, err
	}
	defer rows.Close()
	for rows.Next() {
		var p store.PolicyStats
		var expired int64
		if err := rows.Scan(&p.Policy, &p.Rows, &expired, &p.Oldest); err != nil {
			return stats, err
		}
		stats.Rows += p.Rows
		stats.Expired += expired
		stats.Policies = append(stats.Policies, p)
	}
	return stats, rows.Err()
}

// Top is a policy's n busiest keys in each table, at now (Unix milliseconds): by
// events, by distinct members, by passes.
func (s *Store) Top(ctx context.Context, policy string, n int, now int64) ([]store.TopKey, error) {
	var keys []store.TopKey
	for _, t := range counted {
		if t.top == "" {
			continue
		}
		columns, err := liveColumns(ctx, s.readDB, t.table)
		if err != nil {
			return nil, fmt.Errorf("store %s: %w", s.path, classify(err))
		}
		if len(columns) == 0 {
			continue
		}
		rows, err := s.readDB.QueryContext(ctx, t.top+" ORDER BY total DESC, key_ LIMIT ?", policy, now, n)
		if err != nil {
			return nil, fmt.Errorf("store %s: %w", s.path, classify(err))
		}
		defer rows.Close()
		for rows.Next() {
			var key []byte
			k := store.TopKey{Table: t.table}
			if err := rows.Scan(&key, &k.Span, &k.N, &k.LetIn); err != nil {
				return nil, fmt.Errorf("store %s: %w", s.path, classify(err))
			}
			k.Key, k.Since = normalize.CutSince(string(key))
			keys = append(keys, k)
		}
		if err := rows.Err(); err != nil {
			return nil, fmt.Errorf("store %s: %w", s.path, classify(err))
		}
	}
	return keys, nil
}
