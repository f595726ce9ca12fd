package portable

import (
	"context"

	"exipol/helper/store"
)

const noticeColumns = "SELECT case_id, tier, receiver, made_at, due_at, tries, mailed_at, posted_at, error FROM notice WHERE "

// isDue are the notices that somebody may take at a moment, which it has two places for.
const isDue = "due_at > 0 AND due_at <= ? AND claimed_until <= ?"

func scanNotice(scan func(...any) error) (n store.Notice, err error) {
	return n, scan(&n.Case, &n.Tier, &n.Receiver, &n.Made, &n.Due, &n.Tries, &n.Mailed, &n.Posted, &n.Error)
}

func findNotices(ctx context.Context, r Reader, where string, values ...any) (notices []store.Notice, err error) {
	err = all(ctx, r, func(scan func(...any) error) error {
		n, err := scanNotice(scan)
		notices = append(notices, n)
		return err
	}, noticeColumns+where, values...)
	return notices, err
}

// ClaimNotices implements store.Desk. Where nothing is due it writes nothing: it is called every
// few seconds, and a write of another process empties what exipold serve remembers.
//
// Of several who claim at once one after another has his turn, and looks at what those before him left.
func (s *Store) ClaimNotices(ctx context.Context, gateway string, now, until int64, most int) ([]store.Notice, error) {
	var n int
	err := s.read(ctx, func(r Reader) error {
		return r.QueryRowContext(ctx, "SELECT count(*) FROM (SELECT 1 FROM notice WHERE "+isDue+" LIMIT 1) AS one", now, now).Scan(&n)
	})
	if err != nil || n == 0 || most <= 0 {
		return nil, err
	}
	var claimed []store.Notice
	err = s.write(ctx, func(tx Tx) error {
		claimed = nil
		if err := s.Turn(tx); err != nil {
			return err
		}
		var due []store.Notice
		if err := tx.Query(func(scan func(...any) error) error {
			n, err := scanNotice(scan)
			due = append(due, n)
			return err
		}, noticeColumns+isDue+" ORDER BY due_at, case_id, tier, receiver LIMIT ?", now, now, int64(most)); err != nil {
			return err
		}
		for _, n := range due {
			// Who settles one needs no turn: it may be told by now.
			changed, err := tx.Exec("UPDATE notice SET claimed_by = ?, claimed_until = ? WHERE case_id = ? AND tier = ? AND receiver = ? AND "+isDue,
				ShortName(gateway), until, n.Case, n.Tier, n.Receiver, now, now)
			if err != nil {
				return err
			}
			if changed == 1 {
				claimed = append(claimed, n)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return claimed, nil
}

// SettleNotice implements store.Desk. A notice that is not there any more is no error: its case is gone. Who
// comes so late that another has told it meanwhile must not have it told again. One statement on one row: the row serialises it.
func (s *Store) SettleNotice(ctx context.Context, n store.Notice) error {
	return s.write(ctx, func(tx Tx) error {
		_, err := tx.Exec(`UPDATE notice SET due_at = CASE WHEN due_at = 0 THEN 0 ELSE ? END, tries = ?, error = ?, claimed_by = '', claimed_until = 0,
			mailed_at = CASE WHEN ? <> 0 THEN ? ELSE mailed_at END, posted_at = CASE WHEN ? <> 0 THEN ? ELSE posted_at END
			WHERE case_id = ? AND tier = ? AND receiver = ?`,
			n.Due, int64(n.Tries), Words(n.Error), n.Mailed, n.Mailed, n.Posted, n.Posted, n.Case, ShortName(n.Tier), ShortName(n.Receiver))
		return err
	})
}

// selectDigest is how a receiver's digest stands: when it is due, when a claim of it ends, and from when on it tells.
const selectDigest = "SELECT from_at, due_at, claimed_by, claimed_until FROM digest WHERE receiver = ?"

// digest is a row of that query.
type digest struct {
	from, due, until int64
	by               string
}

// free says whether it can be claimed now.
func (d digest) free(now int64) bool {
	if d.by == "" {
		return d.due <= now
	}
	return d.until <= now
}

// ClaimDigest implements store.Desk. The next one is due so long after the claim, and a claim
// that nobody settled comes up again when it has ended.
//
// Of several who claim at once one after another has his turn, and looks at what those before him left.
func (s *Store) ClaimDigest(ctx context.Context, receiver, gateway string, now, until, every int64) (from int64, ok bool, err error) {
	receiver, gateway = ShortName(receiver), ShortName(gateway)
	var d digest
	known := false
	err = s.read(ctx, func(r Reader) error {
		return all(ctx, r, func(scan func(...any) error) error {
			known = true
			return scan(&d.from, &d.due, &d.by, &d.until)
		}, selectDigest, receiver)
	})
	if err != nil || known && !d.free(now) {
		return 0, false, err
	}
	err = s.write(ctx, func(tx Tx) error {
		ok = false
		if err := s.Turn(tx); err != nil {
			return err
		}
		if _, err := tx.Exec(s.text.onceDigest, receiver, now, now+every, "", int64(0), int64(0)); err != nil {
			return err
		}
		var d digest
		if _, err := one(tx, []any{&d.from, &d.due, &d.by, &d.until}, selectDigest, receiver); err != nil || !d.free(now) {
			return err
		}
		from, ok = d.from, true
		_, err := tx.Exec("UPDATE digest SET due_at = ?, claimed_by = ?, claimed_at = ?, claimed_until = ? WHERE receiver = ?", now+every, gateway, now, until, receiver)
		return err
	})
	if err != nil || !ok {
		return 0, false, err
	}
	return from, true, nil
}

// SettleDigest implements store.Desk. Who no longer has the claim settles nothing: another's claim, which has his turn,
// waits for this row or has changed it.
func (s *Store) SettleDigest(ctx context.Context, receiver, gateway string, now int64, sent bool) error {
	return s.write(ctx, func(tx Tx) error {
		change, values := "from_at = claimed_at", []any{ShortName(receiver), ShortName(gateway)}
		if !sent {
			change, values = "due_at = ?", append([]any{now}, values...)
		}
		_, err := tx.Exec("UPDATE digest SET claimed_by = '', claimed_until = 0, "+change+" WHERE receiver = ? AND claimed_by = ?", values...)
		return err
	})
}
