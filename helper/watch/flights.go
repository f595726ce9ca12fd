package watch

import "hash/maphash"

// Bounds of what is in memory. Beyond them messages go into the store, where they are found as well,
// only not as fast.
const (
	mostFlights = 32 << 10
	mostBytes   = 4 << 20
)

// flight is a message that has come and is not completed.
type flight struct {
	hash  uint64 // of its id; 0: the place is free
	at    uint32 // of its line in flights.lines
	n     uint16 // how long that is
	state flightState
}

type flightState uint8

const (
	fresh  flightState = iota // only here
	stored                    // in the store, too
	nobody                    // nobody answers for it: it is no owner's, or has no sender
)

// flights are the messages under way: their arrivals, as they stand in the log. Nothing is taken
// apart before somebody asks, since few messages come to anything but their end.
//
// It is a hash table with open addressing, a third faster here than Go's map, which is what most of the
// time would go to. Ids are Exim's own, so a hash of 64 bits stands for them.
type flights struct {
	seed    maphash.Seed
	table   []flight // at most half of it is taken
	n       int
	lines   []byte // of all, and of those that have gone since
	spare   []byte // to move what is left to
	crowded bool   // moving them made little room
}

func newFlights() *flights {
	return &flights{seed: maphash.MakeSeed(), table: make([]flight, 4096)}
}

// full says that it is time to store what is here, and to forget.
func (f *flights) full() bool { return f.n >= mostFlights || f.crowded }

// grow doubles the table. A small one stays in the processor's cache.
func (f *flights) grow() {
	old := f.table
	f.table = make([]flight, 2*len(old))
	for _, p := range old {
		if p.hash != 0 {
			*f.place(p.hash) = p
		}
	}
}

// place is where a hash stands in the table, or is to stand.
func (f *flights) place(hash uint64) *flight {
	mask := uint64(len(f.table) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		if p := &f.table[i]; p.hash == hash || p.hash == 0 {
			return p
		}
	}
}

func (f *flights) hash(id []byte) uint64 { return maphash.Bytes(f.seed, id) | 1<<63 }

// add keeps an arrival. The line is copied. One that is read again stays what it was, for then the
// same is said.
func (f *flights) add(id, line []byte) {
	if 2*f.n >= len(f.table) {
		f.grow()
	}
	if len(f.lines) > mostBytes && !f.crowded {
		f.compact()
		f.crowded = len(f.lines) > mostBytes/2
	}
	hash := f.hash(id)
	p := f.place(hash)
	if p.hash != 0 && p.state != fresh {
		return
	}
	if p.hash == 0 {
		f.n++
	}
	*p = flight{hash: hash, at: uint32(len(f.lines)), n: uint16(len(line))}
	f.lines = append(f.lines, line...)
}

// compact forgets the lines of messages that have gone.
func (f *flights) compact() {
	out := f.spare[:0]
	for i := range f.table {
		if p := &f.table[i]; p.n > 0 {
			at := len(out)
			out = append(out, f.text(p)...)
			p.at = uint32(at)
		}
	}
	f.lines, f.spare = out, f.lines
}

func (f *flights) text(p *flight) []byte { return f.lines[p.at : int(p.at)+int(p.n)] }

// line is the arrival of a message; ok is false where it is not here.
func (f *flights) line(id []byte) (line []byte, state flightState, ok bool) {
	p := f.place(f.hash(id))
	return f.text(p), p.state, p.hash != 0
}

// nobodys notes that nobody answers for a message that is here.
func (f *flights) nobodys(id []byte) {
	p := f.place(f.hash(id))
	*p = flight{hash: p.hash, state: nobody}
}

// gone forgets a message; drop says that the store may have it.
func (f *flights) gone(id []byte) (drop bool) {
	p := f.place(f.hash(id))
	if p.hash == 0 {
		return true
	}
	drop = p.state == stored
	f.free(p.hash)
	return drop
}

// free empties a place, and moves up those behind it that could not have theirs.
func (f *flights) free(hash uint64) {
	mask := uint64(len(f.table) - 1)
	hole := hash & mask
	for f.table[hole].hash != hash {
		hole = (hole + 1) & mask
	}
	f.n--
	for i := (hole + 1) & mask; f.table[i].hash != 0; i = (i + 1) & mask {
		if home := f.table[i].hash & mask; (i-home)&mask >= (i-hole)&mask {
			f.table[hole] = f.table[i]
			hole = i
		}
	}
	f.table[hole] = flight{}
}

// kept notes that the store has what is under way, but for messages that nobody answers for; and empties the
// memory when it is full.
func (f *flights) kept(others map[uint64]bool) {
	if f.full() {
		clear(f.table)
		f.n, f.lines, f.crowded = 0, f.lines[:0], false
		return
	}
	for i := range f.table {
		p := &f.table[i]
		switch {
		case p.hash == 0 || p.state != fresh:
		case others[p.hash]:
			*p = flight{hash: p.hash, state: nobody}
		default:
			p.state = stored
		}
	}
}
