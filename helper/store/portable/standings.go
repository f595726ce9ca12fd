package portable

import (
	"context"
	"sync"

	"exipol/helper/engine"
)

// Changes are what one transaction changed of the table standing. The zero value is none.
type Changes struct {
	turn        bool  // it has its turn at the desk
	first, last int64 // the changes' numbers; 0: there are none
	all         []engine.Standing
	removed     bool // rows went, too: what they said has ended, but it should not be remembered for ever
}

// stood is what is remembered of the table standing. A number in meta counts its changes: while it is
// the remembered one, or this process made all changes since, nothing is read. As who changes the table holds
// the number's row until the commit, the numbers are in the order of the commits, on however many machines.
type stood struct {
	mu      sync.Mutex
	last    int64 // the number; 0: nothing is remembered
	all     *engine.Standings
	reading int        // how many read the table now,
	missed  []*Changes // and what was committed meanwhile and did not fit
	age     int64      // grows with Forget
}

// standings are those that block now, those on probation, and those that were released no longer
// ago than their policy's longest window: it counts nothing that was before.
func (s *Store) standings(ctx context.Context, r Reader, now int64) (*engine.Standings, error) {
	known := s.stood.remembered()
	age := s.stood.begin()
	last, found, err := s.readStandings(ctx, r, now, known)
	return s.stood.end(age, last, found), err
}

// remembered is the number of the change that is remembered.
func (s *stood) remembered() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// begin is called before a reading.
func (s *stood) begin() (age int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reading++
	return s.age
}

// readStandings gives what the table holds, and the number of its last change; 0 where that is what is remembered.
// A number below the one that was known before has come from another history: a backup was restored, or a replica that
// lacked the last second is reached by the same name. Then nothing that is remembered can be relied on.
func (s *Store) readStandings(ctx context.Context, r Reader, now, known int64) (last int64, found *engine.Standings, err error) {
	var text string
	err = r.QueryRowContext(ctx, "SELECT coalesce(max(value), '0') FROM meta WHERE name = ?", lastStandings).Scan(&text)
	if err == nil {
		last, err = number(lastStandings, text)
	}
	if err == nil && last < known {
		s.Forget()
	}
	if err != nil || last == 0 { // no case ever
		return 0, nil, err
	}
	if found, known := s.stood.knows(last); known {
		return 0, found, nil
	}
	var rows []engine.Standing
	err = all(ctx, r, func(scan func(...any) error) error {
		var st engine.Standing
		err := scan(&st.Policy, &st.Key, &st.Case, &st.Tier, &st.Rank, &st.Blocks, &st.Since, &st.Until, &st.Released, &st.Cleared, &st.Probation)
		rows = append(rows, st)
		return err
	}, `SELECT policy, key_, case_id, tier, ranking, blocks, since_at, until_at, released_at, cleared_at, probation_at FROM standing
		WHERE expires_at > ? AND (blocks = 1 OR probation_at > 0 OR cleared_at > 0)`, now)
	if err != nil {
		return 0, nil, err
	}
	return last, new(engine.Standings).With(rows), nil
}

// knows gives what is remembered where it is of that change, or of a later one: that was committed after the reading began.
func (s *stood) knows(last int64) (*engine.Standings, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all, s.last >= last
}

// end takes in what was read, and what was committed meanwhile, and gives what is remembered then.
func (s *stood) end(age, last int64, found *engine.Standings) *engine.Standings {
	s.mu.Lock()
	defer s.mu.Unlock()
	missed := s.missed
	if s.reading--; s.reading == 0 {
		s.missed = nil
	}
	if s.age != age { // something was forgotten meanwhile: this is for its caller alone
		return found
	}
	if s.last < last {
		s.last, s.all = last, found
	}
	for _, c := range missed {
		s.take(c)
	}
	if s.last == 0 {
		return found
	}
	return s.all
}

// take takes in changes that are next; the caller holds mu.
func (s *stood) take(c *Changes) (fits bool) {
	if c.removed || s.last == 0 || s.last != c.first-1 {
		return false
	}
	s.last, s.all = c.last, s.all.With(c.all)
	return true
}

// Committed takes in what a transaction has committed, where nothing else has changed since what
// is remembered. It does not wait for a database.
func (s *Store) Committed(c *Changes) {
	if c.last == 0 {
		return
	}
	s.stood.mu.Lock()
	defer s.stood.mu.Unlock()
	if !s.stood.take(c) && s.stood.reading > 0 {
		s.stood.missed = append(s.stood.missed, c)
	}
}

// Forget makes the next Runtime read all standings again. A kind calls it when it goes over to another host: that may know
// less than this process does, and number its changes anew.
func (s *Store) Forget() {
	s.stood.mu.Lock()
	defer s.stood.mu.Unlock()
	s.stood.last, s.stood.all, s.stood.missed = 0, nil, nil
	s.stood.age++
}

// StandingsGone notes that rows of the table standing were removed.
func (s *Store) StandingsGone(tx Tx) error { return s.changed(tx, nil) }

// changed gives a change of the table standing its number; nil is one that removed rows.
func (s *Store) changed(tx Tx, st *engine.Standing) error {
	if err := s.Turn(tx); err != nil {
		return err
	}
	n, err := s.count(tx, lastStandings)
	if err != nil {
		return err
	}
	c := tx.Changes()
	if c.last = n; c.first == 0 {
		c.first = n
	}
	if st == nil {
		c.removed = true
	} else {
		c.all = append(c.all, *st)
	}
	return nil
}
