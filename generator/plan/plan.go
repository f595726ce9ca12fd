// Package plan is the contract between the two halves of exipol: what the
// policies mean, stage by stage, with every default filled in. The emitters
// print it as Exim text and SQL, exipold obeys it, and neither sees the
// policies themselves; so the three cannot disagree.
//
// A plan is plain data. It is named by its ID, the hash of its canonical JSON.
package plan

import (
	"fmt"
	"reflect"
	"strings"
)

// Format is the version of the plan's JSON. A reader refuses any other.
const Format = 2

// Stages, by the name of Exim's ACL option without its acl_ or acl_smtp_ (Exim
// specification, "Access control lists").
const (
	Connect = "connect"
	Helo    = "helo"
	Mail    = "mail"
	Rcpt    = "rcpt"
	Predata = "predata"
	Data    = "data"
	Dkim    = "dkim" // for each signature, before data; nothing is asked there
	Auth    = "auth"
	NotSMTP = "not_smtp" // a message that came without SMTP; its recipients are there all at once
	// Delivery is no ACL: Exim's event_action, where a delivery has failed for good.
	Delivery = "delivery"
)

// Stages in the order in which an SMTP session meets them, and those without a session.
var StageOrder = []string{Connect, Helo, Auth, Mail, Rcpt, Predata, Dkim, Data, NotSMTP, Delivery}

// Halves of a stage: Before the site's own ACL, or After it accepted.
const (
	Before = "before"
	After  = "after"
)

// Traffic: who is talking.
const (
	Inbound    = "inbound"    // a stranger: a client address, neither authenticated nor a relay host
	Submission = "submission" // authenticated
	Relay      = "relay"      // unauthenticated, in relay_hosts
	Local      = "local"      // no client address: -bs, -bS, not_smtp
)

// TrafficOrder lists all traffic, in the order of the generated text.
var TrafficOrder = []string{Inbound, Submission, Relay, Local}

// Events that a limit counts.
const (
	Connection       = "connection"
	HeloEvent        = "helo"
	Recipient        = "recipient"
	Message          = "message"
	UnknownRecipient = "unknown_recipient"
	InvalidRecipient = "invalid_recipient" // routing or the remote host says no, for good
	// These are read from Exim's main log (bounces from Exim's events, where the site prefers that).
	Bounce            = "bounce"             // a delivery that failed for good
	AuthFailure       = "auth_failure"       // a login that was refused
	Login             = "login"              // a message, or a rejected command, of somebody who had logged in
	RejectedRecipient = "rejected_recipient" // a recipient of an owner's that was refused for good
	// Blocked is the event of all policies that block, which no limit can name: whether a block
	// is in force.
	Blocked = "blocked"
	// Held is their event at data and not_smtp: a message is in, and frozen by a block.
	Held = "held"
	// NullSender is greylisting's own event, which no limit can name: a message with a
	// null sender, some of whose recipients were accepted; at predata, or at data where
	// Exim has no predata (BDAT).
	NullSender = "null_sender"
	// WholeMessage is greylisting's own event, too, of a greylist that must see a message
	// before it may defer it (Grey.Urgent): a message, some of whose recipients were
	// accepted, at data. It stands for all of them.
	WholeMessage = "whole_message"
)

// Modes of a policy.
const (
	Enforce = "enforce"
	Observe = "observe" // judged, counted in rows of its own and logged; never acted upon
)

// What happens where the helper does not answer.
const (
	LastKnown = "last_known" // blocks known before stay in force; else pass
	Pass      = "pass"
	DeferMail = "defer"
)

// Verdicts, the strongest first. Accept is the absence of any other.
const (
	Drop    = "drop"
	Deny    = "deny"
	Defer   = "defer"
	Freeze  = "freeze"
	Discard = "discard"
	Accept  = "accept"
)

// VerdictOrder is the order in which verdicts win, strongest first.
var VerdictOrder = []string{Drop, Deny, Defer, Freeze, Discard, Accept}

// Who counts a limit.
const (
	EngineHelper = "exipol"
	EngineExim   = "exim" // Exim's own ratelimit: per host, an exponentially weighted average
)

// Plan is a whole compiled policy set.
type Plan struct {
	Format    int    `json:"format"`
	ID        string `json:"id"`        // hex, of the canonical JSON without it
	Exim      string `json:"exim"`      // oldest Exim that must run the text, as "4.94"
	Layout    string `json:"layout"`    // "debian", "upstream" or "custom"
	Directory string `json:"directory"` // where the generated Exim text is installed
	Admin     string `json:"admin,omitempty"`

	MaxDelay   Duration `json:"max_delay"`            // the longest that one command may be delayed
	Domains    []string `json:"domains"`              // Exim domain list items: what inbound mail may be for
	RelayHosts []string `json:"relay_hosts"`          // CIDRs
	Forwarders []string `json:"forwarders,omitempty"` // CIDRs of hosts that forward to this site: never greylisted, tarpitted or counted by client
	Socket     string   `json:"socket"`               // the helper's Unix socket
	Timeout    Duration `json:"timeout"`              // for one question, both calls together
	DNS        []string `json:"dns,omitempty"`        // "address:port" of the resolvers to ask; none: those of the machine
	PoolsFile  string   `json:"pools_file,omitempty"` // pinned networks of the pools, which are then never resolved; "": resolved and refreshed
	Mainlog    []string `json:"mainlog"`              // what the log follower reads
	Source     string   `json:"source"`               // where bounces are counted from: FromLog or FromEvent
	Spool      string   `json:"spool"`                // Exim's spool_directory
	Blocked    string   `json:"blocked"`              // the file of blocks that Exim looks at while the helper is away
	RelayID    string   `json:"relay_id,omitempty"`   // an Exim expansion of the site's: who a relay host is; "": its address

	SubmissionMode *SubmissionMode `json:"submission_mode,omitempty"`
	Notices        []Notice        `json:"notices,omitempty"`   // sorted by name
	Store          Store           `json:"store"`               //
	Pools          []Pool          `json:"pools,omitempty"`     // sorted by name
	Lists          []List          `json:"lists,omitempty"`     // sorted by name
	Greylists      []Grey          `json:"greylists,omitempty"` // sorted by name
	Limits         []Limit         `json:"limits,omitempty"`    // sorted by name
	Stages         []Stage         `json:"stages,omitempty"`    // in StageOrder, only those that a policy needs
	Tables         []Table         `json:"tables"`              // in the order of creation
}

// Where bounces are counted from.
const (
	FromLog   = "log"
	FromEvent = "event"
)

// SubmissionMode has Exim run its submission mode (control = submission) on accepted mail.
type SubmissionMode struct {
	Traffics []string `json:"traffics"`         // of Submission, Relay and Local, sorted
	Domain   string   `json:"domain,omitempty"` // added to a login that has none; "": Exim's qualify_domain
	Retain   bool     `json:"retain,omitempty"` // the envelope sender stays as it is
}

// Notice is whom to tell, and how.
type Notice struct {
	Name    string   `json:"name"`
	Mail    []string `json:"mail,omitempty"`    // addresses
	Webhook string   `json:"webhook,omitempty"` // URL
	Digest  Duration `json:"digest,omitempty"`  // how often a summary goes out; 0: never
	Origin  Origin   `json:"origin"`
}

// Ref is the notice's full name: "notice.desk".
func (n Notice) Ref() string { return "notice." + n.Name }

// NotifyOwner stands in a tier's Notify for the owner himself, where he has an address.
const NotifyOwner = "owner"

// Origin is the place in the policies that something comes from: the file's name
// within its directory (so that the plan is the same on every machine) and a line
// counted from 1.
type Origin struct {
	File string `json:"file"`
	Line int    `json:"line"`
}

func (o Origin) String() string { return fmt.Sprintf("%s:%d", o.File, o.Line) }

// Store says where state is kept.
type Store struct {
	Kind string `json:"kind"`           // SQLite or MySQL
	Path string `json:"path,omitempty"` // of SQLite's file

	// The rest is for MySQL.
	Hosts        []string `json:"hosts,omitempty"` // "host:port", or a socket's path; the first that is well is the one in use
	Database     string   `json:"database,omitempty"`
	User         string   `json:"user,omitempty"`
	PasswordFile string   `json:"password_file,omitempty"` // "": no password
	TLS          string   `json:"tls,omitempty"`           // TLSVerified, TLSRequired or TLSOff
	CAFile       string   `json:"ca_file,omitempty"`       // what certificates are verified by; "": the system's
	Connections  int      `json:"connections,omitempty"`   // the most of one exipold
}

// Kinds of stores.
const (
	SQLite = "sqlite"
	MySQL  = "mysql" // MariaDB, too
)

// How connections to a store are encrypted.
const (
	TLSVerified = "verified" // and the certificate is the host's
	TLSRequired = "required" // whoever it is
	TLSOff      = "off"      // on loopback and on sockets only
)

// Same says whether two are the same.
func (s Store) Same(other Store) bool { return reflect.DeepEqual(s, other) }

// String names a store for people: what is in it, and where.
func (s Store) String() string {
	if s.Kind == MySQL {
		return s.Database + " at " + strings.Join(s.Hosts, ", ")
	}
	return s.Path
}

// Part is one component of a key: a field of the question, normalised. For
// Field "client" the two prefix lengths say how much of an IPv4 or IPv6 address
// counts (32 and 128: all of it). Field "pool" is who answers for the client: the named
// pool that it belongs to, else (in greylists only) the sender's domain where SPF passes,
// else its /24 or /64.
type Part struct {
	Field string `json:"field"` // client, pool, helo, sender, sender.domain, recipient, recipient.domain, auth, user, owner, login
	V4    int    `json:"v4,omitempty"`
	V6    int    `json:"v6,omitempty"`
}

// Ref names something that exempts, or selects: a list (all its fields, or the
// one named), the clients that a greylist policy trusts, or those of a pool.
type Ref struct {
	List    string `json:"list,omitempty"`
	Field   string `json:"field,omitempty"`   // client, sender, recipient, auth; empty: any
	Trusted string `json:"trusted,omitempty"` // a greylist policy's name
	Pool    string `json:"pool,omitempty"`    // a pool's name
}

// Pool is a sender of mail that has many addresses: all those that its SPF records
// name (ip4, ip6, a and mx, through include and redirect), and those given.
type Pool struct {
	Name    string   `json:"name"`
	SPF     []string `json:"spf,omitempty"`     // domains whose SPF records name its addresses
	Clients []string `json:"clients,omitempty"` // CIDRs
	Origin  Origin   `json:"origin"`
}

// List is a named list. An entry matches where its one field does. What the list
// learned is kept in the store, and compared with the field that a reference names
// (with the sender where it names none).
type List struct {
	Name     string  `json:"name"`
	Entries  []Entry `json:"entries"`
	Learn    []Learn `json:"learn,omitempty"`    // sorted by traffic, then from
	Reviewed string  `json:"reviewed,omitempty"` // the day on which someone last looked it through, as 2026-11-22
	Origin   Origin  `json:"origin"`
}

// Ref is the list's full name, as in the store and in a stage's asks: "list.friends".
func (l List) Ref() string { return "list." + l.Name }

// Learn puts into a list what accepted messages name.
type Learn struct {
	Traffic  string   `json:"traffic"`
	From     string   `json:"from"`     // recipient or recipient.domain
	Remember Duration `json:"remember"` // after the last message that named it
}

// Entry is one pattern of a list. Clients are CIDRs in canonical form. Addresses
// are "local@domain", "*@domain", "*@*.domain" (its subdomains), "domain" (the same
// as "*@domain") or "<>", in lower case. Auth is an authenticated id, as it is.
type Entry struct {
	Field   string `json:"field"` // client, sender, recipient, auth
	Pattern string `json:"pattern"`
	Until   string `json:"until,omitempty"` // RFC 3339, UTC: the first moment at which it no longer holds
	Why     string `json:"why,omitempty"`
	Owner   string `json:"owner,omitempty"`
}

// Stage says what is asked at one of Exim's ACLs, and which ACL of the site's own
// stands between the two halves.
type Stage struct {
	Name    string `json:"name"`
	SiteACL string `json:"site_acl,omitempty"`
	Before  []Ask  `json:"before,omitempty"` // sorted by traffic (TrafficOrder), then event
	After   []Ask  `json:"after,omitempty"`
}

// Ask says whom one event concerns, for one traffic: the policies that the helper
// is asked about, and the limits that Exim counts itself, each by Ref and sorted.
// At least one of the two is there.
type Ask struct {
	Traffic  string   `json:"traffic"`
	Event    string   `json:"event"`
	Policies []string `json:"policies,omitempty"` // and lists that learn from it
	Exim     []string `json:"exim,omitempty"`
}
