package portable

import (
	"strings"

	"exipol/generator/plan"
	"exipol/helper/store"
)

// caseRows are about how many rows a case has.
const caseRows = 25

const (
	selectEnded = "SELECT c.id FROM desk_case c WHERE " + hasEnded + " ORDER BY c.until_at LIMIT ?"
	selectOld   = `SELECT c.id FROM desk_case c WHERE c.expires_at <= ?
		AND NOT EXISTS (SELECT 1 FROM held h WHERE h.case_id = c.id AND h.gone_at = 0) ORDER BY c.expires_at LIMIT ?`
)

// CleanCases removes standings and held messages that ended at now (Unix milliseconds) or before, at most
// batch of each; it closes cases that have ended by themselves and hold nothing, and removes such that were closed
// long ago with all that belongs to them. more says that it is to be called again. The error is store.ErrMissing where the
// tables are not there: no policy needs them.
//
// Where there is nothing to do it only looks. Otherwise it has its turn before it removes anything, so
// a transaction that calls it should not have locked rows of the desk's tables before.
func (s *Store) CleanCases(tx Tx, now int64, batch int) (removed int, more bool, err error) {
	standings, again, err := s.removeSome(tx, standingTable, "expires_at <= ?", "expires_at", now, batch)
	if err == nil && standings > 0 {
		err = s.StandingsGone(tx)
	}
	if err != nil {
		return 0, false, err
	}
	messages, moreHeld, err := s.removeSome(tx, heldTable, "expires_at <= ?", "expires_at", now, batch)
	if err != nil {
		return 0, false, err
	}
	most := max(batch/caseRows, 1)
	ended, err := s.endCases(tx, now, most)
	if err != nil {
		return 0, false, err
	}
	old, rows, err := s.removeCases(tx, now, most)
	if err != nil {
		return 0, false, err
	}
	return standings + messages + rows, again || moreHeld || ended == most || old == most, nil
}

// endCases closes at most so many cases that have ended by themselves.
func (s *Store) endCases(tx Tx, now int64, most int) (int, error) {
	ids, err := s.turnFor(tx, selectEnded, now, most)
	if err != nil {
		return 0, err
	}
	for _, id := range ids {
		if _, err := tx.Exec("UPDATE desk_case SET state = ?, decided_at = ?, expires_at = ? WHERE id = ?", store.CaseEnded, now, now+keepClosed, id); err != nil {
			return 0, err
		}
		if err := audit(tx, id, store.Audit{At: now, Did: "ended"}); err != nil {
			return 0, err
		}
	}
	return len(ids), nil
}

// removeCases removes at most so many cases that were closed long ago; rows are theirs.
func (s *Store) removeCases(tx Tx, now int64, most int) (cases, rows int, err error) {
	ids, err := s.turnFor(tx, selectOld, now, most)
	if err != nil {
		return 0, 0, err
	}
	for _, id := range ids {
		for _, query := range []string{
			"DELETE FROM evidence WHERE case_id = ?", "DELETE FROM audit WHERE case_id = ?", "DELETE FROM notice WHERE case_id = ?",
			"DELETE FROM held WHERE case_id = ?", "DELETE FROM desk_case WHERE id = ?",
		} {
			n, err := tx.Exec(query, id)
			if err != nil {
				return 0, 0, err
			}
			rows += int(n)
		}
	}
	return len(ids), rows, nil
}

// turnFor gives the ids that a query finds when this transaction has its turn, which it waits for if there are any.
func (s *Store) turnFor(tx Tx, query string, now int64, most int) (ids []int64, err error) {
	find := func() error {
		ids = nil
		return tx.Query(func(scan func(...any) error) error {
			var id int64
			err := scan(&id)
			ids = append(ids, id)
			return err
		}, query, now, int64(most))
	}
	if err := find(); err != nil || len(ids) == 0 || tx.Changes().turn {
		return ids, err
	}
	if err := s.Turn(tx); err != nil {
		return nil, err
	}
	err = find()
	return ids, err
}

// CleanSaid removes at most batch of the allowances, and of the switches, that ended at now (Unix milliseconds) or
// before, and of the gateways that were not seen for a week. more says that it is to be called again.
func (s *Store) CleanSaid(tx Tx, now int64, batch int) (removed int, more bool, err error) {
	for _, e := range []struct {
		table     table
		condition string
		order     string
		until     int64
	}{
		{allowanceTable, "until_at > 0 AND until_at <= ?", "id", now}, {switchedTable, "until_at > 0 AND until_at <= ?", "policy", now},
		{gatewayTable, "seen_at <= ?", "name", now - keepGateway},
	} {
		n, again, err := s.removeSome(tx, e.table, e.condition, e.order, e.until, batch)
		if err != nil {
			return 0, false, err
		}
		removed, more = removed+n, more || again
	}
	return removed, more, nil
}

// table is one that removeSome knows.
type table struct {
	name string
	keys []plan.Column
	turn bool // its rows are changed by who has his turn
}

var (
	standingTable  = table{plan.TableStanding, []plan.Column{{Name: "policy", Type: plan.Name}, {Name: "key_", Type: plan.Bytes}}, true}
	heldTable      = table{plan.TableHeld, []plan.Column{{Name: "gateway", Type: plan.Name}, {Name: "message", Type: plan.Name}}, true}
	allowanceTable = table{plan.TableAllowance, []plan.Column{{Name: "id", Type: plan.Int}}, false}
	switchedTable  = table{plan.TableSwitched, []plan.Column{{Name: "policy", Type: plan.Name}}, false}
	gatewayTable   = table{plan.TableGateway, []plan.Column{{Name: "name", Type: plan.Name}}, false}
)

// removeSome removes at most so many rows that a condition with one place holds for: it looks for their keys, and
// then removes each, if the condition holds for it still. No statement that removes by a query of the same table, with a limit, is
// of all databases, and one by one they lock no row that stays.
func (s *Store) removeSome(tx Tx, t table, condition, order string, until int64, most int) (removed int, more bool, err error) {
	var names, where []string
	for _, k := range t.keys {
		names, where = append(names, k.Name), append(where, k.Name+" = ?")
	}
	var found [][]any
	if err := tx.Query(func(scan func(...any) error) error {
		key, err := t.scan(scan)
		found = append(found, key)
		return err
	}, "SELECT "+strings.Join(names, ", ")+" FROM "+t.name+" WHERE "+condition+" ORDER BY "+order+" LIMIT ?", until, int64(most)); err != nil {
		return 0, false, err
	}
	if len(found) > 0 && t.turn {
		if err := s.Turn(tx); err != nil {
			return 0, false, err
		}
	}
	statement := "DELETE FROM " + t.name + " WHERE " + strings.Join(where, " AND ") + " AND " + condition
	for _, key := range found {
		n, err := tx.Exec(statement, append(key, until)...)
		if err != nil {
			return 0, false, err
		}
		removed += int(n)
	}
	return removed, len(found) >= most, nil
}

// scan takes the key of a row.
func (t table) scan(scan func(...any) error) ([]any, error) {
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
