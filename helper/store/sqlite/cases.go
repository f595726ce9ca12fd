package sqlite

import (
	sqldriver "database/sql/driver"
	"fmt"
	"math"
	"time"

	"exipol/helper/engine"
	"exipol/helper/store"
)

// Rows of meta that count up: the greatest id of a case given so far (none is used twice), and the
// changes of the table standing, by which a process sees that what it remembers is old.
const (
	lastCase      = "last_case"
	lastStandings = "last_standings"
)

const (
	forever = math.MaxInt64
	// usualWindow is for how long a release matters where a case does not say; ms.
	usualWindow = int64(31 * 24 * time.Hour / time.Millisecond)
)

// openCase carries out a write of that name, and gives the id of the case that the key has then;
// 0 where there is none, as it was released after the writer had looked.
func (s *session) openCase(c sqldriver.Conn, w engine.OpenCase) (int64, error) {
	w.Key = store.Short(w.Key)
	old, span, err := s.standing(c, w.Policy, w.Key)
	switch {
	case err != nil:
		return 0, err
	case old.Open(w.At) && old.Rank >= w.Rank:
		return old.Case, nil
	case w.At < old.Cleared: // read from a log long after it happened: the desk has seen to it
		return 0, nil
	case old.Open(w.At):
		return old.Case, s.raiseCase(c, old, max(span, w.Window), w)
	}
	if _, err := s.run(c, countUp, lastCase); err != nil {
		return 0, err
	}
	id, err := s.number(c, "SELECT cast(value AS INTEGER) FROM meta WHERE name = ?", lastCase)
	if err != nil {
		return 0, err
	}
	next := engine.Standing{
		Policy: w.Policy, Key: w.Key, Case: id, Tier: w.Tier, Rank: w.Rank, Blocks: w.Blocks,
		Since: w.At, Until: w.Until, Cleared: old.Cleared, Probation: old.Probation,
	}
	if err := s.putStanding(c, next, max(span, w.Window)); err != nil {
		return 0, err
	}
	if _, err := s.run(c, `INSERT INTO desk_case (id, policy, key_, tier, who, owner, opened_at, gateway, state, blocks, until_at, queued, counted, rate, decided_at, expires_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?)`, id, w.Policy, []byte(w.Key), w.Tier, raw(w.Who, wordsLength), []byte(store.Short(w.Owner)), w.At,
		name(w.Gateway), store.CaseOpen, truth(w.Blocks), w.Until, truth(w.Freeze), w.Counted, words(w.Rate), int64(forever)); err != nil {
		return 0, err
	}
	return id, s.told(c, id, "opened", next.Cleared, w)
}

// raiseCase raises an open case to a higher tier. What is in force stays so: a tier that only
// tells somebody lifts no block, and a shorter block shortens no longer one.
func (s *session) raiseCase(c sqldriver.Conn, old engine.Standing, span int64, w engine.OpenCase) error {
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
	if err := s.putStanding(c, next, span); err != nil {
		return err
	}
	// What raises it may be read from a log, or come from a gateway whose clock is behind.
	if err := s.reopen(c, old.Case); err != nil {
		return err
	}
	if _, err := s.run(c, "UPDATE desk_case SET tier = ?, blocks = ?, until_at = ?, queued = CASE WHEN queued > ? THEN queued ELSE ? END WHERE id = ?",
		w.Tier, truth(next.Blocks), next.Until, truth(w.Freeze), truth(w.Freeze), old.Case); err != nil {
		return err
	}
	return s.told(c, old.Case, "raised", next.Cleared, w)
}

// putStanding keeps a standing, with the moment from which nobody needs it any more.
func (s *session) putStanding(c sqldriver.Conn, st engine.Standing, span int64) error {
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
	if _, err := s.run(c, `INSERT INTO standing (policy, key_, case_id, tier, ranking, blocks, since_at, until_at, released_at, cleared_at, probation_at, span_ms, expires_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (policy, key_) DO UPDATE SET case_id = excluded.case_id, tier = excluded.tier, ranking = excluded.ranking, blocks = excluded.blocks,
		since_at = excluded.since_at, until_at = excluded.until_at, released_at = excluded.released_at, cleared_at = excluded.cleared_at,
		probation_at = excluded.probation_at, span_ms = excluded.span_ms, expires_at = excluded.expires_at`,
		st.Policy, []byte(st.Key), st.Case, st.Tier, int64(st.Rank), truth(st.Blocks), st.Since, st.Until, st.Released, st.Cleared, st.Probation, span, end); err != nil {
		return err
	}
	return s.changedStanding(c, &st)
}

// told does what opening and raising have in common: the audit, the evidence since the last
// release or the last such moment, and a row for each who is to be told.
func (s *session) told(c sqldriver.Conn, id int64, did string, since int64, w engine.OpenCase) error {
	who, why := w.By, w.Why
	if who == "" {
		who, why = "exipold", fmt.Sprintf("tier %s: %s, over %s", w.Tier, store.Tally(w.Counted, w.Rate), w.Rate)
	}
	if err := s.audit(c, id, store.Audit{At: w.At, Gateway: w.Gateway, Who: who, Did: did, Why: why}); err != nil {
		return err
	}
	last, err := s.rows(c, "SELECT coalesce(max(n) + 1, 0), coalesce(max(seen_at) + 1, 0) FROM evidence WHERE case_id = ?", 2, id)
	if err != nil {
		return err
	}
	if _, err := s.run(c, `INSERT INTO evidence (case_id, n, seen_at, gateway, message, address, line)
		SELECT ?, ? + n, seen_at, gateway, message, address, line FROM sample WHERE policy = ? AND key_ = ? AND seen_at >= ? AND expires_at > ?`,
		id, last[0][0], w.Policy, []byte(w.Key), max(since, last[0][1].(int64)), w.At); err != nil {
		return err
	}
	for _, receiver := range w.Notify {
		if _, err := s.run(c, `INSERT INTO notice (case_id, tier, receiver, made_at, due_at, tries, claimed_by, claimed_until, mailed_at, posted_at, error)
			VALUES (?, ?, ?, ?, ?, 0, '', 0, 0, 0, '') ON CONFLICT (case_id, tier, receiver) DO NOTHING`, id, w.Tier, receiver, w.At, max(w.At, 1)); err != nil {
			return err
		}
	}
	return nil
}

// audit adds a row to a case's.
func (s *session) audit(c sqldriver.Conn, id int64, a store.Audit) error {
	_, err := s.run(c, `INSERT INTO audit (case_id, n, made_at, gateway, who, did, why)
		SELECT ?, coalesce(max(n) + 1, 0), ?, ?, ?, ?, ? FROM audit WHERE case_id = ?`,
		id, a.At, name(a.Gateway), words(a.Who), a.Did, words(a.Why), id)
	return err
}

// putHeld notes a message that a block froze. Where the case was released between the question
// and now, the message is to be thawed like the others, or removed where the desk had that done and the message was
// frozen by then: nobody has decided to delete what came in later. Where the case had ended, it is open again, as
// somebody has to decide about the message.
func (s *session) putHeld(c sqldriver.Conn, w engine.PutHeld) error {
	known, err := s.number(c, "SELECT count(*) FROM held WHERE gateway = ? AND message = ?", name(w.Gateway), name(w.Message))
	if err != nil {
		return err
	}
	if known != 0 {
		if w.Size > 0 { // who noted it first did not know
			_, err = s.run(c, "UPDATE held SET size = ? WHERE gateway = ? AND message = ? AND size = 0", w.Size, name(w.Gateway), name(w.Message))
		}
		return err
	}
	state, err := s.rows(c, `SELECT c.state, (SELECT count(*) FROM audit a WHERE a.case_id = c.id AND a.did = ? AND a.made_at = c.decided_at AND a.made_at >= ?)
		FROM desk_case c WHERE c.id = ?`, 2, didRemove, w.At, w.Case)
	if err != nil {
		return err
	}
	wanted := store.Keep
	if len(state) == 1 {
		switch {
		case state[0][0] == store.CaseEnded:
			if err := s.reopen(c, w.Case); err != nil {
				return err
			}
		case state[0][0] == store.CaseReleased && state[0][1] == int64(0):
			wanted = store.Thaw
		case state[0][0] == store.CaseReleased:
			wanted = store.Remove
		}
	}
	_, err = s.run(c, "INSERT INTO held (gateway, message, case_id, since_at, size, wanted, gone_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, 0, ?)",
		name(w.Gateway), name(w.Message), w.Case, w.At, w.Size, wanted, int64(forever))
	return err
}

// reopen makes an ended case an open one.
func (s *session) reopen(c sqldriver.Conn, id int64) error {
	_, err := s.run(c, "UPDATE desk_case SET state = ?, decided_at = 0, expires_at = ? WHERE id = ? AND state = ?", store.CaseOpen, int64(forever), id, store.CaseEnded)
	return err
}

// truth is one in a column of type plan.Int.
func truth(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
