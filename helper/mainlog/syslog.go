package mainlog

import "bytes"

// prefix is what syslog puts before a line.
type prefix struct {
	stamp stamp
	from  []byte // host and process as they are written: whose line this is
	pid   int
	rest  []byte
}

// cutSyslog reads the forms in which Exim's lines come out of a syslog:
//
//	[<22>]Nov 22 05:34:30 host exim[123]: text                              RFC 3164, section 4.1
//	[<22>]2026-11-22T05:34:30.123456+01:00 host exim[123]: text             the same with the time of RFC 3339
//	[<22>]1 2026-11-22T05:34:30.123Z host exim 123 - [data] text            RFC 5424, section 6
func cutSyslog(b []byte, o *Options) (p prefix, ok bool) {
	b = cutPriority(b)
	modern := false
	if rest, ok := cutPrefix(b, "1 "); ok {
		b, modern = rest, true
	}
	if b, ok = p.stamp.syslog(b); !ok {
		return p, false
	}
	from := b
	if _, b = token(b); len(b) < 2 { // the host
		return p, false
	}
	b = b[1:]
	if modern {
		b, ok = p.modern(b, o)
	} else {
		b, ok = p.tag(b, o)
	}
	p.from = from[:len(from)-len(b)]
	p.rest = b
	return p, ok && len(b) > 0
}

func cutPriority(b []byte) []byte {
	if len(b) > 2 && b[0] == '<' {
		if _, rest, ok := number(b[1:]); ok && len(rest) > 0 && rest[0] == '>' {
			return rest[1:]
		}
	}
	return b
}

// tag reads "exim[123]: " or "exim: ".
func (p *prefix) tag(b []byte, o *Options) (rest []byte, ok bool) {
	i := bytes.IndexAny(b, "[: ")
	if i <= 0 || !isProcess(b[:i], o) {
		return b, false
	}
	b = b[i:]
	if b[0] == '[' {
		n, rest, ok := number(b[1:])
		if !ok || len(rest) == 0 || rest[0] != ']' {
			return b, false
		}
		p.pid, b = int(n), rest[1:]
	}
	return cutPrefix(b, ": ")
}

// modern reads "exim 123 - [data] ", where each may be "-".
func (p *prefix) modern(b []byte, o *Options) (rest []byte, ok bool) {
	name, b := token(b)
	if !isProcess(name, o) || len(b) < 2 {
		return b, false
	}
	pid, b := token(b[1:])
	if n, _, ok := number(pid); ok {
		p.pid = int(n)
	}
	if len(b) < 2 {
		return b, false
	}
	if _, b = token(b[1:]); len(b) < 2 { // MSGID
		return b, false
	}
	if b = b[1:]; b[0] == '-' {
		b = b[1:]
	} else if b, ok = cutData(b); !ok {
		return b, false
	}
	if b, ok = cutPrefix(b, " "); ok {
		b, _ = cutPrefix(b, "\xef\xbb\xbf")
	}
	return b, ok
}

// cutData takes off structured data: [id name="value with \] \" \\ escaped"]...
func cutData(b []byte) (rest []byte, ok bool) {
	for len(b) > 0 && b[0] == '[' {
		quoted, i := false, 1
		for ; i < len(b) && (quoted || b[i] != ']'); i++ {
			switch b[i] {
			case '\\':
				i++
			case '"':
				quoted = !quoted
			}
		}
		if i >= len(b) {
			return b, false
		}
		b, ok = b[i+1:], true
	}
	return b, ok
}

func isProcess(name []byte, o *Options) bool {
	if o.Process != "" {
		return string(name) == o.Process
	}
	return hasPrefix(name, "exim")
}

// syslog reads either form of time, and the blank behind it.
func (s *stamp) syslog(b []byte) (rest []byte, ok bool) {
	if len(b) > 20 && b[10] == 'T' && s.dateTime(b) {
		b = s.fraction(b[19:])
		switch {
		case hasPrefix(b, "Z "):
			s.zoned = true
			return b[2:], true
		case len(b) > 6 && (b[0] == '+' || b[0] == '-') && b[3] == ':' && b[6] == ' ':
			return b[7:], s.offset([]byte{b[0], b[1], b[2], b[4], b[5]})
		}
		return cutPrefix(b, " ")
	}
	if len(b) < 17 || b[3] != ' ' || b[6] != ' ' || b[9] != ':' || b[12] != ':' || b[15] != ' ' {
		return b, false
	}
	s.year, s.month = -1, month(b)
	if s.day = two(b[4:]); b[4] == ' ' && isDigit(b[5]) {
		s.day = int(b[5] - '0')
	}
	return b[16:], s.clock(b[7:]) && s.date()
}
