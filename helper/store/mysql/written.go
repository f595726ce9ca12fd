package mysql

import (
	"slices"
	"time"

	"exipol/generator/plan"
	"exipol/helper/engine"
	"exipol/helper/store"
	"exipol/helper/store/portable"
)

// written is what the decisions of one transaction write, in memory: each sees what those before it
// wrote, and all of it travels together in the end.
type written struct {
	seen     map[rowKey]engine.SeenRow
	counts   map[counterKey][]count // one for each slot
	members  map[memberKey]member
	samples  map[sampleKey]engine.PutSample
	events   map[eventKey]engine.PutEvent
	arrivals map[messageKey]*engine.PutArrival // nil: it is dropped
	places   map[placeKey]engine.PutPlace
	cases    []engine.Write // OpenCase and PutHeld, and samples of keys of which a case was opened before them, in their order

	crowds map[rowKey][]memberKey // the members of each key
}

// count is what is added to a slot.
type count struct{ slot, n, expires int64 }

type member struct{ at, expires int64 }

type sampleKey struct {
	rowKey
	n int64
}

type placeKey struct{ gateway, log string }

func seconds(d time.Duration) int64 { return int64(d / time.Second) }

// add takes in a write that portable.CheckWrite finds fit.
func (w *written) add(one engine.Write) {
	switch one := one.(type) {
	case engine.PutSeen:
		put(&w.seen, rowKey{one.Policy, one.Key}, one.Row)
	case engine.AddCount:
		k := counterKey{one.Policy, seconds(one.Window), one.Key}
		counts := w.counts[k]
		if i := slices.IndexFunc(counts, func(c count) bool { return c.slot == one.Slot }); i >= 0 {
			counts[i].n += one.N
			counts[i].expires = max(counts[i].expires, one.Expires)
		} else {
			put(&w.counts, k, append(counts, count{one.Slot, one.N, one.Expires}))
		}
	case engine.PutDistinct:
		crowd := rowKey{one.Policy, one.Key}
		k := memberKey{crowd, one.Member}
		if _, had := w.members[k]; !had {
			put(&w.crowds, crowd, append(w.crowds[crowd], k))
		}
		put(&w.members, k, member{one.At, one.Expires})
	case engine.PutSample:
		one.Key = store.Short(one.Key)
		one.N = (one.N%engine.Samples + engine.Samples) % engine.Samples
		k := rowKey{one.Policy, one.Key}
		if w.opens(k) { // which takes no evidence but what was there before it
			w.cases = append(w.cases, one)
		} else {
			put(&w.samples, sampleKey{k, one.N}, one)
		}
	case engine.PutEvent:
		k := eventKey{portable.ShortName(one.Gateway), portable.ShortName(one.Message), store.Short(one.Item)}
		if _, had := w.events[k]; !had {
			put(&w.events, k, one)
		}
	case engine.PutArrival:
		put(&w.arrivals, messageKey{portable.ShortName(one.Gateway), portable.ShortName(one.Message)}, &one)
	case engine.DropArrival:
		put(&w.arrivals, messageKey{portable.ShortName(one.Gateway), portable.ShortName(one.Message)}, nil)
	case engine.PutPlace:
		put(&w.places, placeKey{portable.ShortName(one.Gateway), store.Short(one.Log)}, one)
	case engine.OpenCase, engine.PutHeld:
		w.cases = append(w.cases, one)
	}
}

// opens says whether a case of this key, which is short, is to be opened or raised.
func (w *written) opens(k rowKey) bool {
	for _, c := range w.cases {
		if o, is := c.(engine.OpenCase); is && o.Policy == k.policy && store.Short(o.Key) == k.key {
			return true
		}
	}
	return false
}

// holds says whether a message of this case is to be held.
func (w *written) holds(id int64) bool {
	for _, c := range w.cases {
		if h, is := c.(engine.PutHeld); is && h.Case == id {
			return true
		}
	}
	return false
}

// sum is how much is added to a stretch of a counter's slots.
func (w *written) sum(k counterKey, of stretch) (n int64) {
	for _, c := range w.counts[k] {
		if of.has(c.slot) {
			n += c.n
		}
	}
	return n
}

// bounces are an owner's events of that kind since a time; some may have been known before.
func (w *written) bounces(k bouncesKey) (keys []eventKey) {
	for at, e := range w.events {
		if e.Kind == plan.Bounce && store.Short(e.Owner) == k.owner && e.At >= k.since {
			keys = append(keys, at)
		}
	}
	return keys
}
