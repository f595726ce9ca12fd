package sqlite

import (
	"context"
	sqldriver "database/sql/driver"
	"fmt"
	"io"

	"exipol/helper/store/portable"
)

// tx is portable.Tx over the writer's session, within a transaction that was begun. What it is asked is
// prepared once for each connection: package portable has a few dozen texts, and makes up none.
type tx struct {
	s *session
	c sqldriver.Conn
}

var _ portable.Tx = tx{}

func (t tx) Changes() *portable.Changes { return t.s.changed }

func (t tx) Query(take func(scan func(dest ...any) error) error, query string, args ...any) error {
	stmt, err := t.s.text(t.c, query)
	if err != nil {
		return err
	}
	rows, err := stmt.(sqldriver.StmtQueryContext).QueryContext(context.Background(), t.s.bind(args))
	if err != nil {
		return t.s.failed(err)
	}
	defer rows.Close()
	row := t.s.dest[:len(rows.Columns())]
	scan := func(dest ...any) error { return scan(row, dest) }
	for {
		if err := rows.Next(row); err == io.EOF {
			return nil
		} else if err != nil {
			return t.s.failed(err)
		}
		if err := take(scan); err != nil {
			return err
		}
	}
}

func (t tx) Exec(query string, args ...any) (changed int64, err error) {
	stmt, err := t.s.text(t.c, query)
	if err != nil {
		return 0, err
	}
	result, err := stmt.(sqldriver.StmtExecContext).ExecContext(context.Background(), t.s.bind(args))
	if err != nil {
		return 0, t.s.failed(err)
	}
	return result.RowsAffected()
}

// text is a prepared statement of any other text than those of the hot path.
func (s *session) text(c sqldriver.Conn, query string) (sqldriver.Stmt, error) {
	if stmt, ok := s.texts[query]; ok {
		return stmt, nil
	}
	stmt, err := c.(sqldriver.ConnPrepareContext).PrepareContext(context.Background(), query)
	if err != nil {
		return nil, s.failed(err)
	}
	if s.texts == nil {
		s.texts = map[string]sqldriver.Stmt{}
	}
	s.texts[query] = stmt
	return stmt, nil
}

// scan gives the values of a row to who wants them as something.
func scan(row []sqldriver.Value, dest []any) error {
	if len(row) != len(dest) {
		return fmt.Errorf("%d columns for %d values", len(row), len(dest))
	}
	for i, d := range dest {
		fits := true
		switch d := d.(type) {
		case *int64:
			*d, fits = row[i].(int64)
		case *int:
			var n int64
			n, fits = row[i].(int64)
			*d = int(n)
		case *bool:
			var n int64
			n, fits = row[i].(int64)
			*d = n != 0
		case *string:
			var blob []byte
			if *d, fits = row[i].(string); !fits {
				blob, fits = row[i].([]byte)
				*d = string(blob)
			}
		case *[]byte:
			var text string
			if *d, fits = row[i].([]byte); !fits {
				text, fits = row[i].(string)
				*d = []byte(text)
			}
		default:
			fits = false
		}
		if !fits {
			return fmt.Errorf("column %d: %T where %T belongs", i+1, row[i], d)
		}
	}
	return nil
}
