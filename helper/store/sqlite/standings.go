package sqlite

import (
	"context"
	sqldriver "database/sql/driver"
	"sync"

	"exipol/helper/engine"
)

// stood is what is remembered of the table standing. A number in meta counts its changes: while it is
// the remembered one, or this process made all changes since, nothing is read.
type stood struct {
	mu   sync.Mutex
	last int64 // the number; 0: nothing is remembered
	all  *engine.Standings
}

// restood are the changes of the table standing in one transaction of the writer's.
type restood struct {
	first, last int64 // their numbers; 0: there are none
	all         []engine.Standing
	removed     bool // rows went, too: what they said has ended, but it should not be remembered for ever
}

// standings are those that block now, those on probation, and those that were released no longer
// ago than their policy's longest window: it counts nothing that was before.
func (s *Store) standings(ctx context.Context, db asker, now int64) (*engine.Standings, error) {
	var last int64
	err := db.QueryRowContext(ctx, "SELECT cast(coalesce(max(value), '0') AS INTEGER) FROM meta WHERE name = ?", lastStandings).Scan(&last)
	if err != nil || last == 0 { // no case ever
		return nil, err
	}
	s.stood.mu.Lock()
	defer s.stood.mu.Unlock()
	if s.stood.last >= last { // or it was committed after this reading began
		return s.stood.all, nil
	}
	var found []engine.Standing
	err = all(ctx, db, func(scan func(...any) error) error {
		var st engine.Standing
		err := scan(&st.Policy, &st.Key, &st.Case, &st.Tier, &st.Rank, &st.Blocks, &st.Since, &st.Until, &st.Released, &st.Cleared, &st.Probation)
		found = append(found, st)
		return err
	}, `SELECT policy, key_, case_id, tier, ranking, blocks, since_at, until_at, released_at, cleared_at, probation_at FROM standing
		WHERE expires_at > ? AND (blocks = 1 OR probation_at > 0 OR cleared_at > 0)`, now)
	if err != nil {
		return nil, err
	}
	s.stood.last, s.stood.all = last, new(engine.Standings).With(found)
	return s.stood.all, nil
}

// changedStanding gives a change of the table standing its number; nil is one that removed rows.
func (s *session) changedStanding(c sqldriver.Conn, st *engine.Standing) error {
	if _, err := s.run(c, countUp, lastStandings); err != nil {
		return err
	}
	n, err := s.number(c, "SELECT cast(value AS INTEGER) FROM meta WHERE name = ?", lastStandings)
	if err != nil {
		return err
	}
	r := &s.restood
	if r.last = n; r.first == 0 {
		r.first = n
	}
	if st == nil {
		r.removed = true
	} else {
		r.all = append(r.all, *st)
	}
	return nil
}

// restand takes in what a transaction has committed, where nothing else has changed since what
// is remembered.
func (s *Store) restand(r restood) {
	if r.last == 0 || r.removed {
		return
	}
	s.stood.mu.Lock()
	defer s.stood.mu.Unlock()
	if s.stood.last > 0 && s.stood.last == r.first-1 {
		s.stood.last, s.stood.all = r.last, s.stood.all.With(r.all)
	}
}
