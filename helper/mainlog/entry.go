package mainlog

import (
	"net/netip"
	"time"
)

// Kind is what a line says has happened.
type Kind uint8

// The kinds of lines, with the flag or the word that the line begins with behind the message id
// (specification, "Log line flags" and "Logging ...").
const (
	Other         Kind = iota // anything else that Exim logs
	Arrived                   // <=
	FakeRejected              // (= taken in, although the client was told that it was not
	Delivered                 // =>
	AlsoDelivered             // -> a further recipient of the same delivery
	Cutthrough                // >> delivered while it came in, logged before its <=
	Suppressed                // *> not delivered, because of -N
	Failed                    // **
	Deferred                  // ==
	Completed                 // Completed
	Frozen                    // Frozen, frozen by
	StillFrozen               // Message is frozen: a queue runner passed it over
	Unfrozen                  // Unfrozen by, unfrozen by
	Cancelled                 // cancelled by: all recipients fail, as with -Mg
	Removed                   // removed by: -Mrm
	Rejected                  // [temporarily] rejected, at SMTP time or by the non-SMTP ACL
	AuthFailed                // authenticator failed
)

var kindNames = [...]string{"other", "arrived", "fake-rejected", "delivered", "also-delivered", "cutthrough", "suppressed", "failed",
	"deferred", "completed", "frozen", "still-frozen", "unfrozen", "cancelled", "removed", "rejected", "auth-failed"}

// String is the kind in a word or two.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "unknown"
}

// Options are what a line does not say of itself.
type Options struct {
	// Location is whose time the log is in, where the lines do not say their zone
	// (log_timezone, or UTC in Exim's setting timezone). nil is UTC.
	Location *time.Location
	// Now is about when the lines were written. It is needed only for the year of lines that
	// syslog gave the time, without Exim's own (syslog_timestamp = false): theirs is the year
	// that brings them nearest to Now.
	Now time.Time
	// Process is syslog_processname. "" is exim, and every name that begins so.
	Process string
	// MailAuth says that the log selector smtp_mailauth is on: behind an id comes, after a
	// colon, what the client said in AUTH= of its MAIL command. An id then ends at its first colon.
	MailAuth bool
	// JunkHelo says that the site has helo_accept_junk_hosts for anybody. HELO names are then
	// taken to hold anything.
	JunkHelo bool
}

// Host is a host as Exim logs it in H=: the client, or the one delivered to.
type Host struct {
	Name []byte // looked up and verified, or configured; empty where it is not known
	Helo []byte // what it said in HELO or EHLO, where that differs from the name
	IP   netip.Addr
	Port uint16 // 0 where the log does not say
}

// Auth is who logged in, from A=.
type Auth struct {
	Driver []byte // the name of the authenticator in Exim's configuration
	ID     []byte // what server_set_id made of the login; empty where there is none
}

// Entry is a line, taken apart. All slices are parts of the line that was parsed: whoever keeps
// them keeps that, or copies. What a line does not say is empty. What is said twice below has one
// meaning for arrivals and another for deliveries, as with Exim.
type Entry struct {
	Time     time.Time // with the fraction where the line has one
	Repeated bool      // see Time: the same hour comes twice, and this may be an hour later
	PID      int       // 0 where the log does not say
	ID       []byte    // of the message; in short form up to Exim 4.96, in long form since 4.97
	Kind     Kind
	Rest     []byte // everything behind the message id

	// Sender is that of the envelope: of an arrival, of a rejected command, and with the
	// selector sender_on_delivery of a delivery. The null sender is empty; HasSender
	// tells it from one that is not said.
	Sender    []byte
	HasSender bool

	Reference []byte // R= of an arrival: for a bounce, the id of the message that it is about
	Host      Host   // H=
	Ident     []byte // U=: of a local arrival the login, else what the client's ident server said
	Protocol  []byte // P=
	Auth      Auth   // A=
	Size      int64  // S= of an arrival
	MessageID []byte // id=, without angle brackets
	Created   bool   // id*=: Exim made that
	Subject   []byte // T= as it is between the quotes, see [Unquote]

	// Address is the one that a delivery, a failure or a deferral is about, without the quotes of
	// its local part, and for RCPT and MAIL the one in the command, as the client wrote it. Original is
	// that of the envelope where they differ, with quotes.
	Address, Original []byte
	Router, Transport []byte // R= and T= of a delivery
	Confirmation      []byte // C=, as it is between the quotes

	Command   []byte // of a rejection: RCPT, MAIL, DATA, "after DATA", "EHLO or HELO" ...
	Temporary bool   // of a rejection
	Errno     int    // of a deferral: the number in defer (-44)

	// Text is why: of a failure, a deferral, a rejection, a freeze ("by ACL"), a cancellation,
	// without the separator.
	Text []byte
	Failure

	// Cut says that Exim cut the line (it ends lines at 8 KiB, and a command in a
	// rejection at 100 bytes): what came last may be short.
	Cut bool
	// Damaged says that the line is not as Exim writes it, so that fields are missing. Those that are set
	// stood in their place.
	Damaged bool
}

// Failure is what a remote host, or Exim, had against an address.
type Failure struct {
	Stage    Stage
	Code     int    // of the remote answer: 550; 0 where none is logged
	Enhanced [3]int // its enhanced code: 5, 1, 1; all 0 where there is none (RFC 3463)
	Class    Class  // of a failure
	Answer   []byte // the remote answer, from its code on
}
