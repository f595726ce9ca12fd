package imports

import (
	"encoding/hex"
	"fmt"
	"io"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

// Postgrey reads what db5.3_dump prints (with -p or without) of Postgrey's databases postgrey.db, whose keys are
// "CLIENT/SENDER/RECIPIENT", and postgrey_clients.db, whose keys are clients; one after the other is fine, too.
func Postgrey(r io.Reader, triplet func(Triplet) error, client func(Client) error, bad Bad) error {
	d := dump{bad: bad}
	return lines(r, bad, func(n int, line string) error {
		key, value, whole := d.line(n, line)
		if !whole {
			return nil
		}
		if why, err := pair(d.at, key, value, triplet, client); why != "" || err != nil {
			if why != "" {
				bad(d.at, why)
			}
			return err
		}
		return nil
	})
}

// dump reads Berkeley DB's own text format (its reference, "db_dump").
type dump struct {
	bad    Bad
	within bool // between HEADER=END and DATA=END
	print  bool // format=print; else bytevalue
	half   bool // a key was read, and its value comes
	spoilt bool // of that key
	key    string
	at     int // its line
}

// line takes a line; whole says that there now is a pair.
func (d *dump) line(n int, line string) (key, value string, whole bool) {
	switch {
	case !d.within:
		switch {
		case strings.HasPrefix(line, "format="):
			d.print = line == "format=print"
		case line == "HEADER=END":
			d.within = true
		case line == "" || strings.Contains(line, "="):
		default:
			d.bad(n, "not a dump of Berkeley DB's: "+short(line))
		}
		return "", "", false
	case line == "DATA=END":
		if d.half {
			d.bad(d.at, "a key without a value")
		}
		*d = dump{bad: d.bad}
		return "", "", false
	}
	text, ok := d.decode(strings.TrimPrefix(line, " "))
	if !ok {
		d.bad(n, "cannot be decoded: "+short(line))
	}
	if d.half = !d.half; d.half {
		d.key, d.at, d.spoilt = text, n, !ok
		return "", "", false
	}
	return d.key, text, ok && !d.spoilt
}

func (d *dump) decode(s string) (string, bool) {
	if !d.print {
		b, err := hex.DecodeString(s)
		return string(b), err == nil
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] != '\\':
			b.WriteByte(s[i])
		case strings.HasPrefix(s[i:], `\\`):
			b.WriteByte('\\')
			i++
		case i+2 < len(s) && hexDigit(s[i+1]) >= 0 && hexDigit(s[i+2]) >= 0:
			b.WriteByte(byte(hexDigit(s[i+1])<<4 | hexDigit(s[i+2])))
			i += 2
		default:
			return "", false
		}
	}
	return b.String(), true
}

// hashed is a key as postgrey --privacy makes it.
var hashed = regexp.MustCompile(`^[0-9a-f]{40}$`)

// pair takes a key and its value; why says why it is none of Postgrey's.
func pair(line int, key, value string, triplet func(Triplet) error, client func(Client) error) (why string, err error) {
	words := strings.Split(value, ",")
	last, ok := int64(0), false
	if len(words) >= 2 {
		last, ok = moment(words[1])
	}
	switch {
	case hashed.MatchString(key):
		return "its key is a hash (postgrey --privacy): whose it is nobody can tell", nil
	case !ok:
		return fmt.Sprintf("%s is no value of Postgrey's", short(value)), nil
	}
	if name, rest, found := strings.Cut(key, "/"); found {
		t := Triplet{Line: line, Last: last}
		if t.First, ok = moment(words[0]); !ok {
			return fmt.Sprintf("%s is no value of Postgrey's", short(value)), nil
		}
		if t.Client, ok = network(name); !ok {
			return "the client is no address: " + short(key), nil
		}
		t.Client = subnet(t.Client)
		if t.Sender, t.Recipient, ok = twoAddresses(rest); !ok {
			return "not a sender and a recipient: " + short(key), nil
		}
		return "", triplet(t)
	}
	c := Client{Line: line, Last: last}
	c.Passes, err = strconv.ParseInt(words[0], 10, 64)
	if c.Client, ok = network(key); !ok || err != nil || c.Passes < 0 || c.Passes > 1<<31 {
		return "not a client and how often it passed: " + short(key+" "+value), nil
	}
	return "", client(c)
}

// subnet is the network that an address stands for which Postgrey has cut: by default to 24 bits, IPv6 to
// 64.
func subnet(p netip.Prefix) netip.Prefix {
	bits := 24
	if p.Addr().Is6() {
		bits = 64
	}
	if cut := netip.PrefixFrom(p.Addr(), bits).Masked(); p.IsSingleIP() && cut.Addr() == p.Addr() {
		return cut
	}
	return p
}

// twoAddresses splits "SENDER/RECIPIENT". A local part may have slashes in it, a domain has none: so the sender
// ends at the first slash behind its @.
func twoAddresses(s string) (sender, recipient string, ok bool) {
	end := 0
	if !strings.HasPrefix(s, "/") {
		at := strings.IndexByte(s, '@')
		slash := strings.IndexByte(s[max(at, 0):], '/')
		if at < 0 || slash < 0 {
			return "", "", false
		}
		end = at + slash
	}
	sender, recipient = s[:end], s[end+1:]
	return sender, recipient, recipient != "" && address(sender) && address(recipient)
}
