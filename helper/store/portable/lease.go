package portable

import (
	"context"
	"time"
)

// Lease implements store.Store. The lease's own row serialises who asks for it: the winner is who changes it. Each
// goes by the store's clock, asked again whenever the transaction is run.
//
// Who sees that another has it writes nothing.
func (s *Store) Lease(ctx context.Context, name, holder string, lasts time.Duration) (held bool, err error) {
	name, holder = ShortName(name), ShortName(holder)
	var by string
	var until int64
	err = s.read(ctx, func(r Reader) error {
		return all(ctx, r, func(scan func(...any) error) error { return scan(&by, &until) }, "SELECT holder, until_at FROM lease WHERE name = ?", name)
	})
	if err != nil || by != holder && until > s.config.Now().UnixMilli() {
		return false, err
	}
	err = s.write(ctx, func(tx Tx) error {
		now := s.config.Now()
		take := func() error {
			changed, err := tx.Exec("UPDATE lease SET holder = ?, until_at = ? WHERE name = ? AND (holder = ? OR until_at <= ?)",
				holder, now.Add(lasts).UnixMilli(), name, holder, now.UnixMilli())
			held = changed == 1
			return err
		}
		if err := take(); err != nil || held {
			return err
		}
		if _, err := tx.Exec(s.text.onceLease, name, "", int64(0)); err != nil {
			return err
		}
		return take()
	})
	return held && err == nil, err
}

// Yield implements store.Store.
func (s *Store) Yield(ctx context.Context, name, holder string) error {
	return s.write(ctx, func(tx Tx) error {
		_, err := tx.Exec("UPDATE lease SET holder = '', until_at = 0 WHERE name = ? AND holder = ?", ShortName(name), ShortName(holder))
		return err
	})
}

// Holder implements store.Store.
func (s *Store) Holder(ctx context.Context, name string) (holder string, until int64, err error) {
	err = s.read(ctx, func(r Reader) error {
		return all(ctx, r, func(scan func(...any) error) error { return scan(&holder, &until) },
			"SELECT holder, until_at FROM lease WHERE name = ? AND until_at > ?", ShortName(name), s.config.Now().UnixMilli())
	})
	if err != nil {
		return "", 0, err
	}
	return holder, until, nil
}
