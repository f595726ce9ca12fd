// Package imports reads what other programs have kept, so that whoever comes from one of them
// does not begin with an empty store: lists of blocked users in Exim's own format, the states of
// greylistd and of Postgrey, and the MySQL tables of the bounce and tarpit lists of old. It is
// pure: bytes in, records out, one at a time. What a line says is not judged here; a line
// that cannot be read is reported, and the next one is read.
package imports

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Bad takes the lines that cannot be read: its number, from 1, and why.
type Bad func(line int, why string)

// Name is an entry of a list of names.
type Name struct {
	Line int
	Name string
}

// Triplet is a contact that some greylisting has seen. The times are Unix seconds.
type Triplet struct {
	Line              int
	Client            netip.Prefix // one address, or the network that it was kept under
	Sender, Recipient string
	First, Last       int64
	Passed            bool // it was retried in time; Postgrey does not say, but by Last
}

// Client is a client that some greylisting lets in, or may.
type Client struct {
	Line   int
	Client netip.Prefix
	Passes int64 // 0: nobody counted
	Last   int64 // Unix seconds; 0: nobody knows
}

// longest is the most bytes of a line, or of a value in a dump: more than any address, id or time
// has.
const longest = 64 << 10

// lines reads a file line by line, without its newlines. A line that is too long is reported.
func lines(r io.Reader, bad Bad, each func(n int, line string) error) error {
	in := bufio.NewReaderSize(r, longest)
	for n := 1; ; n++ {
		line, err := in.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			bad(n, fmt.Sprintf("longer than %d bytes", longest))
			for errors.Is(err, bufio.ErrBufferFull) {
				_, err = in.ReadSlice('\n')
			}
			if err == nil {
				continue
			}
			line = nil
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("line %d: %w", n, err)
		}
		if len(line) > 0 {
			if eachErr := each(n, strings.TrimRight(string(line), "\r\n")); eachErr != nil {
				return eachErr
			}
		}
		if err != nil {
			return nil
		}
	}
}

// network reads a client: an address, a network, or the beginning of an IPv4 one ("192.0.2").
// An IPv4 address in IPv6's form is the IPv4 one.
func network(s string) (netip.Prefix, bool) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	if p, err := netip.ParsePrefix(s); err == nil && !p.Addr().Is4In6() {
		return p.Masked(), true
	}
	short := strings.TrimSuffix(s, ".")
	if octets := strings.Count(short, ".") + 1; octets < 4 && strings.Contains(s, ".") {
		if a, err := netip.ParseAddr(short + strings.Repeat(".0", 4-octets)); err == nil {
			return netip.PrefixFrom(a, 8*octets), true
		}
	}
	return netip.Prefix{}, false
}

// moment reads a time: seconds since 1970, or MySQL's "2026-11-20 10:00:00", which is taken as UTC.
func moment(s string) (int64, bool) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && plausible(n) {
		return n, true
	}
	for _, form := range []string{time.DateTime, "20060102150405"} {
		if t, err := time.Parse(form, s); err == nil && plausible(t.Unix()) {
			return t.Unix(), true
		}
	}
	return 0, false
}

// plausible says whether a number of seconds is a time since these programs are there, from the year 2000 on:
// one that was cut off at a file's end is not, and others could overflow later.
func plausible(seconds int64) bool { return seconds > 946684800 && seconds < 1<<33 }

// address says whether this can be an envelope address: no blank, and no newline to come from a
// dump.
func address(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f })
}

// short is the beginning of a text, quoted, for a report.
func short(s string) string {
	const most = 60
	if len(s) > most {
		return strconv.Quote(s[:most]) + "..."
	}
	return strconv.Quote(s)
}
