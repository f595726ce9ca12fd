package mainlog

import "bytes"

// rejection reads a line about a command, or a message, that was refused (smtp_handle_acl_fail of Exim's
// source, specification "Reducing or increasing what is logged"):
//
//	[DS]H=HOST [I=..] [U=IDENT] [Ci=ID] [X=..] [CV=..] [DN=".."] [SNI=..] [F=<SENDER>] [A=AUTH] [SPF] [temporarily ]rejected COMMAND: REASON
//	U=LOGIN ... for a local caller
//	F=<SENDER> rejected by non-SMTP ACL: REASON
//
// A= is not believed behind a client's own words, of which nobody knows where they end: U= beside H=, a DN, or
// any HELO that seems to end twice. false is for other lines about a host: warnings, sender
// verification, protocol errors.
func (e *Entry) rejection(b []byte, o *Options) bool {
	b, _ = cutPrefix(b, " DS") // really without a blank behind it
	doubtful := false          // a client's free text comes before A=
	if rest, ok := cutPrefix(b, "H="); ok {
		if e.Host, b, ok = client(rest, o.JunkHelo, 0); !ok {
			return false
		}
		if o.JunkHelo && bytes.Count(rest, []byte(") [")) > 1 {
			doubtful, e.Host = true, Host{}
		}
		b = options(b)
		if rest, ok := cutPrefix(b, " U="); ok {
			doubtful = true
			n := untilField(rest)
			e.Ident, b = rest[:n:n], rest[n:]
		}
	} else if rest, ok := cutPrefix(b, "U="); ok {
		e.Ident, b = token(rest)
	}
	_, b, _ = field(b, " Ci=")
	_, b, _ = field(b, " X=")
	_, b, _ = field(b, " CV=")
	if hasPrefix(b, ` DN="`) {
		doubtful = true
		n := untilField(b)
		b = b[n:]
	}
	_, b, _ = field(b, " SNI=")
	b, ok := e.rejectedSender(b)
	if !ok || !e.refusal(b) {
		return false
	}
	if doubtful { // what looks like A= may be a part of it
		e.Auth = Auth{}
	}
	return true
}

// untilField is where free text ends at the earliest: before F=, or before what was refused.
func untilField(b []byte) int {
	n := len(b)
	for _, next := range [...]string{" F=<", " rejected ", " temporarily rejected ", " Ci=", " X="} {
		if i := bytes.Index(b[:n], []byte(next)); i >= 0 {
			n = i
		}
	}
	return n
}

// rejectedSender reads F=, in the lines that have it: those about RCPT, data and MIME parts.
func (e *Entry) rejectedSender(b []byte) (rest []byte, ok bool) {
	rest, ok = cutPrefix(b, " F=")
	if !ok {
		rest, ok = cutPrefix(b, "F=")
	}
	if !ok {
		return b, true
	}
	e.Sender, rest, ok = bracketed(rest)
	e.HasSender = ok
	return rest, ok
}

// refusal reads [A=AUTH] [SPF] [temporarily ]rejected COMMAND[: REASON].
func (e *Entry) refusal(b []byte) bool {
	auth, authenticated := cutPrefix(b, " A=")
	if authenticated {
		i := refused(auth)
		if i < 0 {
			return false
		}
		id, _, _ := bytes.Cut(auth[:i], []byte(" DMARC"))
		e.Auth = authOf(trimWord(id, " SPF"), &Options{})
		b = auth[i:]
	} else {
		b = cutWord(b, " SPF")
		b = cutWord(b, " DMARC")
	}
	if rest, ok := cutPrefix(b, " temporarily"); ok {
		e.Temporary, b = true, rest
	}
	b, ok := cutPrefix(b, " rejected ")
	return ok && e.command(b)
}

// trimWord takes " SPF" or " SPF=pass" off the end.
func trimWord(b []byte, word string) []byte {
	i := bytes.LastIndexByte(b, ' ')
	if i >= 0 && hasPrefix(b[i:], word) && (len(b) == i+len(word) || b[i+len(word)] == '=') {
		return b[:i]
	}
	return b
}

// refused is where " rejected COMMAND" begins for the first time, -1 if nowhere.
func refused(b []byte) int {
	for at := 0; ; {
		i := bytes.Index(b[at:], []byte(" rejected "))
		if i < 0 {
			return -1
		}
		at += i
		if word, _ := commandOf(b[at+len(" rejected "):]); word > 0 {
			return len(bytes.TrimSuffix(b[:at], []byte(" temporarily")))
		}
		at++
	}
}

// commands are what can be rejected, in Exim's words (acl_wherenames and
// smtp_handle_acl_fail). Behind those with an argument comes the command as the client
// wrote it, up to 100 bytes of it.
var commands = [...]struct {
	name     string
	argument bool
}{
	{"RCPT", true},
	{"MAIL", true},
	{"DATA", false},
	{"after DATA PRDR", false},
	{"after DATA", false},
	{"during MIME ACL checks", false},
	{"EHLO or HELO", true},
	{"AUTH", true},
	{"STARTTLS", true},
	{"VRFY", true},
	{"EXPN", true},
	{"ETRN", true},
	{"connection", true},
	{"by non-SMTP ACL", false},
}

// commandOf is the length of the command at the beginning of b, 0 if there is none.
func commandOf(b []byte) (n int, argument bool) {
	for i := range commands {
		c := &commands[i]
		rest, ok := cutPrefix(b, c.name)
		if ok && (len(rest) == 0 || hasPrefix(rest, ": ") || c.argument && rest[0] == ' ') {
			return len(c.name), c.argument
		}
	}
	return 0, false
}

// maxCommand is how much of a command Exim logs.
const maxCommand = 100

func (e *Entry) command(b []byte) bool {
	n, argument := commandOf(b)
	if n == 0 {
		return false
	}
	e.Command, b = b[:n:n], b[n:]
	if argument && len(b) > 0 && b[0] == ' ' {
		b = e.argument(b[1:])
	}
	e.Text, _ = cutPrefix(b, ": ")
	if string(e.Command) == "MAIL" && !e.HasSender {
		e.Sender, e.HasSender = e.Address, len(e.Address) > 0
	}
	return true
}

// argument reads the client's words behind a command, and the address that they begin with: any
// bytes may be in its quotes, ": " too.
func (e *Entry) argument(b []byte) (rest []byte) {
	whole := b[:min(len(b), maxCommand)]
	n := 0
	if string(e.Command) == "RCPT" || string(e.Command) == "MAIL" {
		if address, after, ok := bracketed(whole); ok {
			e.Address, n = address, len(whole)-len(after)
		} else if i, at, _ := path(whole); at > 0 {
			e.Address, n = whole[:i:i], i
		} else if len(b) == maxCommand || hasPrefix(b[len(whole):], ": ") {
			e.Address, e.Cut = bytes.TrimPrefix(whole, []byte("<")), true
			return b[len(whole):]
		}
	}
	if i := bytes.Index(b[n:], []byte(": ")); i >= 0 {
		return b[n+i:]
	}
	return nil
}

const authenticatorFailed = " authenticator failed for "

// authFailed reads
//
//	DRIVER authenticator failed for HOST [I=..] [U=IDENT]: 535 Incorrect authentication data[ (set_id=ID)]
//
// where HOST has H= before it since 4.99, and is the login (or unknown) of a local caller. The id
// is what the client gave, made printable; it may hold anything.
func (e *Entry) authFailed(b []byte, o *Options) {
	i := bytes.IndexByte(b, ' ')
	e.Auth.Driver, b = b[:i:i], b[i+len(authenticatorFailed):]
	rest, tagged := cutPrefix(b, "H=")
	h, after, ok := client(rest, o.JunkHelo, 0)
	if ok {
		e.Host = h
		b = options(after)
		if rest, ok := cutPrefix(b, " U="); ok {
			if i := bytes.Index(rest, []byte(": ")); i >= 0 {
				e.Ident, b = rest[:i:i], rest[i:]
			}
		}
	} else if !tagged {
		rest, _ := cutPrefix(b, "U=")
		e.Ident, b = name(rest)
	}
	_, b, _ = bareField(b, " Ci=")
	if e.Text, ok = cutPrefix(b, ": "); !ok {
		e.Damaged = true
		return
	}
	e.Temporary = hasPrefix(e.Text, "4")
	e.codes(e.Text)
	e.setID()
}

// setID takes the id out of the three texts that have one (smtp_in_auth of Exim's source).
func (e *Entry) setID() {
	for _, t := range [...]struct{ before, after string }{
		{"535 Incorrect authentication data (set_id=", ")"},
		{"435 Unable to authenticate at present (set_id=", "): "},
		{"435 Internal error (set_id=", "): "},
	} {
		id, ok := cutPrefix(e.Text, t.before)
		if !ok {
			continue
		}
		switch i := bytes.Index(id, []byte(t.after)); {
		case t.after == ")":
			e.Auth.ID = bytes.TrimSuffix(id, []byte(")"))
		case i >= 0:
			e.Auth.ID = id[:i:i]
		}
	}
}
