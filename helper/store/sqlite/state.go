package sqlite

import (
	sqldriver "database/sql/driver"
	"time"

	"exipol/generator/plan"
	"exipol/helper/engine"
	"exipol/helper/store"
	"exipol/helper/store/portable"
)

// state is engine.State over a session.
type state struct {
	s *session
	c sqldriver.Conn
}

func (st state) Seen(policy, key string) (engine.SeenRow, bool, error) {
	v, err := st.s.query(st.c, getSeen, 7, policy, []byte(key))
	if err != nil {
		return engine.SeenRow{}, false, err
	}
	row := engine.SeenRow{First: v[0].(int64), Passed: v[1].(int64), Passes: v[2].(int64), Counted: v[3].(int64), Expires: v[4].(int64), Why: v[5].(string), Who: v[6].(string)}
	if row.Expires < 0 {
		if st.s.cache != nil {
			st.s.cache.readNone(cacheKey{policy, key}, st.s.changes)
		}
		return engine.SeenRow{}, false, nil
	}
	if st.s.cache != nil {
		st.s.cache.read(cacheKey{policy, key}, row, st.s.changes)
	}
	return row, true, nil
}

func (st state) Count(policy, key string, window time.Duration, from, to int64) (int64, error) {
	v, err := st.s.query(st.c, getCount, 1, policy, seconds(window), []byte(key), from, to)
	if err != nil {
		return 0, err
	}
	return v[0].(int64), nil
}

func (st state) Distinct(policy, key, member string, since, until, most int64) (n, at int64, err error) {
	k := []byte(key)
	v, err := st.s.query(st.c, getDistinct, 2, policy, k, []byte(member), since, until, policy, k, since, until, most)
	if err != nil {
		return 0, 0, err
	}
	return v[0].(int64), v[1].(int64), nil
}

func (st state) Standing(policy, key string) (engine.Standing, bool, error) {
	v, err := st.s.query(st.c, getStanding, 9, policy, []byte(store.Short(key)))
	if err != nil {
		return engine.Standing{}, false, err
	}
	return engine.Standing{
		Policy: policy, Key: key, Case: v[0].(int64), Tier: v[1].(string), Rank: int(v[2].(int64)), Blocks: v[3].(int64) != 0, Since: v[4].(int64),
		Until: v[5].(int64), Released: v[6].(int64), Cleared: v[7].(int64), Probation: v[8].(int64),
	}, v[0].(int64) != 0, nil
}

func (st state) Held(caseID int64) (int64, error) {
	v, err := st.s.query(st.c, getHeld, 1, caseID)
	if err != nil {
		return 0, err
	}
	return v[0].(int64), nil
}

func (st state) Known(gateway, message, item string) (bool, error) {
	v, err := st.s.query(st.c, getKnown, 1, portable.ShortName(gateway), portable.ShortName(message), []byte(store.Short(item)))
	if err != nil {
		return false, err
	}
	return v[0].(int64) != 0, nil
}

func (st state) Bounces(owner string, since int64) (int64, error) {
	v, err := st.s.query(st.c, getBounces, 1, []byte(store.Short(owner)), plan.Bounce, since)
	if err != nil {
		return 0, err
	}
	return v[0].(int64), nil
}

func (st state) Arrival(gateway, message string) (engine.Arrival, bool, error) {
	v, err := st.s.query(st.c, getArrival, 8, portable.ShortName(gateway), portable.ShortName(message))
	if err != nil {
		return engine.Arrival{}, false, err
	}
	a := engine.Arrival{
		Traffic: v[0].(string), Auth: string(v[1].([]byte)), Login: string(v[2].([]byte)), Client: v[3].(string),
		Helo: string(v[4].([]byte)), Sender: string(v[5].([]byte)), Came: v[6].(int64),
	}
	return a, v[7].(int64) != 0, nil
}
