package mainlog

import "bytes"

// delivery reads what follows the flag of a delivery, a failure or a deferral (specification,
// "Logging deliveries", "Delivery failures", "Deferred deliveries", and deliver.c):
//
//	=> ADDRESS [<ORIGINAL>] [F=<SENDER>] [Q=..] [P=<RETURN PATH>] [R=ROUTER] T=TRANSPORT [S=n] [H=HOST] ... [C="ANSWER"] ...
//	** ADDRESS [<ORIGINAL>] [F=<SENDER>] [Q=..] [P=<RETURN PATH>] [R=..] [T=..] [H=..] [X=..] ...: TEXT [DT=1s]
//	== ADDRESS [<ORIGINAL>] [Q=..] [R=..] [T=..] defer (ERRNO)[: ERROR] [H=..] [DT=1s]: TEXT
//
// From 4.99 on, the separator before the text of a failure is " : ".
func (e *Entry) delivery(b []byte) {
	var rest []byte
	e.Address, e.Original, rest = target(b)
	if rest, ok := cutPrefix(rest, " F="); ok {
		if s, after, ok := bracketed(rest); ok {
			e.Sender, e.HasSender = s, true
			e.driven(after)
			return
		}
		e.Damaged = true
		return
	}
	e.driven(rest)
}

// driven reads on behind F=.
func (e *Entry) driven(b []byte) {
	_, b, _ = bareField(b, " Q=")
	if rest, ok := cutPrefix(b, " P="); ok {
		if _, rest, ok = bracketed(rest); ok {
			b = rest
		}
	}
	e.Router, b, _ = bareField(b, " R=")
	e.Transport, b, _ = bareField(b, " T=")
	switch e.Kind {
	case Deferred:
		e.deferral(b)
	case Failed:
		e.failure(b)
	default:
		e.success(b)
	}
}

func (e *Entry) success(b []byte) {
	_, b, _ = field(b, " S=")
	if hasPrefix(b, " H=") {
		b = e.remote(b)
	}
	// What is between says how it went. The confirmation is in quotes, with its own escaped,
	// and is looked for from where nothing foreign has been yet.
	i := bytes.Index(b, []byte(` C="`))
	if i < 0 {
		return
	}
	if end := quoted(b, i+3); end > 0 {
		e.Confirmation = b[i+4 : end-1]
	}
}

func (e *Entry) failure(b []byte) {
	if hasPrefix(b, " H=") {
		b = e.remote(b)
	}
	_, b, _ = bareField(b, " PS=")
	_, b, _ = bareField(b, " X=")
	_, b, _ = bareField(b, " CV=")
	if hasPrefix(b, ` DN="`) { // of the remote host, which writes the text, too
		b = afterDN(b)
	}
	text, ok := cutPrefix(b, ": ")
	if !ok {
		text, ok = cutPrefix(b, " : ")
	}
	if !ok {
		text = trimTime(b)
		e.Damaged = len(text) > 0
		text = nil
	}
	e.Text = trimTime(text)
	e.Failure = judge(e.Text)
}

func afterDN(b []byte) []byte {
	for i := len(` DN="`); i < len(b); i++ {
		if b[i] == '"' && (i+1 == len(b) || hasPrefix(b[i+1:], ": ") || hasPrefix(b[i+1:], " : ") || hasPrefix(b[i+1:], " DT=")) {
			return b[i+1:]
		}
	}
	return b
}

func (e *Entry) deferral(b []byte) {
	if !hasPrefix(b, " defer (") { // " routing defer", " transporting defer"
		if _, after := token(b[min(1, len(b)):]); hasPrefix(after, " defer (") {
			b = after
		}
	}
	b, ok := cutPrefix(b, " defer (")
	if !ok {
		e.Damaged = true
		return
	}
	b, minus := cutPrefix(b, "-")
	n, b, _ := number(b)
	if e.Errno = int(n); minus {
		e.Errno = -e.Errno
	}
	b, ok = cutPrefix(b, ")")
	e.Damaged = !ok
	// The host stands behind the words for an errno, which are the system's, and before the text.
	if text, ok := cutPrefix(b, ": "); ok {
		h := bytes.Index(text, []byte(" H="))
		if c := bytes.Index(text, []byte(": ")); h < 0 || c >= 0 && c < h {
			e.deferred(text)
			return
		}
		e.Text = text[:h]
		b = text[h:]
	}
	if hasPrefix(b, " H=") {
		b = e.remote(b)
	}
	_, b, _ = bareField(b, " DT=")
	if text, ok := cutPrefix(b, ": "); ok {
		e.deferred(text)
	} else {
		e.Text = trimTime(e.Text)
	}
}

func (e *Entry) deferred(text []byte) {
	e.Text = trimTime(text)
	e.Failure = judge(e.Text)
	e.Class = NoClass // a deferral decides nothing
}

// trimTime takes off the time that the selector deliver_time adds: " DT=1m2s", " DT=0.004s".
func trimTime(b []byte) []byte {
	i := bytes.LastIndexByte(b, ' ')
	if i < 0 || !hasPrefix(b[i:], " DT=") || len(b) == i+4 {
		return b
	}
	for _, c := range b[i+4:] {
		if c != '.' && !isDigit(c) && bytes.IndexByte([]byte("wdhms"), c) < 0 {
			return b
		}
	}
	return b[:i]
}

// target reads the address of a delivery, and the original one where Exim logs it: where the
// two differ, or with the parents between them in parentheses. The address stands without the
// quotes of its local part, so any bytes may be in it; see the package comment.
func target(b []byte) (address, original, rest []byte) {
	if at, n := consistent(b); n > 0 {
		return b[:at:at], b[at+2 : n-1 : n-1], b[n:]
	}
	if n := echoed(b); n > 0 {
		original, rest = parents(b[n:])
		return b[:n:n], original, rest
	}
	if n, at, plain := path(b); n > 0 && at > 0 && plain && b[0] != '|' && b[0] != '/' && starts(b[n:], true) {
		original, rest = parents(b[n:])
		return b[:n:n], original, rest
	}
	return oddTarget(b)
}

// consistent finds the last " <ORIGINAL>" that says with quotes what stands before it. It
// returns where that begins, and where it ends.
func consistent(b []byte) (at, end int) {
	for i := 1; i < len(b); i++ {
		next := bytes.IndexByte(b[i:], '<')
		if next < 0 {
			break
		}
		if i += next; b[i-1] != ' ' {
			continue
		}
		if original, rest, ok := bracketed(b[i:]); ok && starts(rest, false) && means(b[:i-1], original) {
			at, end = i-1, len(b)-len(rest)
		}
	}
	return at, end
}

// echoed is the length of an address that has lost its quotes, and that an alias or a forward file
// gave, so that the original one says something else: Exim says it once more, with quotes, where it tells what
// the remote host answered to it.
func echoed(b []byte) (end int) {
	for at := 0; ; {
		i := bytes.Index(b[at:], afterRCPT)
		if i < 0 {
			return end
		}
		i += at
		at = i + len(afterRCPT)
		address, _, ok := bracketed(b[at-1:])
		if !ok {
			continue
		}
		_, at, plain := path(address)
		if plain || at < 0 {
			continue
		}
		n := unquoted(b, address[:at])
		if e := n + len(address) - at; n > 0 && e < i && fold(b[n:e], address[at:]) && starts(b[e:], true) {
			end = e
		}
	}
}

var afterRCPT = []byte(" after RCPT TO:<")

// parents reads " (PARENT, ...)" and " <ORIGINAL>", where they are.
func parents(b []byte) (original, rest []byte) {
	rest = b
	if hasPrefix(rest, " (") {
		rest = rest[2:]
		for {
			n, _, _ := path(rest)
			if n <= 0 {
				return nil, b
			}
			rest = rest[n:]
			after, more := cutPrefix(rest, ", ")
			if rest = after; !more {
				break
			}
		}
		var ok bool
		if rest, ok = cutPrefix(rest, ")"); !ok {
			return nil, b
		}
	}
	if hasPrefix(rest, " <") {
		if original, after, ok := bracketed(rest[1:]); ok {
			return original, after
		}
	}
	return nil, rest
}

// oddTarget reads an address that is none as it stands: that of a file, a pipe or an automatic
// reply, or one that an alias or a forward file gave and that has lost its quotes. The original
// address is the first that something can follow; who writes such forward files can
// make it another one.
func oddTarget(b []byte) (address, original, rest []byte) {
	file := b[0:min(1, len(b))]
	delivered := string(file) == "|" || string(file) == "/" || string(file) == ">" || hasPrefix(b, "save ")
	for at := 0; ; {
		i := bytes.Index(b[at:], []byte(" <"))
		if i < 0 {
			break
		}
		i += at
		at = i + 2
		original, rest, ok := bracketed(b[i+1:])
		if ok && starts(rest, false) && (delivered || bytes.IndexByte(b[:i], '@') > 0) {
			return withoutParents(b[:i:i]), original, rest
		}
	}
	for i := range b { // no original
		if (b[i] == ' ' || b[i] == ':') && starts(b[i:], false) {
			return b[:i:i], nil, b[i:]
		}
	}
	return b, nil, nil
}

// withoutParents takes " (a@b, c@d)" off the end.
func withoutParents(b []byte) []byte {
	if !bytes.HasSuffix(b, []byte(")")) {
		return b
	}
	for i := bytes.LastIndex(b, []byte(" (")); i > 0; i = bytes.LastIndex(b[:i], []byte(" (")) {
		if _, rest := parents(b[i:]); len(rest) == 0 {
			return b[:i:i]
		}
	}
	return b
}

// follows is what can stand behind the addresses.
var follows = [...]string{" F=<", " Q=", " P=<", " R=", " T=", " H=", " S=", " PS=", " X=", " DT=", " QT=", " C=\"", " I=[", ": ", " : ",
	" defer (", " routing defer (", " router defer (", " transporting defer (", " mua_wrapper "}

// starts says whether that stands at the beginning of b; with more, addresses may stand there, too.
func starts(b []byte, more bool) bool {
	if len(b) == 0 {
		return true
	}
	if more && (hasPrefix(b, " <") || hasPrefix(b, " (")) {
		return true
	}
	for _, f := range follows {
		if hasPrefix(b, f) {
			return true
		}
	}
	return false
}
