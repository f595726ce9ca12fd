package sqlite

import (
	"context"
	"fmt"

	"exipol/generator/plan"
	"exipol/helper/store"
)

// Whys counts a greylist's first contacts at since or later (Unix milliseconds) by what
// was suspicious about them, the most frequent first. policy is the name of its rows.
// Rows that other rows stand for (they have no reason) do not count. What never came
// back expires long before what did: since should be no longer ago than a retry may
// take, or those who did not come back are missing.
func (s *Store) Whys(ctx context.Context, policy string, since, now int64) ([]store.WhyCount, error) {
	var all []store.WhyCount
	err := s.withReasons(ctx, func(db asker) error {
		rows, err := db.QueryContext(ctx, `SELECT why, count(*) AS contacts, sum(passed_at <> 0) FROM seen
			WHERE policy = ? AND why <> '' AND first_at >= ? AND expires_at > ? GROUP BY why ORDER BY contacts DESC, why`, policy, since, now)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var w store.WhyCount
			if err := rows.Scan(&w.Why, &w.Contacts, &w.LetIn); err != nil {
				return err
			}
			all = append(all, w)
		}
		return rows.Err()
	})
	return all, err
}

// Recent is a greylist's newest first contacts, at most so many, the newest first.
func (s *Store) Recent(ctx context.Context, policy string, most int, now int64) ([]store.Contact, error) {
	var all []store.Contact
	err := s.withReasons(ctx, func(db asker) error {
		rows, err := db.QueryContext(ctx, `SELECT key_, why, who, first_at, passed_at FROM seen
			WHERE policy = ? AND why <> '' AND expires_at > ? ORDER BY first_at DESC, key_ LIMIT ?`, policy, now, most)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var key []byte
			var c store.Contact
			if err := rows.Scan(&key, &c.Why, &c.Who, &c.First, &c.Passed); err != nil {
				return err
			}
			c.Key = string(key)
			all = append(all, c)
		}
		return rows.Err()
	})
	return all, err
}

// SeenKeys is all rows of one name in the table seen, at most so many, by key.
func (s *Store) SeenKeys(ctx context.Context, policy string, most int, now int64) ([]store.SeenKey, error) {
	var all []store.SeenKey
	err := s.withReasons(ctx, func(db asker) error {
		rows, err := db.QueryContext(ctx, `SELECT key_, first_at, passed_at, passes, counted_at, expires_at, why, who FROM seen
			WHERE policy = ? AND expires_at > ? ORDER BY key_ LIMIT ?`, policy, now, most)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var key []byte
			var k store.SeenKey
			if err := rows.Scan(&key, &k.Row.First, &k.Row.Passed, &k.Row.Passes, &k.Row.Counted, &k.Row.Expires, &k.Row.Why, &k.Row.Who); err != nil {
				return err
			}
			k.Key = string(key)
			all = append(all, k)
		}
		return rows.Err()
	})
	return all, err
}

// Learned counts what a list has learned: addresses, and domains, whose keys begin
// with an @.
func (s *Store) Learned(ctx context.Context, policy string, now int64) (store.Learned, error) {
	var l store.Learned
	err := s.withReasons(ctx, func(db asker) error {
		return db.QueryRowContext(ctx, `SELECT coalesce(sum(substr(key_, 1, 1) <> x'40'), 0), coalesce(sum(substr(key_, 1, 1) = x'40'), 0),
			coalesce(max(counted_at), 0) FROM seen WHERE policy = ? AND expires_at > ?`, policy, now).Scan(&l.Addresses, &l.Domains, &l.Newest)
	})
	return l, err
}

// withReasons runs f, if the store knows reasons: one that was made by an earlier
// version has none before its migration, and whoever only wants to see what is there
// need not fail.
func (s *Store) withReasons(ctx context.Context, f func(asker) error) error {
	columns, err := liveColumns(ctx, s.readDB, plan.TableSeen)
	if _, there := columns["who"]; err == nil && there {
		err = f(s.readDB)
	}
	if err != nil {
		return fmt.Errorf("store %s: %w", s.path, classify(err))
	}
	return nil
}
