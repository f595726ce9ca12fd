package mysql

import (
	"bytes"
	"slices"
	"strings"

	"exipol/generator/plan"
)

// The most of one statement: servers take 16 MB (max_allowed_packet) if nobody made that less, and
// conditions with more parts take their optimizers more time for each.
const (
	rowsAtOnce       = 400
	conditionsAtOnce = 100
	bytesAtOnce      = 1 << 20
)

// bulk makes as few statements as can be of many rows, or of conditions for many rows: head, rows with between
// between them, tail. Rows whose first arguments are the same can be a group, between open and shut, with
// these arguments at its beginning.
type bulk struct {
	head, row, between, tail string
	group                    int // how many arguments make a group; 0: there are none
	open, shut               string
	most                     int // of the rows
	run                      func(statement string, args []any) error

	text  strings.Builder
	args  []any
	now   []any // the group
	rows  int
	bytes int
}

// add adds a row: the arguments of its group, and its own.
func (b *bulk) add(args ...any) error {
	size := len(b.row)
	for _, a := range args {
		switch a := a.(type) {
		case string:
			size += len(a)
		case []byte:
			size += len(a)
		default:
			size += 16
		}
	}
	if b.rows > 0 && (b.rows == b.most || b.bytes+size > bytesAtOnce) {
		if err := b.end(); err != nil {
			return err
		}
	}
	group, own := args[:b.group], args[b.group:]
	switch {
	case b.rows == 0:
		b.text.WriteString(b.head + b.open)
		b.args = append(b.args, group...)
	case slices.EqualFunc(group, b.now, same):
		b.text.WriteString(b.between)
	default:
		b.text.WriteString(b.shut + " OR " + b.open)
		b.args = append(b.args, group...)
	}
	b.text.WriteString(b.row)
	b.args, b.now = append(b.args, own...), group
	b.rows++
	b.bytes += size
	return nil
}

// same says whether two arguments are.
func same(a, b any) bool {
	if x, is := a.([]byte); is {
		y, too := b.([]byte)
		return too && bytes.Equal(x, y)
	}
	return a == b
}

// end runs what is left.
func (b *bulk) end() error {
	if b.rows == 0 {
		return nil
	}
	b.text.WriteString(b.shut + b.tail)
	text, args := b.text.String(), b.args
	b.text.Reset()
	b.args, b.rows, b.bytes = nil, 0, 0
	return b.run(text, args)
}

// table is what statements say of one table.
type table struct {
	name    string
	keys    []plan.Column // of the primary key
	columns []string      // the others
}

// Columns of primary keys.
var (
	policy  = plan.Column{Name: "policy", Type: plan.Name}
	key     = plan.Column{Name: "key_", Type: plan.Bytes}
	gateway = plan.Column{Name: "gateway", Type: plan.Name}
	message = plan.Column{Name: "message", Type: plan.Name}
)

var (
	seenTable    = table{plan.TableSeen, []plan.Column{policy, key}, []string{"first_at", "passed_at", "passes", "counted_at", "expires_at", "why", "who"}}
	counterTable = table{plan.TableCounter, []plan.Column{policy, {Name: "span", Type: plan.Int}, key, {Name: "slot", Type: plan.Int}}, []string{"n", "expires_at"}}
	memberTable  = table{plan.TableDistinct, []plan.Column{policy, key, {Name: "member_", Type: plan.Bytes}}, []string{"seen_at", "expires_at"}}
	sampleTable  = table{plan.TableSample, []plan.Column{policy, key, {Name: "n", Type: plan.Int}}, []string{"seen_at", "gateway", "message", "address", "line", "expires_at"}}
	arrivalTable = table{plan.TableArrival, []plan.Column{gateway, message}, []string{"traffic", "auth", "login", "client", "helo", "sender", "came_at", "expires_at"}}
	eventTable   = table{plan.TableLogEvent, []plan.Column{gateway, message, {Name: "item", Type: plan.Bytes}}, []string{"kind", "owner", "seen_at", "expires_at"}}
	placeTable   = table{plan.TableLogPlace, []plan.Column{gateway, {Name: "log", Type: plan.Bytes}}, []string{"place", "read_at"}}
)

// key names the columns of the primary key.
func (t table) key() (names []string) {
	for _, k := range t.keys {
		names = append(names, k.Name)
	}
	return names
}

// insert inserts rows of all columns; a row that is there is an error.
func (t table) insert(s *session) *bulk {
	columns := append(t.key(), t.columns...)
	return &bulk{
		head:    "INSERT INTO " + t.name + " (" + strings.Join(columns, ", ") + ") VALUES ",
		row:     "(?" + strings.Repeat(", ?", len(columns)-1) + ")",
		between: ", ",
		most:    rowsAtOnce,
		run:     s.do,
	}
}

// put inserts rows, and where there is one of that key does to it what set says; "" replaces it.
//
// VALUES is old in MySQL; the new way to say it is a syntax error to MariaDB.
func (t table) put(s *session, set string) *bulk {
	if set == "" {
		set = replaced(t.columns)
	}
	b := t.insert(s)
	b.tail = " ON DUPLICATE KEY UPDATE " + set
	return b
}

func replaced(columns []string) string {
	parts := make([]string, 0, len(columns))
	for _, c := range columns {
		parts = append(parts, c+" = VALUES("+c+")")
	}
	return strings.Join(parts, ", ")
}

// among reads rows of a table for which the condition of a group holds, that has so many arguments, and
// whose column has one of many values. last is how the statement ends.
//
// It does so by the primary key, whatever the optimizer thinks of a table that it has no figures of: a
// row that nobody asked for must not be waited for.
func among(from querier, columns, table, condition, column, last string, take func(scan func(...any) error) error) *bulk {
	return &bulk{
		head:    "SELECT " + columns + " FROM " + table + " FORCE INDEX (PRIMARY) WHERE ",
		group:   strings.Count(condition, "?"),
		open:    "(" + condition + " AND " + column + " IN (",
		row:     "?",
		between: ", ",
		shut:    "))",
		tail:    last,
		most:    rowsAtOnce,
		run:     func(statement string, args []any) error { return from.Query(take, statement, args...) },
	}
}

// matching are conditions for rows by their primary key. What many rows have in common stands at the front: else
// the servers' optimizers take time that grows with the square of the rows. MariaDB even reads the whole table for a
// list of rows in brackets, (message, item) IN (("1", "2"), ...).
func (t table) matching(head, tail string, run func(statement string, args []any) error) *bulk {
	group := max(1, len(t.keys)-2)
	keys := t.key()
	return &bulk{
		head:    head + " FROM " + t.name + " FORCE INDEX (PRIMARY) WHERE (",
		group:   group,
		open:    "(" + strings.Join(keys[:group], " = ? AND ") + " = ? AND (",
		row:     "(" + strings.Join(keys[group:], " = ? AND ") + " = ?)",
		between: " OR ",
		shut:    "))",
		tail:    ")" + tail,
		most:    conditionsAtOnce,
		run:     run,
	}
}

// delete removes rows by their primary key, those that a condition with these arguments, which
// may be none, holds for.
func (t table) delete(s *session, condition string, args ...any) *bulk {
	return t.matching("DELETE "+t.name, condition, func(statement string, keys []any) error { return s.do(statement, append(keys, args...)) })
}
