package imports

import (
	"bufio"
	"errors"
	"fmt"
	"strings"
)

// sql reads what mysqldump writes: it knows CREATE TABLE, for the order of the columns, and INSERT and
// REPLACE with VALUES. Everything else it reads past. One statement may be of any length; rows are
// handed out one by one.
type sql struct {
	in      *bufio.Reader
	line    int
	known   map[string][]string // the tables that are wanted, with their usual columns
	columns map[string][]string // as the dump creates them
	bad     Bad
	take    func(row) error

	again *token // unread
}

// errEnd is a dump that ends within a statement.
var errEnd = errors.New("ends in the middle of a statement")

func (s *sql) read() error {
	for {
		t, err := s.next()
		switch {
		case err != nil:
			return fmt.Errorf("line %d: %w", s.line, err)
		case t.kind == end:
			return nil
		case t.is("create"):
			err = s.create()
		case t.is("insert", "replace"):
			err = s.insert()
		case !t.is(";"):
			err = s.skip()
		}
		if errors.Is(err, errEnd) {
			s.bad(s.line, err.Error())
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// skip reads to the end of the statement.
func (s *sql) skip() error {
	for {
		t, err := s.next()
		if err != nil || t.kind == end || t.is(";") {
			return err
		}
	}
}

// create notes a table's columns: the first name of each item between the outer parentheses.
func (s *sql) create() error {
	table, err := s.tableName("(", ";")
	if err != nil || table == "" {
		return err
	}
	var columns []string
	depth, first := 0, true
	for {
		t, err := s.next()
		switch {
		case err != nil:
			return err
		case t.kind == end:
			return errEnd
		case t.is(";"):
			if s.known[table] != nil {
				s.columns[table] = columns
			}
			return nil
		case t.is("("):
			depth++
			first = depth == 1
			continue
		case t.is(")"):
			depth--
		case depth == 1 && t.is(","):
			first = true
			continue
		case depth == 1 && first && (t.kind == name || t.kind == word && !t.is("key", "primary", "unique", "index", "constraint", "fulltext", "spatial", "check")):
			columns = append(columns, strings.ToLower(t.text))
		}
		first = false
	}
}

// tableName is the last name before one of these words, in lower case; that word is left.
func (s *sql) tableName(until ...string) (string, error) {
	table := ""
	for {
		t, err := s.next()
		switch {
		case err != nil:
			return "", err
		case t.kind == end:
			return "", errEnd
		case t.is(until...):
			s.again = &t
			return table, nil
		case t.kind == name || t.kind == word:
			table = strings.ToLower(t.text)
		}
	}
}

// insert hands out the rows of INSERT INTO table [(columns)] VALUES (...), (...);
func (s *sql) insert() error {
	table, err := s.tableName("(", ";", "values", "value", "select", "set")
	if err != nil {
		return err
	}
	columns := s.known[table]
	if columns == nil {
		return s.skip()
	}
	if created := s.columns[table]; created != nil {
		columns = created
	}
	t, err := s.next()
	if err == nil && t.is("(") {
		var names []string
		if names, _, err = s.list(); err == nil {
			columns = lower(names)
			t, err = s.next()
		}
	}
	if err != nil {
		return err
	}
	if !t.is("values", "value") {
		s.bad(s.line, "an INSERT that is not of mysqldump's form")
		return s.skip()
	}
	return s.values(table, columns)
}

func (s *sql) values(table string, columns []string) error {
	for {
		t, err := s.next()
		switch {
		case err != nil:
			return err
		case t.kind == end:
			return errEnd
		case t.is(";"):
			return nil
		case t.is(","):
			continue
		case !t.is("("):
			s.bad(s.line, "an INSERT that is not of mysqldump's form")
			return s.skip()
		}
		line := s.line
		values, long, err := s.list()
		switch {
		case err != nil:
			return err
		case long:
			s.bad(line, fmt.Sprintf("a value of more than %d bytes", longest))
		case len(values) != len(columns):
			s.bad(line, fmt.Sprintf("%d values for %d columns", len(values), len(columns)))
		default:
			if err := s.take(newRow(line, table, columns, values)); err != nil {
				return err
			}
		}
	}
}

// mostValues is more columns than any of the tables has; further ones are not kept.
const mostValues = 64

// list reads names or values up to the closing parenthesis. NULL is "".
func (s *sql) list() (values []string, long bool, err error) {
	value := ""
	for {
		t, err := s.next()
		switch {
		case err != nil:
			return nil, false, err
		case t.kind == end:
			return nil, false, errEnd
		case t.is(",", ")"):
			if len(values) < mostValues {
				values = append(values, value)
			}
			if value = ""; t.text == ")" {
				return values, long, nil
			}
		case t.is("null"):
		case t.kind == word && strings.HasPrefix(t.text, "_"): // _binary 'x'
		case t.kind == other && t.text == "-":
			value = "-"
		case t.kind != other:
			value += t.text
			long = long || t.long || len(value) > longest
			value = value[:min(len(value), longest)]
		}
	}
}
