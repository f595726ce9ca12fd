package portable

import (
	"context"

	"exipol/generator/plan"
	"exipol/helper/store"
)

// Whys counts a greylist's first contacts at since or later (Unix milliseconds) by what
// was suspicious about them, the most frequent first. policy is the name of its rows.
// Rows that other rows stand for (they have no reason) do not count. What never came
// back expires long before what did: since should be no longer ago than a retry may
// take, or those who did not come back are missing.
func (s *Store) Whys(ctx context.Context, policy string, since, now int64) (whys []store.WhyCount, err error) {
	err = s.seen(ctx, func(scan func(...any) error) error {
		var w store.WhyCount
		err := scan(&w.Why, &w.Contacts, &w.LetIn)
		whys = append(whys, w)
		return err
	}, `SELECT why, count(*) AS contacts, sum(passed_at <> 0) FROM seen
		WHERE policy = ? AND why <> '' AND first_at >= ? AND expires_at > ? GROUP BY why ORDER BY contacts DESC, why`, ShortName(policy), since, now)
	return whys, err
}

// Recent is a greylist's newest first contacts, at most so many, the newest first.
func (s *Store) Recent(ctx context.Context, policy string, most int, now int64) (contacts []store.Contact, err error) {
	err = s.seen(ctx, func(scan func(...any) error) error {
		var c store.Contact
		err := scan(&c.Key, &c.Why, &c.Who, &c.First, &c.Passed)
		contacts = append(contacts, c)
		return err
	}, `SELECT key_, why, who, first_at, passed_at FROM seen
		WHERE policy = ? AND why <> '' AND expires_at > ? ORDER BY first_at DESC, key_ LIMIT ?`, ShortName(policy), now, most)
	return contacts, err
}

// SeenKeys is all rows of one name in the table seen, at most so many, by key.
func (s *Store) SeenKeys(ctx context.Context, policy string, most int, now int64) (keys []store.SeenKey, err error) {
	err = s.seen(ctx, func(scan func(...any) error) error {
		var k store.SeenKey
		err := scan(&k.Key, &k.Row.First, &k.Row.Passed, &k.Row.Passes, &k.Row.Counted, &k.Row.Expires, &k.Row.Why, &k.Row.Who)
		keys = append(keys, k)
		return err
	}, `SELECT key_, first_at, passed_at, passes, counted_at, expires_at, why, who FROM seen
		WHERE policy = ? AND expires_at > ? ORDER BY key_ LIMIT ?`, ShortName(policy), now, most)
	return keys, err
}

// Learned counts what a list has learned: addresses, and domains, whose keys begin
// with an @.
func (s *Store) Learned(ctx context.Context, policy string, now int64) (l store.Learned, err error) {
	err = s.seen(ctx, func(scan func(...any) error) error { return scan(&l.Addresses, &l.Domains, &l.Newest) },
		`SELECT coalesce(sum(substr(key_, 1, 1) <> x'40'), 0), coalesce(sum(substr(key_, 1, 1) = x'40'), 0), coalesce(max(counted_at), 0)
		FROM seen WHERE policy = ? AND expires_at > ?`, ShortName(policy), now)
	return l, err
}

// seen asks the table seen, if the store knows reasons: one that was made by an earlier
// version has none before its migration, and whoever only wants to see what is there
// need not fail.
func (s *Store) seen(ctx context.Context, take func(scan func(...any) error) error, query string, values ...any) error {
	return s.read(ctx, func(r Reader) error {
		columns, err := s.config.Columns(ctx, r, plan.TableSeen)
		if err != nil || !columns["who"] {
			return err
		}
		return all(ctx, r, take, query, values...)
	})
}
