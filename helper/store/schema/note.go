package schema

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"

	"exipol/generator/ddl"
	"exipol/generator/plan"
	"exipol/helper/store"
)

// CopyingName is the name of the row of meta that a store has while another one is copied into it. Its
// value says for people which one, and since when.
const CopyingName = "copying"

// Note is what a store says of itself.
type Note struct {
	Version int    // of the schema, as ddl.Version; 0: it says none, so its making did not come to its end
	Copying string // why it is not to be used: an unfinished copy; "": it may be
}

// Usable says whether this program may use the store: store.ErrNewer where a newer one made it so that this one
// would go wrong with it, store.ErrCopying where it is half a copy.
func (n Note) Usable() error {
	if n.Version > ddl.Version {
		return fmt.Errorf("%w (schema version %d, this program knows %d)", store.ErrNewer, n.Version, ddl.Version)
	}
	if n.Copying != "" {
		return fmt.Errorf("%w (%s)", store.ErrCopying, n.Copying)
	}
	return nil
}

// ReadNote reads what a store says of itself, and nothing where it has no table for that. Errors are the
// database's, and store.ErrForeign for a version that is none.
func (d Dialect) ReadNote(ctx context.Context, r Reader) (Note, error) {
	var tables int
	if err := r.QueryRowContext(ctx, d.exists, plan.TableMeta).Scan(&tables); err != nil || tables == 0 {
		return Note{}, err
	}
	return readNote(ctx, r)
}

func readNote(ctx context.Context, r Reader) (Note, error) {
	var note Note
	version, err := metaRow(ctx, r, ddl.VersionName)
	if err != nil {
		return note, err
	}
	if note.Copying, err = metaRow(ctx, r, CopyingName); err != nil || version == "" {
		return note, err
	}
	note.Version, err = strconv.Atoi(version)
	if err != nil || note.Version < 1 {
		return Note{}, fmt.Errorf("%w (the row %s of the table meta says %q, which is no version)", store.ErrForeign, ddl.VersionName, version)
	}
	return note, nil
}

// metaRow is a value of the table meta, "" where there is none of that name.
func metaRow(ctx context.Context, r Reader, name string) (value string, err error) {
	err = r.QueryRowContext(ctx, "SELECT value FROM meta WHERE name = ?", name).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return value, err
}
