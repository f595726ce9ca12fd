// Package queue reads Exim's queue, and has Exim change it. It reads the -H files of the spool
// by the format that the Exim specification gives (chapter "Format of spool files"), and never
// writes there: to freeze, thaw, remove, deliver and submit it runs the exim program, without a
// shell.
//
// # Rights
//
// To read the spool one has to be in Exim's group (its directories are 0750 and its files 0640),
// and whoever is in it, as the primary or as a supplementary group, is an admin user of Exim's:
// -Mf, -Mt, -Mc, -M and -Mrm work, and so does submitting. Seen with Debian's Exim 4.96 and a user in
// the group Debian-exim; one who is not in it gets "Permission denied". Such a user is not
// a trusted one: -f with an address is heard where untrusted_set_senders allows it (on Debian it
// does) and else ignored, -f <> is always heard. Exim has to gain root's rights for all but reading:
// with NoNewPrivileges each of these fails ("Permission denied" for the -D file). And the user must
// have a name: without one, submitting ends with "Failed to get user name for uid".
//
// # Which commands
//
// All of this was seen with Exim 4.94.2, 4.96, 4.98.2 and 4.100.1.
//
//   - A frozen message is let go with -Mt and then -Mc. -Mt alone leaves it to the next queue run,
//     in half an hour or so; -Mc does nothing to a frozen message. -M would do both, but
//     overrides hold_domains, queue_domains and the retry times: a message would go out that the
//     site holds back for another reason.
//   - -Mrm removes without a word to anybody; it does not mind whether a message is frozen. -Mg,
//     which sends a bounce to the sender, is never used.
//   - While another process works on a message (a delivery, a queue runner), -Mf, -Mt and -Mrm say
//     "Message ID is locked", change nothing and end with status 1; -Mc and -M end at once with
//     status 0, and mainlog says that the spool file is locked. Each such try is a line in
//     mainlog: whoever tries again should do so with growing pauses.
//   - The same status 1 stands for a message that is not frozen (-Mt), is frozen already (-Mf) or
//     is not there. So the status decides nothing: what came of it is read from the spool.
//   - A message in a named queue is only found by these commands with -qG and the queue's name.
//   - Of a list of ids, each is tried, whatever became of those before it.
package queue

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

// Message is what the queue says of a message. Every text in it may hold what strangers chose.
type Message struct {
	ID       string
	Queue    string    // the named queue that it is in; "" for the usual one
	Received time.Time // to the second
	Frozen   time.Time // since when it is frozen, to the second; zero: it is not
	Thawed   bool      // somebody thawed it by hand, and nobody has frozen it since
	Untried  bool      // nobody has tried to deliver it yet
	Sender   string    // of the envelope, "" for the null sender
	Auth     string    // the authenticated id; of a local message without authentication "", although Exim puts the login there
	Login    string    // of a local message, who gave it to Exim
	Client   netip.Addr
	Helo     string
	Hold     string // the variable HoldVariable; "" where it is not set
	Relay    string // RelayVariable, likewise
	Size     int64  // of both its files, in bytes
}

// Variables of the generated ACLs that stand in the spool.
const (
	// HoldVariable marks what a block froze; its value is the block's name in answers
	// ("limit.x/tier/block").
	HoldVariable = "acl_m_exipol_hold"
	// RelayVariable is who the site says that a relay host is (plan.RelayID).
	RelayVariable = "acl_c_exipol_relay"
)

// ErrCut is a spool file that ends too early, or is none.
var ErrCut = errors.New("not a whole spool file")

// most is how much of a -H file is read: more than any that Exim writes with its usual limits.
const most = 8 << 20

// ValidID says whether a text is a message's id, of Exim before 4.97 (16 characters) or since
// (23). What is not never comes into a file name or an argument.
func ValidID(id string) bool {
	second := map[int]int{16: 13, 23: 18}[len(id)] // where the second hyphen stands
	for i := range len(id) {
		c := id[i]
		if hyphen := i == 6 || i == second; hyphen != (c == '-') {
			return false
		}
		if c != '-' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return second != 0
}

// parse reads a -H file as far as a Message needs it: up to the tree of those who have it already.
func parse(id string, r io.Reader) (Message, error) {
	p := &parser{in: bufio.NewReader(io.LimitReader(r, most)), m: Message{ID: id}}
	for _, read := range []func() error{p.name, p.skip, p.sender, p.received, p.variables} {
		if err := read(); err != nil {
			return Message{}, fmt.Errorf("%s-H: %w", id, err)
		}
	}
	return p.message(), nil
}

// parser goes through a file from its beginning.
type parser struct {
	in *bufio.Reader
	m  Message

	ident, auth, authenticator string
}

// line is the next one, without its newline. A last line without one is no line.
func (p *parser) line() (string, error) {
	s, err := p.in.ReadString('\n')
	if errors.Is(err, io.EOF) {
		return "", ErrCut
	}
	return strings.TrimSuffix(s, "\n"), err
}

func (p *parser) skip() error {
	_, err := p.line()
	return err
}

// name is the first line: the file's own name.
func (p *parser) name() error {
	s, err := p.line()
	if err == nil && s != p.m.ID+"-H" {
		err = ErrCut
	}
	return err
}

func (p *parser) sender() error {
	s, err := p.line()
	if err != nil {
		return err
	}
	if len(s) < 2 || s[0] != '<' || s[len(s)-1] != '>' {
		return ErrCut
	}
	p.m.Sender = s[1 : len(s)-1]
	return nil
}

func (p *parser) received() error {
	s, err := p.line()
	if err != nil {
		return err
	}
	first, _, _ := strings.Cut(s, " ")
	p.m.Received, err = seconds(first)
	return err
}

func seconds(s string) (time.Time, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n <= 0 {
		return time.Time{}, ErrCut
	}
	return time.Unix(n, 0), nil
}

// variables reads the lines that begin with a hyphen. Exim reads them the same way, so where
// somebody got a newline into a value, this believes what Exim believes.
func (p *parser) variables() error {
	for {
		s, err := p.line()
		if err != nil {
			return err
		}
		if !strings.HasPrefix(s, "-") {
			return p.tree(s)
		}
		if err := p.variable(s); err != nil {
			return err
		}
	}
}

// tree sees whether what follows the variables is what has to.
func (p *parser) tree(s string) error {
	if s == "XX" || len(s) > 3 && strings.Trim(s[:2], "YN") == "" && s[2] == ' ' {
		return nil
	}
	return ErrCut
}

// variable takes one: "-name value". A second hyphen says that the value is tainted, and
// parentheses behind it how it was quoted.
func (p *parser) variable(s string) error {
	s = strings.TrimPrefix(strings.TrimPrefix(s, "-"), "-")
	if strings.HasPrefix(s, "(") {
		if _, rest, found := strings.Cut(s, ")"); found {
			s = rest
		}
	}
	name, value, _ := strings.Cut(s, " ")
	var err error
	switch name {
	case "acl", "aclc", "aclm":
		return p.aclVariable(name, value)
	case "auth_id":
		p.auth = value
	case "host_auth":
		p.authenticator = value
	case "ident":
		p.ident = value
	case "helo_name":
		p.m.Helo = value
	case "host_address":
		p.m.Client = address(value)
	case "manual_thaw":
		p.m.Thawed = true
	case "deliver_firsttime":
		p.m.Untried = true
	case "frozen":
		p.m.Frozen, err = seconds(value)
	}
	return err
}

// aclVariable takes one whose value stands on the lines that follow, of a length that is given.
func (p *parser) aclVariable(kind, value string) error {
	name, length, found := strings.Cut(value, " ")
	n, err := strconv.ParseInt(length, 10, 32)
	if !found || err != nil || n < 0 || n > most {
		return ErrCut
	}
	text := make([]byte, n+1)
	if _, err := io.ReadFull(p.in, text); err != nil || text[n] != '\n' {
		return ErrCut
	}
	switch {
	case kind == "aclm" && "acl_m"+name == HoldVariable:
		p.m.Hold = string(text[:n])
	case kind == "aclc" && "acl_c"+name == RelayVariable:
		p.m.Relay = string(text[:n])
	}
	return nil
}

// address is that of "[192.0.2.1]:40000", or of "192.0.2.1.40000", as the specification has it.
func address(s string) netip.Addr {
	if rest, found := strings.CutPrefix(s, "["); found {
		s, _, _ = strings.Cut(rest, "]")
	} else if i := strings.LastIndexByte(s, '.'); i >= 0 {
		s = s[:i]
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}
	}
	return a.Unmap().WithZone("")
}

// message settles who it is from, when all is read.
func (p *parser) message() Message {
	m := p.m
	if p.authenticator != "" {
		m.Auth = p.auth
	}
	if !m.Client.IsValid() {
		m.Login = p.ident
	}
	return m
}
