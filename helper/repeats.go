package helper

import (
	"hash/maphash"
	"sync"
	"time"
)

// A question can arrive twice: Exim's text asks once more where the first call
// failed or took too long. It is then the same to the byte, nonce included, and
// must count once. Only questions that change something are kept; asking the
// others again is harmless.
const (
	repeatFor   = time.Minute
	mostRepeats = 1 << 14 // some 2 MB, only under a flood of new keys: seconds of it, as long as Exim waits
)

type repeatKey [2]uint64

// repeat is a question that was asked before.
type repeat struct {
	at     time.Time
	key    repeatKey
	done   chan struct{} // closed when answer is there
	answer string
}

// repeats remembers questions for a minute, or fewer where there are too many.
type repeats struct {
	seed  [2]maphash.Seed
	most  int
	mu    sync.Mutex
	known map[repeatKey]*repeat
	queue []*repeat // in the order of asking; head is the oldest
	head  int
}

func (r *repeats) init() {
	r.most = mostRepeats
	r.seed = [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}
	r.known = map[repeatKey]*repeat{}
}

// key names a question: 128 bits of a hash with secret seeds.
func (r *repeats) key(line []byte) repeatKey {
	return repeatKey{maphash.Bytes(r.seed[0], line), maphash.Bytes(r.seed[1], line)}
}

// find is the earlier asking of the same question, nil for none.
func (r *repeats) find(k repeatKey, now time.Time) *repeat {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.fresh(k, now)
}

func (r *repeats) fresh(k repeatKey, now time.Time) *repeat {
	if e := r.known[k]; e != nil && now.Sub(e.at) < repeatFor {
		return e
	}
	return nil
}

// begin notes that a question is being answered; the other result is an asker that
// came before.
func (r *repeats) begin(k repeatKey, now time.Time) (mine, earlier *repeat) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.fresh(k, now); e != nil {
		return nil, e
	}
	for r.head < len(r.queue) {
		oldest := r.queue[r.head]
		if len(r.queue)-r.head < r.most && now.Sub(oldest.at) < repeatFor {
			break
		}
		r.drop(oldest)
		r.queue[r.head] = nil
		r.head++
	}
	if r.head > 1024 && r.head > len(r.queue)/2 {
		r.queue = append([]*repeat(nil), r.queue[r.head:]...)
		r.head = 0
	}
	mine = &repeat{at: now, key: k, done: make(chan struct{})}
	r.known[k] = mine
	r.queue = append(r.queue, mine)
	return mine, nil
}

// drop takes a repeat out of the map, unless a later one has its place.
func (r *repeats) drop(e *repeat) {
	if r.known[e.key] == e {
		delete(r.known, e.key)
	}
}

// finish gives all who ask the same this answer.
func (r *repeats) finish(e *repeat, answer string) {
	e.answer = answer
	close(e.done)
}

// forget gives those who wait this answer, but nobody who asks later.
func (r *repeats) forget(e *repeat, answer string) {
	r.mu.Lock()
	r.drop(e)
	r.mu.Unlock()
	r.finish(e, answer)
}
