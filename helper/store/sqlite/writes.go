package sqlite

import (
	sqldriver "database/sql/driver"
	"fmt"
	"time"

	"exipol/helper/engine"
	"exipol/helper/store"
	"exipol/helper/store/portable"
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
		return s.exec(c, putSample, w.Policy, []byte(store.Short(w.Key)), ring, w.At, portable.ShortName(w.Gateway), portable.ShortName(w.Message),
			portable.Raw(w.Address, portable.AddressLength), portable.Raw(w.Line, engine.SampleLine), w.Expires)
	case engine.OpenCase:
		_, err := s.desk.OpenCase(tx{s, c}, w)
		return err
	case engine.PutHeld:
		return s.desk.PutHeld(tx{s, c}, w)
	case engine.PutEvent:
		return s.exec(c, putEvent, portable.ShortName(w.Gateway), portable.ShortName(w.Message), []byte(store.Short(w.Item)), w.Kind, []byte(store.Short(w.Owner)), w.At, w.Expires)
	case engine.PutArrival:
		a := w.Arrival
		return s.exec(c, putArrival, portable.ShortName(w.Gateway), portable.ShortName(w.Message), a.Traffic, portable.Raw(a.Auth, portable.TextLength), portable.Raw(a.Login, portable.TextLength), portable.ShortName(a.Client),
			portable.Raw(a.Helo, portable.TextLength), portable.Raw(a.Sender, portable.TextLength), a.Came, w.Expires)
	case engine.DropArrival:
		return s.exec(c, dropArrival, portable.ShortName(w.Gateway), portable.ShortName(w.Message))
	case engine.PutPlace:
		return s.exec(c, putPlace, portable.ShortName(w.Gateway), []byte(store.Short(w.Log)), []byte(w.Place), w.At)
	}
	return fmt.Errorf("a write of unknown type %T", w)
}

func seconds(d time.Duration) int64 { return int64(d / time.Second) }
