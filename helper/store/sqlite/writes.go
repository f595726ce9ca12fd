package sqlite

import (
	"crypto/sha256"
	sqldriver "database/sql/driver"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"exipol/generator/ddl"
	"exipol/helper/engine"
	"exipol/helper/store"
)

// write applies one change.
func (s *session) write(c sqldriver.Conn, w engine.Write) error {
	switch w := w.(type) {
	case engine.PutSeen:
		r := w.Row
		return s.exec(c, putSeen, w.Policy, []byte(w.Key), r.First, r.Passed, r.Passes, r.Counted, r.Expires, r.Why, r.Who)
	case engine.AddCount:
		return s.exec(c, addCount, w.Policy, seconds(w.Window), []byte(w.Key), w.Slot, w.N, w.Expires)
	case engine.PutDistinct:
		return s.exec(c, putDistinct, w.Policy, []byte(w.Key), []byte(w.Member), w.At, w.Expires)
	case engine.PutSample:
		ring := (w.N%engine.Samples + engine.Samples) % engine.Samples
		return s.exec(c, putSample, w.Policy, []byte(store.Short(w.Key)), ring, w.At, name(w.Gateway), name(w.Message),
			raw(w.Address, addressLength), raw(w.Line, engine.SampleLine), w.Expires)
	case engine.OpenCase:
		_, err := s.openCase(c, w)
		return err
	case engine.PutHeld:
		return s.putHeld(c, w)
	case engine.PutEvent:
		return s.exec(c, putEvent, name(w.Gateway), name(w.Message), []byte(store.Short(w.Item)), w.Kind, []byte(store.Short(w.Owner)), w.At, w.Expires)
	case engine.PutArrival:
		a := w.Arrival
		return s.exec(c, putArrival, name(w.Gateway), name(w.Message), a.Traffic, raw(a.Auth, textLength), raw(a.Login, textLength), name(a.Client),
			raw(a.Helo, textLength), raw(a.Sender, textLength), a.Came, w.Expires)
	case engine.DropArrival:
		return s.exec(c, dropArrival, name(w.Gateway), name(w.Message))
	case engine.PutPlace:
		return s.exec(c, putPlace, name(w.Gateway), []byte(store.Short(w.Log)), []byte(w.Place), w.At)
	}
	return fmt.Errorf("a write of unknown type %T", w)
}

// textLength is the most bytes of a column of type plan.Text or plan.Raw: MySQL's TEXT and BLOB
// have 65,535.
const textLength = 1<<16 - 1

// What people read is cut: none of it is looked for.
const (
	addressLength = 500  // of a recipient
	wordsLength   = 2000 // of a reason, an error, or who it is about
)

// checkWrite refuses what the columns of another dialect could not hold, before
// anything is written.
func checkWrite(w engine.Write) error {
	var policy, key, member string
	switch w := w.(type) {
	case engine.PutSeen:
		policy, key = w.Policy, w.Key
		if len(w.Row.Why) > textLength || len(w.Row.Who) > textLength {
			return fmt.Errorf("%w: the reason of a key of policy %q, or whose it is, is longer than %d bytes", store.ErrDecision, policy, textLength)
		}
	case engine.AddCount:
		policy, key = w.Policy, w.Key
		if w.N < 0 || w.Window < time.Second {
			return fmt.Errorf("%w: a counter of policy %q: %d more in a window of %s", store.ErrDecision, policy, w.N, w.Window)
		}
	case engine.PutDistinct:
		policy, key, member = w.Policy, w.Key, w.Member
	default:
		return checkDesk(w)
	}
	return checkKey(policy, key, member)
}

// checkKey is for the tables whose rows have a policy and a key.
func checkKey(policy, key, member string) error {
	switch {
	case policy == "" || len(policy) > ddl.NameLength:
		return fmt.Errorf("%w: policy name %q: 1 to %d bytes belong there", store.ErrDecision, policy, ddl.NameLength)
	case len(key) > ddl.BytesLength || len(member) > ddl.BytesLength:
		return fmt.Errorf("%w: a key of policy %q is longer than %d bytes", store.ErrDecision, policy, ddl.BytesLength)
	}
	return nil
}

// checkDesk is for what the desk and the log keep: a line of a log or a question must never
// make a transaction fail, so whatever of it is too long or too odd is hashed or cut when it is
// written, and only what comes from the plan or from the program itself is refused.
func checkDesk(w engine.Write) error {
	var own []string
	switch w := w.(type) {
	case engine.PutSample:
		return checkKey(w.Policy, "", "")
	case engine.OpenCase:
		if err := checkKey(w.Policy, "", ""); err != nil {
			return err
		}
		if w.Rank < 0 || w.Window < 0 {
			return fmt.Errorf("%w: a case of policy %q: rank %d, window %d", store.ErrDecision, w.Policy, w.Rank, w.Window)
		}
		own = append(append(own, w.Tier), w.Notify...)
	case engine.PutArrival:
		own = append(own, w.Arrival.Traffic)
	case engine.PutEvent:
		own = append(own, w.Kind)
	case engine.PutPlace:
		if len(w.Place) > textLength {
			return fmt.Errorf("%w: a place in a log takes %d bytes, and %d are the most", store.ErrDecision, len(w.Place), textLength)
		}
	case engine.PutHeld, engine.DropArrival:
	default:
		return fmt.Errorf("%w: a write of unknown type %T", store.ErrDecision, w)
	}
	for _, name := range own {
		if len(name) > ddl.NameLength {
			return fmt.Errorf("%w: the name %q is longer than %d bytes", store.ErrDecision, name, ddl.NameLength)
		}
	}
	return nil
}

// name is what a column of type plan.Name holds of a word that comes from outside: itself,
// where it is short and of visible ASCII characters, as every true name of a gateway, a message or
// an address is; else a hash, so that two never become one.
func name(s string) string {
	if len(s) <= ddl.NameLength && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return s
	}
	sum := sha256.Sum256([]byte(s))
	return `\#` + hex.EncodeToString(sum[:])
}

// raw is a value as it came, cut after so many bytes.
func raw(s string, most int) []byte { return []byte(s[:min(len(s), most)]) }

// words is text for people: valid UTF-8, cut after about wordsLength bytes.
func words(s string) string {
	if len(s) > wordsLength {
		s = s[:wordsLength]
		for i := 1; i < utf8.UTFMax; i++ { // the cut may have been inside a character
			if end := s[len(s)-i:]; utf8.RuneStart(end[0]) {
				if !utf8.FullRuneInString(end) {
					s = s[:len(s)-i]
				}
				break
			}
		}
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

func seconds(d time.Duration) int64 { return int64(d / time.Second) }
