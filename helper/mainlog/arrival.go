package mainlog

import "bytes"

// arrival reads what follows "<= " (specification, "Logging message reception", and the order of
// receive.c):
//
//	SENDER [R=ID] [DS] [H=HOST] [I=..] [TFO*] [U=IDENT] [Ci=ID] [P=PROTOCOL] [L] [SPF]
//	[X=CIPHER] [CV=..] [DN=".."] [SNI=..] [A=AUTH] [PRDR] [PRX=..] [K] S=SIZE ...
//
// and then what [Entry.tail] reads.
func (e *Entry) arrival(b []byte, o *Options) {
	sender, rest, ok := arrivalSender(b)
	if !ok {
		e.Damaged = true
		return
	}
	e.Sender, e.HasSender = sender, true
	front, ok := e.size(rest)
	if !ok { // then nobody knows where A= ends
		e.Damaged = true
		return
	}
	if ref, after, ok := field(front, " R="); ok {
		e.Reference, front = ref, after
	}
	front, _ = cutPrefix(front, " DS")
	if !hasPrefix(front, " H=") {
		ok = e.afterHost(front, o)
	} else {
		ok = e.arrivalHost(front[len(" H="):], o)
	}
	if !ok {
		e.Damaged, e.Auth = true, Auth{}
	}
}

func arrivalSender(b []byte) (sender, rest []byte, ok bool) {
	if rest, ok := cutPrefix(b, "<>"); ok {
		return nil, rest, len(rest) > 0 && rest[0] == ' '
	}
	n, _, _ := path(b)
	if n <= 0 || n < len(b) && b[n] != ' ' {
		return nil, b, false
	}
	return b[:n:n], b[n:], true
}

// size finds S=, by what may follow it, reads on from there, and returns what is before. In a line that
// was cut, where the last thing may have lost its quotes, the first place counts: what comes later is cheaper to
// choose than an id.
func (e *Entry) size(b []byte) (front []byte, ok bool) {
	for at := 0; ; {
		i := bytes.Index(b[at:], []byte(" S="))
		if i < 0 {
			return b, false
		}
		at += i
		n, rest, ok := number(b[at+3:])
		if ok && (len(rest) == 0 || rest[0] == ' ') {
			var t tail
			if t.read(rest, e.Cut) {
				e.Size, e.MessageID, e.Created, e.Subject = n, t.id, t.created, t.subject
				return b[:at], true
			}
		}
		at += 3
	}
}

// tail is what may follow S=:
//
//	[M8S=n] [DKIM=d] [ARC] [DMARC=..] [RT=1s] [Q=queue] [id=ID] [T="SUBJECT"] [from <SENDER>] [for RECIPIENT ...]
type tail struct {
	id, subject []byte
	created     bool
}

// read says whether b is such a tail, up to its end.
func (t *tail) read(b []byte, cut bool) bool {
	for {
		rest, ok := upper(b)
		if !ok {
			break
		}
		b = rest
	}
	for _, key := range [...]string{" id=", " id*="} {
		if !hasPrefix(b, key) {
			continue
		}
		n, at, _ := path(b[len(key):])
		if at < 0 {
			return cut && (n < 0 || n == len(b)-len(key))
		}
		t.id, t.created = b[len(key):len(key)+n], key == " id*="
		b = b[len(key)+n:]
	}
	if hasPrefix(b, ` T="`) {
		end := quoted(b, len(" T="))
		if end < 0 {
			return cut
		}
		t.subject = b[len(` T="`) : end-1]
		b = b[end:]
	}
	if rest, ok := cutPrefix(b, " from "); ok {
		if _, b, ok = bracketed(rest); !ok {
			return cut && ends(rest[min(1, len(rest)):])
		}
	}
	if rest, ok := cutPrefix(b, " for"); ok {
		return recipients(rest, cut)
	}
	return len(b) == 0
}

// ends says whether the line ends within an address.
func ends(b []byte) bool {
	n, _, _ := path(b)
	return n < 0 || n == len(b)
}

// upper takes off a field, or a word, of capitals that is not known to be anything else: DKIM=, RT=, ARC. Those of
// later Exims will not be id= or S=.
func upper(b []byte) (rest []byte, ok bool) {
	if len(b) < 3 || b[0] != ' ' || b[1]-'A' >= 26 {
		return b, false
	}
	i := 2
	for i < len(b) && (b[i]-'A' < 26 || isDigit(b[i])) {
		i++
	}
	if i == len(b) || b[i] == ' ' {
		return b[i:], i > 2
	}
	if b[i] != '=' || i == 2 && b[1] != 'Q' {
		return b, false
	}
	value, rest := token(b[i+1:])
	return rest, len(value) > 0 && bytes.IndexByte(value, '"') < 0 && bytes.IndexByte(value, '\\') < 0
}

// recipients are those of the selector received_recipients, each with a domain.
func recipients(b []byte, cut bool) bool {
	for len(b) > 0 {
		if b[0] != ' ' {
			return false
		}
		n, at, _ := path(b[1:])
		if n < 0 || n+1 == len(b) && at < 0 {
			return cut
		}
		if at < 0 {
			return false
		}
		b = b[n+1:]
	}
	return true
}

// arrivalHost reads H= and all that follows, up to S=. Where HELO may hold anything, it ends as
// late as the rest makes sense.
func (e *Entry) arrivalHost(b []byte, o *Options) bool {
	from := 0
	if o.JunkHelo {
		from = len(b)
	}
	for {
		if o.JunkHelo {
			if from = bytes.LastIndex(b[:from], []byte(") [")); from < 0 {
				from = 0
			}
		}
		h, rest, ok := client(b, o.JunkHelo, from)
		if ok {
			e.Host = h
			if e.afterHost(rest, o) {
				return true
			}
		}
		if from == 0 {
			return false
		}
	}
}

// afterHost reads [I=..] [TFO*] [U=IDENT] [Ci=ID] [P=PROTOCOL] and on.
func (e *Entry) afterHost(b []byte, o *Options) bool {
	b = options(b)
	if rest, ok := cutPrefix(b, " U="); ok {
		return e.ident(rest, o)
	}
	_, b, _ = field(b, " Ci=")
	return e.protocol(b, o)
}

// ident reads U=. A client's ident server may say anything (Exim makes controls visible,
// and takes 127 bytes), so it ends as late as the rest makes sense; a login has no blanks.
func (e *Entry) ident(b []byte, o *Options) bool {
	if !e.Host.IP.IsValid() {
		var rest []byte
		e.Ident, rest = token(b)
		_, rest, _ = field(rest, " Ci=")
		return e.protocol(rest, o)
	}
	for end := len(b); ; {
		if end = bytes.LastIndex(b[:end], []byte(" P=")); end < 0 {
			return false
		}
		if e.protocol(b[end:], o) {
			e.Ident = b[:end]
			if i := bytes.LastIndex(e.Ident, []byte(" Ci=")); i >= 0 && bytes.IndexByte(e.Ident[i+1:], ' ') < 0 {
				e.Ident = e.Ident[:i]
			}
			return true
		}
	}
}

// protocol reads [P=PROTOCOL] [L] [SPF] [X=..] [CV=..] [DN=".."] [SNI=..] [A=..] [PRDR] [PRX=..] [K] up to the end.
func (e *Entry) protocol(b []byte, o *Options) bool {
	e.Protocol, b, _ = field(b, " P=")
	if hasPrefix(b, " L") { // pipelining: L, L-, L.-, L*
		flags, rest := token(b[1:])
		if len(bytes.Trim(flags[1:], "-.*")) == 0 {
			b = rest
		}
	}
	b = cutWord(b, " SPF")
	b = cutTLS(b)
	auth, ok := cutPrefix(b, " A=")
	if !ok {
		e.Auth = Auth{}
		return len(trimExtensions(b)) == 0
	}
	e.Auth = authOf(trimExtensions(auth), o)
	return len(e.Auth.Driver) > 0
}

// cutWord takes off " SPF" or " SPF=pass".
func cutWord(b []byte, word string) []byte {
	if rest, ok := cutPrefix(b, word); ok && (len(rest) == 0 || rest[0] == ' ' || rest[0] == '=') {
		_, rest = token(rest)
		return rest
	}
	return b
}

// cutTLS takes off X=, CV=, DN= and SNI=. The DN of a client's certificate is in quotes, but
// has its own in it as they are: it ends at the last quote that something can follow.
func cutTLS(b []byte) []byte {
	_, b, _ = field(b, " X=")
	_, b, _ = field(b, " CV=")
	if hasPrefix(b, ` DN="`) {
		first := len(` DN="`)
		for end := len(b); ; {
			i := bytes.LastIndexByte(b[first:end], '"')
			if i < 0 {
				return b
			}
			end = first + i
			if rest := b[end+1:]; afterTLS(rest) {
				b = rest
				break
			}
		}
	}
	_, b, _ = field(b, " SNI=")
	return b
}

func afterTLS(b []byte) bool {
	_, b, _ = field(b, " SNI=")
	return hasPrefix(b, " A=") || len(trimExtensions(b)) == 0
}

// trimExtensions takes [PRDR] [PRX=address] [K] off the end.
func trimExtensions(b []byte) []byte {
	b = bytes.TrimSuffix(b, []byte(" K"))
	if i := bytes.LastIndexByte(b, ' '); i >= 0 && hasPrefix(b[i:], " PRX=") {
		b = b[:i]
	}
	return bytes.TrimSuffix(b, []byte(" PRDR"))
}

// authOf takes "driver:id" apart; the name of a driver has no colon.
func authOf(b []byte, o *Options) (a Auth) {
	i := bytes.IndexByte(b, ':')
	if i < 0 {
		a.Driver = b
		return a
	}
	a.Driver, a.ID = b[:i:i], b[i+1:]
	if o.MailAuth {
		if i := bytes.IndexByte(a.ID, ':'); i >= 0 {
			a.ID = a.ID[:i:i]
		}
	}
	return a
}
