package copying

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf8"

	"exipol/generator/plan"
	"exipol/helper/store/schema"
)

// Of a batch: the most rows, and the bytes with which one is full. Servers take statements of a few MiB.
const (
	batchRows  = 1000
	batchBytes = 1 << 20
)

// sum is what a table's rows come to, whatever their order.
type sum struct {
	rows int64
	a, b uint64
}

// add takes in a row.
func (s *sum) add(row []any) {
	h := sha256.New()
	var word [9]byte
	for _, value := range row {
		var text []byte
		switch v := value.(type) {
		case int64:
			word[0] = 'i'
			binary.BigEndian.PutUint64(word[1:], uint64(v))
		case string:
			text = []byte(v)
		case []byte:
			text = v
		}
		if _, number := value.(int64); !number {
			word[0] = 't'
			binary.BigEndian.PutUint64(word[1:], uint64(len(text)))
		}
		h.Write(word[:])
		h.Write(text)
	}
	digest := h.Sum(nil)
	s.rows++
	s.a += binary.BigEndian.Uint64(digest)
	s.b += binary.BigEndian.Uint64(digest[8:])
}

// each calls f for every row of a table, sorted by its key, with its values and about how many bytes they have. The
// values are f's to keep.
func each(ctx context.Context, r schema.Reader, t plan.Table, f func(row []any, size int) error) error {
	columns := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		columns[i] = c.Name
	}
	rows, err := r.QueryContext(ctx, "SELECT "+strings.Join(columns, ", ")+" FROM "+t.Name+where(t.Name)+" ORDER BY "+strings.Join(t.Key, ", "))
	if err != nil {
		return err
	}
	defer rows.Close()
	numbers, texts, dest := make([]int64, len(columns)), make([]sql.RawBytes, len(columns)), make([]any, len(columns))
	for i, c := range t.Columns {
		if dest[i] = &texts[i]; c.Type == plan.Int {
			dest[i] = &numbers[i]
		}
	}
	for rows.Next() {
		if err := rows.Scan(dest...); err != nil {
			return fmt.Errorf("table %s: %w", t.Name, err)
		}
		row, size := make([]any, len(columns)), 0
		for i, c := range t.Columns {
			switch c.Type {
			case plan.Int:
				row[i] = numbers[i]
				size += 8
			case plan.Name, plan.Text:
				row[i] = string(texts[i])
				size += len(texts[i])
			default:
				row[i] = append([]byte{}, texts[i]...)
				size += len(texts[i])
			}
		}
		if err := f(row, size); err != nil {
			return err
		}
	}
	return rows.Err()
}

// transfer copies a table's rows.
func transfer(ctx context.Context, r schema.Reader, to Store, has plan.Table, told func(rows int64)) (copied sum, mended int64, err error) {
	whole := made(has.Name)
	var batch [][]any
	size := 0
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		if err := to.Insert(ctx, whole, batch); err != nil {
			return fmt.Errorf("copy table %s, %d rows from its row %d on: %w", has.Name, len(batch), copied.rows-int64(len(batch))+1, err)
		}
		batch, size = nil, 0
		told(copied.rows)
		return nil
	}
	err = each(ctx, r, has, func(row []any, n int) error {
		row, m := fit(whole, has, row)
		mended += m
		copied.add(row)
		batch = append(batch, row)
		if size += n; len(batch) < batchRows && size < batchBytes {
			return nil
		}
		return flush()
	})
	if err == nil {
		err = flush()
	}
	return copied, mended, err
}

// made is a table with all its columns.
func made(name string) plan.Table {
	for _, t := range schema.Ever().Tables {
		if t.Name == name {
			return t
		}
	}
	return plan.Table{}
}

// fit gives a row all columns of its table: a store of an earlier version may not have all. Text that is not
// what its column is for, which a server would refuse, is made so; SQLite takes anything.
func fit(whole, has plan.Table, row []any) (all []any, mended int64) {
	at := map[string]any{}
	for i, c := range has.Columns {
		at[c.Name] = row[i]
	}
	for _, c := range whole.Columns {
		value, ok := at[c.Name]
		if !ok {
			value = map[string]any{plan.Int: int64(0), plan.Name: "", plan.Text: "", plan.Bytes: []byte{}, plan.Raw: []byte{}}[c.Type]
		}
		if text, ok := value.(string); ok {
			fitting := text
			switch {
			case c.Type == plan.Text && !utf8.ValidString(text):
				fitting = strings.ToValidUTF8(text, "\uFFFD")
			case c.Type == plan.Name && !ascii(text):
				fitting = strings.Map(func(r rune) rune {
					if r > '~' {
						return '?'
					}
					return r
				}, text)
			}
			if fitting != text {
				mended++
				value = fitting
			}
		}
		all = append(all, value)
	}
	return all, mended
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// readBack reads what was written, and compares it with what was to be.
func readBack(ctx context.Context, to Store, want map[string]sum, o Options) error {
	return to.Snapshot(ctx, func(r schema.Reader) error {
		for _, t := range schema.Ever().Tables {
			wanted, ok := want[t.Name]
			if !ok {
				continue
			}
			var got sum
			told := o.told("read back", t.Name)
			err := each(ctx, r, t, func(row []any, _ int) error {
				got.add(row)
				if got.rows%batchRows == 0 {
					told(got.rows)
				}
				return nil
			})
			if err != nil {
				return err
			}
			if got != wanted {
				return fmt.Errorf("%w: table %s has %d rows, of %d, or others", ErrDiffers, t.Name, got.rows, wanted.rows)
			}
		}
		return nil
	})
}
