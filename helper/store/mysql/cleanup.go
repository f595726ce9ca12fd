package mysql

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"exipol/generator/plan"
	"exipol/helper/store"
)

// expiring are the tables whose rows end one by one; the desk's and what was said at run time are
// portable's.
var expiring = []struct {
	table
	index string
}{
	{counterTable, "counter_expires"}, {memberTable, "distinct_expires"}, {seenTable, "seen_expires"},
	{sampleTable, "sample_expires"}, {arrivalTable, "arrival_expires"}, {eventTable, "log_event_expires"},
}

// Cleanup implements store.Store. Which rows have ended is read without a lock; they are deleted by their keys, in the order
// in which updates lock them, if they have not been prolonged meanwhile. The caller paces it.
func (s *Store) Cleanup(ctx context.Context, now int64, batch int) (removed int, more bool, err error) {
	take := func(n int, again bool, err error) error {
		removed, more = removed+n, more || again
		if errors.Is(err, store.ErrMissing) { // a table that no policy needed so far
			return nil
		}
		return err
	}
	for _, e := range expiring {
		var n int
		err := s.transact(ctx, s.config.Timeout, func(session *session) (err error) {
			n, err = e.remove(session, e.index, now, batch)
			return err
		})
		if err := take(n, n >= batch, err); err != nil {
			return 0, false, s.named(err)
		}
	}
	for _, clean := range []func(tx *session) (int, bool, error){
		func(tx *session) (int, bool, error) { return s.CleanCases(tx, now, batch) },
		func(tx *session) (int, bool, error) { return s.CleanSaid(tx, now, batch) },
	} {
		var n int
		var again bool
		err := s.transact(ctx, s.config.Timeout, func(session *session) (err error) {
			n, again, err = clean(session)
			return err
		})
		if err := take(n, again, err); err != nil {
			return 0, false, s.named(err)
		}
	}
	return removed, more, nil
}

// remove deletes at most so many rows that ended at now or before.
func (t table) remove(s *session, index string, now int64, most int) (removed int, err error) {
	var found [][]any
	err = s.Query(func(scan func(...any) error) error {
		key, err := t.scanKey(scan)
		found = append(found, key)
		return err
	}, t.ended(index), now, int64(most))
	if err != nil {
		return 0, err
	}
	slices.SortFunc(found, compareKeys)
	b := t.matching("DELETE "+t.name, stillEnded, func(statement string, args []any) error {
		n, err := s.Exec(statement, append(args, now)...)
		removed += int(n)
		return err
	})
	for _, key := range found {
		if err := b.add(key...); err != nil {
			return 0, err
		}
	}
	return removed, b.end()
}

// ended finds the rows that ended first, by that index: it has places for now, and for how many.
func (t table) ended(index string) string {
	return "SELECT " + strings.Join(t.key(), ", ") + " FROM " + t.name + " FORCE INDEX (" + index + ") WHERE expires_at <= ? ORDER BY expires_at LIMIT ?"
}

// stillEnded spares rows that were prolonged meanwhile. It has a place for now.
const stillEnded = " AND expires_at <= ?"

// scanKey takes the primary key of a row: of string, []byte and int64, as arguments are.
func (t table) scanKey(scan func(...any) error) ([]any, error) {
	dest, key := make([]any, len(t.keys)), make([]any, len(t.keys))
	for i, k := range t.keys {
		switch k.Type {
		case plan.Name:
			dest[i] = new(string)
		case plan.Bytes:
			dest[i] = new([]byte)
		default:
			dest[i] = new(int64)
		}
	}
	err := scan(dest...)
	for i := range dest {
		switch d := dest[i].(type) {
		case *string:
			key[i] = *d
		case *[]byte:
			key[i] = *d
		case *int64:
			key[i] = *d
		}
	}
	return key, err
}

// compareKeys is the order of the primary key.
func compareKeys(a, b []any) int {
	for i := range a {
		var n int
		switch x := a[i].(type) {
		case string:
			n = strings.Compare(x, b[i].(string))
		case []byte:
			n = bytes.Compare(x, b[i].([]byte))
		case int64:
			n = cmp.Compare(x, b[i].(int64))
		}
		if n != 0 {
			return n
		}
	}
	return 0
}
