package portable

import (
	"fmt"
	"strconv"
)

// Rows of meta that count up.
const (
	// deskTurn is written first by every transaction that opens or raises a case, decides about one or closes it,
	// notes a held message or claims what is to be told, before it looks at what it goes by. So one row serialises all
	// of them: on one server by its lock, which holds until the commit, so that who comes second looks at what the first has
	// committed; and between two nodes of a cluster, where a lock of one is none of the other, because both
	// have written the same row, of which the cluster's certification lets one pass. What else they lock they
	// lock after it, so no two of them can wait for each other.
	deskTurn = "desk_turn"
	// lastCase is the greatest id of a case given so far: none is used twice.
	lastCase = "last_case"
	// lastAllowance is likewise of the run-time entries. It is written first by who adds one.
	lastAllowance = "last_allowance"
	// lastStandings numbers the changes of the table standing, by which a process sees that what it remembers is
	// old. It is written under deskTurn alone, so the numbers are committed in their order.
	lastStandings = "last_standings"
)

// Turn waits until nobody else is changing cases, their standings, what they hold, and who is to be told, and
// keeps them from it until the transaction ends. What is locked before it are rows of other tables: who removes rows
// of the table standing or held takes his turn first. A second call costs nothing.
func (s *Store) Turn(tx Tx) error {
	changes := tx.Changes()
	if changes.turn {
		return nil
	}
	if _, err := tx.Exec(s.config.Dialect.CountUp, deskTurn); err != nil {
		return err
	}
	changes.turn = true
	return nil
}

// count counts a row of meta up and gives its number, which nobody else gets.
func (s *Store) count(tx Tx, row string) (int64, error) {
	if _, err := tx.Exec(s.config.Dialect.CountUp, row); err != nil {
		return 0, err
	}
	var text string
	if _, err := one(tx, []any{&text}, "SELECT value FROM meta WHERE name = ?", row); err != nil {
		return 0, err
	}
	return number(row, text)
}

// number is the number in a row of meta.
func number(row, text string) (n int64, err error) {
	if n, err = strconv.ParseInt(text, 10, 64); err != nil {
		return 0, fmt.Errorf("row %s of table meta: %q where a number belongs", row, text)
	}
	return n, nil
}

// one runs a query for at most one row; found says whether there is one.
func one(tx Tx, dest []any, query string, values ...any) (found bool, err error) {
	err = tx.Query(func(scan func(...any) error) error {
		found = true
		return scan(dest...)
	}, query, values...)
	return found && err == nil, err
}
