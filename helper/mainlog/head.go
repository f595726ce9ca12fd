package mainlog

import (
	"bytes"
	"time"
)

// head is what stands before the text of a line.
type head struct {
	stamp stamp
	pid   int
	id    []byte
	rest  []byte
}

// cutHead reads TIME [ZONE] [[PID]] [ID], behind what syslog put before it (specification, "Log files",
// "Logging to syslog").
func cutHead(line []byte, o *Options) (h head, ok bool) {
	b := line
	if n := len(b); n > 0 && b[n-1] == '\n' {
		b = b[:n-1]
	}
	rest, timed := h.stamp.exim(b)
	if !timed {
		p, ok := cutSyslog(b, o)
		if !ok {
			return h, false
		}
		if rest, timed = h.stamp.exim(p.rest); !timed {
			h.stamp, rest = p.stamp, p.rest // syslog_timestamp = false
		}
		h.pid = p.pid
	}
	if pid, after, ok := cutPID(rest); ok {
		h.pid, rest = pid, after
	}
	if n := idLength(rest); n > 0 {
		h.id, rest = rest[:n:n], rest[n+1:]
	}
	h.rest = rest
	return h, len(rest) > 0
}

// cutPID reads "[123] ", which the selector pid adds.
func cutPID(b []byte) (pid int, rest []byte, ok bool) {
	if len(b) < 4 || b[0] != '[' {
		return 0, b, false
	}
	n, rest, ok := number(b[1:])
	if !ok || !hasPrefix(rest, "] ") {
		return 0, b, false
	}
	return int(n), rest[2:], true
}

// idLength is the length of the message id that b begins with, with a blank behind it, or 0: 6-6-2 letters and
// digits up to Exim 4.96, 6-11-4 since (specification, "Message identification"). Both
// are in the log of a host that was upgraded.
func idLength(b []byte) int {
	switch {
	case len(b) > 16 && b[6] == '-' && b[13] == '-' && b[16] == ' ':
		if allAlnum(b[:6]) && allAlnum(b[7:13]) && allAlnum(b[14:16]) {
			return 16
		}
	case len(b) > 23 && b[6] == '-' && b[18] == '-' && b[23] == ' ':
		if allAlnum(b[:6]) && allAlnum(b[7:18]) && allAlnum(b[19:23]) {
			return 23
		}
	}
	return 0
}

func allAlnum(b []byte) bool {
	for _, c := range b {
		if !isAlnum(c) {
			return false
		}
	}
	return true
}

// stamp is a time as it is written.
type stamp struct {
	year, month, day, hour, min, sec int
	nano                             int
	zone                             int // seconds east of UTC
	zoned                            bool
}

// exim reads "2026-11-22 05:34:30[.123][ +0100] ", in local time where it has no zone.
func (s *stamp) exim(b []byte) (rest []byte, ok bool) {
	if len(b) < 20 || b[10] != ' ' || !s.dateTime(b) {
		return b, false
	}
	b = s.fraction(b[19:])
	if len(b) > 6 && b[0] == ' ' && (b[1] == '+' || b[1] == '-') && b[6] == ' ' && s.offset(b[1:6]) {
		b = b[6:]
	}
	if len(b) == 0 || b[0] != ' ' {
		return b, false
	}
	return b[1:], true
}

// dateTime reads "2026-11-22 05:34:30", with whatever stands between the two.
func (s *stamp) dateTime(b []byte) bool {
	if b[4] != '-' || b[7] != '-' || b[13] != ':' || b[16] != ':' {
		return false
	}
	s.year = two(b)*100 + two(b[2:])
	s.month, s.day = two(b[5:]), two(b[8:])
	return two(b) >= 0 && two(b[2:]) >= 0 && s.clock(b[11:]) && s.date()
}

func (s *stamp) clock(b []byte) bool {
	s.hour, s.min, s.sec = two(b), two(b[3:]), two(b[6:])
	return s.hour >= 0 && s.hour < 24 && s.min >= 0 && s.min < 60 && s.sec >= 0 && s.sec <= 60
}

func (s *stamp) date() bool { return s.month >= 1 && s.month <= 12 && s.day >= 1 && s.day <= 31 }

// fraction reads ".123", with as many digits as there are.
func (s *stamp) fraction(b []byte) []byte {
	if len(b) < 2 || b[0] != '.' || !isDigit(b[1]) {
		return b
	}
	i := 1
	for unit := 100_000_000; i < len(b) && isDigit(b[i]); i++ {
		s.nano += int(b[i]-'0') * unit
		unit /= 10
	}
	return b[i:]
}

// offset reads "+0100".
func (s *stamp) offset(b []byte) bool {
	h, m := two(b[1:]), two(b[3:])
	if h < 0 || m < 0 || h > 15 || m > 59 {
		return false
	}
	if s.zone, s.zoned = h*3600+m*60, true; b[0] == '-' {
		s.zone = -s.zone
	}
	return true
}

// two is a number of two digits, or far below 0.
func two(b []byte) int {
	if !isDigit(b[0]) || !isDigit(b[1]) {
		return -10000
	}
	return int(b[0]-'0')*10 + int(b[1]-'0')
}

// when is the time of a line. With a zone in the line, it is that; else the time of the
// place that the options name.
//
// In that, an hour comes twice when summer time ends, and the lines of both look the same.
// Then the time is that of the first, and repeated says that it may be an hour later (or what
// summer time is there): who knows that the line before was later, adds it. An hour that does not exist,
// in spring, is read with the offset from before, as time.Date may.
func (h *head) when(o *Options) (t time.Time, repeated bool) {
	s := &h.stamp
	if s.year < 0 { // RFC 3164 has none
		s.year = nearestYear(s, o)
	}
	if s.zoned || o.Location == nil || o.Location == time.UTC {
		return time.Unix(s.unix()-int64(s.zone), int64(s.nano)).UTC(), false
	}
	t = time.Date(s.year, time.Month(s.month), s.day, s.hour, s.min, s.sec, s.nano, o.Location)
	begin, end := t.ZoneBounds()
	_, here := t.Zone()
	if !begin.IsZero() { // the second of the two hours? then the first
		if _, before := begin.Add(-1).Zone(); before > here {
			if d := time.Duration(before-here) * time.Second; t.Sub(begin) < d {
				return t.Add(-d), true
			}
		}
	}
	if !end.IsZero() {
		if _, after := end.Zone(); after < here {
			return t, end.Sub(t) <= time.Duration(here-after)*time.Second
		}
	}
	return t, false
}

// unix is the second since 1970, read as UTC: Howard Hinnant's days_from_civil. It is
// time.Date without the look at a zone.
func (s *stamp) unix() int64 {
	y, m := int64(s.year), int64(s.month)
	if m <= 2 {
		y--
		m += 12
	}
	era := y / 400 // years are not negative here
	yoe := y - era*400
	doy := (153*(m-3)+2)/5 + int64(s.day) - 1
	doe := yoe*365 + yoe/4 - yoe/100 + doy
	days := era*146097 + doe - 719468
	return days*86400 + int64(s.hour)*3600 + int64(s.min)*60 + int64(s.sec)
}

// nearestYear is the year that brings a time nearest to Now.
func nearestYear(s *stamp, o *Options) int {
	best, least := o.Now.Year(), time.Duration(1<<63-1)
	for y := o.Now.Year() - 1; y <= o.Now.Year()+1; y++ {
		there := *s
		there.year = y
		if d := o.Now.Sub(time.Unix(there.unix(), 0)).Abs(); d < least {
			best, least = y, d
		}
	}
	return best
}

var months = []byte("JanFebMarAprMayJunJulAugSepOctNovDec")

// month reads "Nov".
func month(b []byte) int {
	if i := bytes.Index(months, b[:3]); i >= 0 && i%3 == 0 {
		return i/3 + 1
	}
	return 0
}
