package mainlog

import "bytes"

// Parse takes one line apart, without its newline. ok is false for what is no line of an Exim's
// main log: without a time and something behind it, or of another program in the same syslog.
func Parse(line []byte, o Options) (e Entry, ok bool) {
	h, ok := cutHead(line, &o)
	if !ok {
		return Entry{}, false
	}
	e.PID, e.ID, e.Rest = h.pid, h.id, h.rest
	e.Time, e.Repeated = h.when(&o)
	body, cut := uncut(h.rest)
	e.Cut = cut
	var rest []byte
	e.Kind, rest = kindOf(body)
	switch e.Kind {
	case Arrived, FakeRejected:
		e.arrival(rest, &o)
	case Delivered, AlsoDelivered, Cutthrough, Suppressed, Failed, Deferred:
		e.delivery(rest)
	case Completed, Frozen, StillFrozen, Unfrozen, Cancelled, Removed:
		e.Text = bytes.Trim(rest, " ")
	case AuthFailed:
		e.authFailed(rest, &o)
	case Rejected:
		if !e.rejection(rest, &o) {
			e.other()
		}
	}
	return e, true
}

// other makes a line that began like another kind one that only has its Rest.
func (e *Entry) other() {
	*e = Entry{Time: e.Time, Repeated: e.Repeated, PID: e.PID, ID: e.ID, Rest: e.Rest, Cut: e.Cut}
}

// Glance is the cheap part of [Parse]: the kind of a line and the message id, for those who need few
// kinds of lines. A line that Glance takes for a rejection may be [Other] to Parse, which
// looks further.
func Glance(line []byte, o *Options) (kind Kind, id []byte, ok bool) {
	h, ok := cutHead(line, o)
	if !ok {
		return Other, nil, false
	}
	kind, _ = kindOf(h.rest)
	return kind, h.id, true
}

// Skim is Glance for those who read millions of lines, and have no use for deliveries and deferrals, which are most of
// them. Of a line that has its blanks and dashes where time and id have theirs it takes the rest on trust:
// who needs more than its kind and id has it parsed, and learns whether they are any.
func Skim(line []byte, o *Options) (kind Kind, id []byte, ok bool) {
	// 2026-11-22 05:34:30 ABCDEF-GHIJKL-MN => ...
	if len(line) < 46 || line[10] != ' ' || line[13] != ':' || line[19] != ' ' || line[26] != '-' {
		return Glance(line, o)
	}
	n := 36
	if line[36] != ' ' || line[33] != '-' {
		if n = 43; line[43] != ' ' || line[38] != '-' {
			return Glance(line, o)
		}
	}
	b := line[n+1:]
	if len(b) > 3 && b[2] == ' ' {
		switch {
		case b[1] == '>' && (b[0] == '=' || b[0] == '-'), b[0] == '=' && b[1] == '=':
			return flag(b[0], b[1]), nil, true
		case b[0] == '<' && b[1] == '=':
			return Arrived, line[20:n:n], true
		}
	}
	if string(b) == "Completed" {
		return Completed, line[20:n:n], true
	}
	kind, _ = kindOf(b)
	return kind, line[20:n:n], true
}

// words begin the lines that are no deliveries.
var words = [...]struct {
	text string
	kind Kind
}{
	{"Completed", Completed}, // " QT=" may follow
	{"Frozen", Frozen},       // nothing, " (delivery error message)", " by ..."
	{"frozen by ", Frozen},
	{"Message is frozen", StillFrozen},
	{"Unfrozen by ", Unfrozen}, // forced delivery, auto-thaw, errmsg timer
	{"unfrozen by ", Unfrozen}, // -Mt
	{"cancelled by ", Cancelled},
	{"removed by ", Removed},
}

// kindOf looks at how a line begins behind the id, and returns what is behind that.
func kindOf(b []byte) (Kind, []byte) {
	if len(b) > 3 && b[2] == ' ' {
		if k := flag(b[0], b[1]); k != Other {
			return k, b[3:]
		}
	}
	if len(b) == 0 {
		return Other, b
	}
	switch b[0] {
	case 'C', 'F', 'M', 'U', 'f', 'u', 'c', 'r':
		for i := range words {
			w := &words[i]
			if rest, ok := cutPrefix(b, w.text); ok && (len(rest) == 0 || rest[0] == ' ' || w.text[len(w.text)-1] == ' ') {
				return w.kind, rest
			}
		}
	}
	if hasPrefix(b, "H=") || hasPrefix(b, "U=") || hasPrefix(b, "F=") || hasPrefix(b, " DSH=") {
		return Rejected, b // if the rest agrees
	}
	// NAME authenticator failed for ...: names of drivers have no blanks.
	if i := bytes.IndexByte(b, ' '); i > 0 && hasPrefix(b[i:], authenticatorFailed) {
		return AuthFailed, b
	}
	return Other, b
}

func flag(a, b byte) Kind {
	switch {
	case a == '<' && b == '=':
		return Arrived
	case a == '(' && b == '=':
		return FakeRejected
	case a == '=' && b == '>':
		return Delivered
	case a == '-' && b == '>':
		return AlsoDelivered
	case a == '>' && b == '>':
		return Cutthrough
	case a == '*' && b == '>':
		return Suppressed
	case a == '*' && b == '*':
		return Failed
	case a == '=' && b == '=':
		return Deferred
	}
	return Other
}

// Exim ends what it has to say after 8 KiB (LOG_BUFFER_SIZE of its source, less the newline), head included.
const (
	overflowed = "**** log string overflowed log buffer ****" // in place of the last bytes
	truncated  = "<trunc>"                                    // in place of further recipients, since 4.95
	longLine   = 8000
)

// uncut takes off what Exim writes at the end of a line that got too long, and says whether
// this is such a line. Those words in a short line are somebody's joke. b is without
// the head, which is up to 80 bytes.
func uncut(b []byte) ([]byte, bool) {
	if len(b) < longLine-100 {
		return b, false
	}
	if rest, ok := bytes.CutSuffix(b, []byte(overflowed)); ok {
		return rest, true
	}
	if rest, ok := bytes.CutSuffix(b, []byte(truncated)); ok {
		return rest, true
	}
	return b, true
}

func hasPrefix(b []byte, p string) bool { return len(b) >= len(p) && string(b[:len(p)]) == p }

func cutPrefix(b []byte, p string) ([]byte, bool) {
	if hasPrefix(b, p) {
		return b[len(p):], true
	}
	return b, false
}

// token is what stands before the next blank.
func token(b []byte) (word, rest []byte) {
	if i := bytes.IndexByte(b, ' '); i >= 0 {
		return b[:i], b[i:]
	}
	return b, nil
}

// field takes a field off whose value has no blanks: key is " R=".
func field(b []byte, key string) (value, rest []byte, ok bool) {
	if !hasPrefix(b, key) {
		return nil, b, false
	}
	value, rest = token(b[len(key):])
	return value, rest, len(value) > 0
}

// number reads digits, at most 18 of them.
func number(b []byte) (n int64, rest []byte, ok bool) {
	i := 0
	for i < len(b) && i < 18 && isDigit(b[i]) {
		n = n*10 + int64(b[i]-'0')
		i++
	}
	return n, b[i:], i > 0
}

func isDigit(c byte) bool { return c-'0' <= 9 }

func isAlnum(c byte) bool { return alnum[c] }

var alnum = func() (t [256]bool) {
	for _, c := range []byte("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") {
		t[c] = true
	}
	return t
}()
