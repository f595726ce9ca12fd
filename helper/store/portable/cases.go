package portable

import (
	"fmt"
	"math"
	"time"

	"exipol/helper/engine"
	"exipol/helper/store"
)

const (
	forever = math.MaxInt64
	// usualWindow is for how long a release matters where a case does not say; ms.
	usualWindow = int64(31 * 24 * time.Hour / time.Millisecond)
)

const selectStanding = `SELECT case_id, tier, ranking, blocks, since_at, until_at, released_at, cleared_at, probation_at, span_ms FROM standing
	WHERE policy = ? AND key_ = ?`

// standing finds the row of a key that is short, and for how long a release matters to it, in milliseconds. Case is 0
// where there is none.
func (s *Store) standing(tx Tx, query, policy, key string) (st engine.Standing, span int64, err error) {
	st.Policy, st.Key = policy, key
	_, err = one(tx, []any{&st.Case, &st.Tier, &st.Rank, &st.Blocks, &st.Since, &st.Until, &st.Released, &st.Cleared, &st.Probation, &span}, query, policy, []byte(key))
	return st, span, err
}

// OpenCase carries out a write of that name, and gives the id of the case that the key has then;
// 0 where there is none, as it was released after the writer had looked.
//
// Of two gateways that open a case of one key, the second waits for its turn, finds the case of the first,
// and raises it at most. A decision of the desk comes wholly before it or wholly after.
func (s *Store) OpenCase(tx Tx, w engine.OpenCase) (int64, error) {
	w.Key = store.Short(w.Key)
	old, _, err := s.standing(tx, selectStanding, w.Policy, w.Key)
	if id, done := settled(old, w); done || err != nil {
		return id, err
	}
	if err := s.Turn(tx); err != nil {
		return 0, err
	}
	old, span, err := s.standing(tx, s.text.standing, w.Policy, w.Key)
	if err != nil {
		return 0, err
	}
	if id, done := settled(old, w); done {
		return id, nil
	}
	if old.Open(w.At) {
		return old.Case, s.raiseCase(tx, old, max(span, w.Window), w)
	}
	id, err := s.count(tx, lastCase)
	if err != nil {
		return 0, err
	}
	next := engine.Standing{
		Policy: w.Policy, Key: w.Key, Case: id, Tier: w.Tier, Rank: w.Rank, Blocks: w.Blocks,
		Since: w.At, Until: w.Until, Cleared: old.Cleared, Probation: old.Probation,
	}
	if err := s.putStanding(tx, next, max(span, w.Window)); err != nil {
		return 0, err
	}
	if _, err := tx.Exec(`INSERT INTO desk_case (id, policy, key_, tier, who, owner, opened_at, gateway, state, blocks, until_at, queued, counted, rate, decided_at, expires_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?)`, id, w.Policy, []byte(w.Key), w.Tier, Raw(w.Who, WordsLength), []byte(store.Short(w.Owner)), w.At,
		ShortName(w.Gateway), store.CaseOpen, truth(w.Blocks), w.Until, truth(w.Freeze), w.Counted, Words(w.Rate), int64(forever)); err != nil {
		return 0, err
	}
	return id, s.told(tx, id, "opened", next.Cleared, w)
}

// settled says whether there is nothing to do: the key's case is open and as high, or what was
// counted is older than the last release. Neither becomes wrong by what others commit meanwhile, but as if they had
// come later.
func settled(old engine.Standing, w engine.OpenCase) (id int64, done bool) {
	switch {
	case old.Open(w.At) && old.Rank >= w.Rank:
		return old.Case, true
	case w.At < old.Cleared: // read from a log long after it happened: the desk has seen to it
		return 0, true
	}
	return 0, false
}

// raiseCase raises an open case to a higher tier. What is in force stays so: a tier that only
// tells somebody lifts no block, and a shorter block shortens no longer one.
func (s *Store) raiseCase(tx Tx, old engine.Standing, span int64, w engine.OpenCase) error {
	next := old
	next.Rank = w.Rank
	switch {
	case old.Blocks && !w.Blocks:
	case w.Blocks && !old.Blocks:
		next.Tier, next.Blocks, next.Until = w.Tier, true, w.Until
	case old.Until == 0 || w.Until == 0:
		next.Tier, next.Until = w.Tier, 0
	default:
		next.Tier, next.Until = w.Tier, max(old.Until, w.Until)
	}
	if err := s.putStanding(tx, next, span); err != nil {
		return err
	}
	// What raises it may be read from a log, or come from a gateway whose clock is behind.
	if err := reopen(tx, old.Case); err != nil {
		return err
	}
	if _, err := tx.Exec("UPDATE desk_case SET tier = ?, blocks = ?, until_at = ?, queued = CASE WHEN queued > ? THEN queued ELSE ? END WHERE id = ?",
		w.Tier, truth(next.Blocks), next.Until, truth(w.Freeze), truth(w.Freeze), old.Case); err != nil {
		return err
	}
	return s.told(tx, old.Case, "raised", next.Cleared, w)
}

// putStanding keeps a standing, with the moment from which nobody needs it any more.
func (s *Store) putStanding(tx Tx, st engine.Standing, span int64) error {
	if span == 0 {
		span = usualWindow
	}
	end := st.Until
	switch {
	case st.Released != 0:
		end = st.Released
	case end == 0:
		end = forever
	}
	if st.Cleared != 0 {
		end = max(end, st.Cleared+span)
	}
	end = max(end, st.Probation)
	if _, err := tx.Exec(s.text.putStanding, st.Policy, []byte(st.Key), st.Case, st.Tier, int64(st.Rank), truth(st.Blocks), st.Since, st.Until,
		st.Released, st.Cleared, st.Probation, span, end); err != nil {
		return err
	}
	return s.changed(tx, &st)
}

// told does what opening and raising have in common: the audit, the evidence since the last
// release or the last such moment, and a row for each who is to be told.
func (s *Store) told(tx Tx, id int64, did string, since int64, w engine.OpenCase) error {
	who, why := w.By, w.Why
	if who == "" {
		who, why = "exipold", fmt.Sprintf("tier %s: %s, over %s", w.Tier, store.Tally(w.Counted, w.Rate), w.Rate)
	}
	if err := audit(tx, id, store.Audit{At: w.At, Gateway: w.Gateway, Who: who, Did: did, Why: why}); err != nil {
		return err
	}
	var n, last int64
	if _, err := one(tx, []any{&n, &last}, "SELECT coalesce(max(n) + 1, 0), coalesce(max(seen_at) + 1, 0) FROM evidence WHERE case_id = ?", id); err != nil {
		return err
	}
	if _, err := tx.Exec(`INSERT INTO evidence (case_id, n, seen_at, gateway, message, address, line)
		SELECT ?, ? + n, seen_at, gateway, message, address, line FROM sample WHERE policy = ? AND key_ = ? AND seen_at >= ? AND expires_at > ?`,
		id, n, w.Policy, []byte(w.Key), max(since, last), w.At); err != nil {
		return err
	}
	for _, receiver := range w.Notify {
		if _, err := tx.Exec(s.text.onceNotice, id, w.Tier, receiver, w.At, max(w.At, 1), int64(0), "", int64(0), int64(0), int64(0), ""); err != nil {
			return err
		}
	}
	return nil
}

// audit adds a row to a case's; who does so has his turn.
func audit(tx Tx, id int64, a store.Audit) error {
	var n int64
	if _, err := one(tx, []any{&n}, "SELECT coalesce(max(n) + 1, 0) FROM audit WHERE case_id = ?", id); err != nil {
		return err
	}
	_, err := tx.Exec("INSERT INTO audit (case_id, n, made_at, gateway, who, did, why) VALUES (?, ?, ?, ?, ?, ?, ?)",
		id, n, a.At, ShortName(a.Gateway), Words(a.Who), a.Did, Words(a.Why))
	return err
}

// reopen makes an ended case an open one.
func reopen(tx Tx, id int64) error {
	_, err := tx.Exec("UPDATE desk_case SET state = ?, decided_at = 0, expires_at = ? WHERE id = ? AND state = ?", store.CaseOpen, int64(forever), id, store.CaseEnded)
	return err
}
