package mainlog

import "bytes"

// Joiner puts together what Exim split for syslog: a line that is longer than 870 bytes goes out in
// parts "[1/3] ", "[2/3] ", "[3/3] ", and where it has newlines in it, the part that ends at one is marked
// "[1\3] " (specification, "Logging to syslog"). Other lines pass through. The zero Joiner is ready; it may
// be used by one goroutine at a time.
type Joiner struct {
	Options Options
	// Lost is how many lines began and did not end: their parts came in the wrong order, or too many other
	// processes wrote between.
	Lost int

	open []parts // the oldest first
}

// parts is a line that has begun.
type parts struct {
	from        string // host and process
	next, total int
	text        []byte // with the prefix of the first part
}

// Bounds: syslog mixes the lines of some processes, not of hundreds; and a line of Exim's is not longer than
// 8 KiB.
const (
	maxOpen  = 64
	maxParts = 40
)

// Add takes a line. What it returns is the line itself (without its newline), or the whole line whose last part this was;
// ok is false while parts are missing. A returned line is not kept.
func (j *Joiner) Add(line []byte) (whole []byte, ok bool) {
	line = bytes.TrimSuffix(line, []byte("\n"))
	n, total, ended, p, text, split := j.part(line)
	if !split {
		return line, true
	}
	i := j.find(p.from)
	if n == 1 {
		if i >= 0 {
			j.drop(i)
		}
		if len(j.open) == maxOpen {
			j.drop(0)
		}
		head := line[:len(line)-len(p.rest)]
		j.open = append(j.open, parts{string(p.from), 2, total, append(append([]byte(nil), head...), text...)})
		i = len(j.open) - 1
	} else {
		if i < 0 {
			return nil, false // its first part was before our time
		}
		if l := &j.open[i]; l.next != n || l.total != total {
			j.drop(i)
			return nil, false
		}
		j.open[i].next++
		j.open[i].text = append(j.open[i].text, text...)
	}
	if n < total {
		if ended {
			j.open[i].text = append(j.open[i].text, '\n')
		}
		return nil, false
	}
	whole = j.open[i].text
	j.open = append(j.open[:i], j.open[i+1:]...)
	return whole, true
}

// Waiting is how many lines have begun and not ended: whoever stops now and goes on with the next line
// later loses them.
func (j *Joiner) Waiting() int { return len(j.open) }

func (j *Joiner) find(from []byte) int {
	for i := range j.open {
		if j.open[i].from == string(from) {
			return i
		}
	}
	return -1
}

func (j *Joiner) drop(i int) {
	j.Lost++
	j.open = append(j.open[:i], j.open[i+1:]...)
}

// part reads "[1/3] " behind the prefix of syslog. It has to stand exactly there: a
// line that Exim wrote to a file is never split.
func (j *Joiner) part(line []byte) (n, total int, ended bool, p prefix, text []byte, ok bool) {
	if p, ok = cutSyslog(line, &j.Options); !ok {
		return
	}
	if ok = hasPrefix(p.rest, "["); !ok {
		return
	}
	first, b, ok := number(p.rest[1:])
	if !ok || len(b) == 0 || b[0] != '/' && b[0] != '\\' {
		return n, total, ended, p, text, false
	}
	ended = b[0] == '\\'
	of, b, ok := number(b[1:])
	if !ok || !hasPrefix(b, "] ") || first < 1 || first > of || of < 2 || of > maxParts {
		return n, total, ended, p, text, false
	}
	return int(first), int(of), ended, p, b[2:], true
}
