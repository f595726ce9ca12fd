// Package plan is the contract between the two halves of exipol: what the
// policies mean, stage by stage, with every default filled in. The emitters
// print it as Exim text and SQL, exipold obeys it, and neither sees the
// policies themselves; so the three cannot disagree.
//
// A plan is plain data. It is named by its ID, the hash of its canonical JSON.
package plan

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
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
	Kind string `json:"kind"` // "sqlite"
	Path string `json:"path,omitempty"`
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

// Facts that a greylist may ask about: what is to be found out, by DNS mostly, about a
// client and a sender.
const (
	NoReverseDNS = "no_reverse_dns" // no host name that leads back to the address
	HeloMismatch = "helo_mismatch"  // a HELO name that is not the client's
	DynamicName  = "dynamic_name"   // a host name as dial-up and cable clients have
	DNSList      = "dnslist"        // Arg: "zone", or "zone=127.0.0.2,127.0.0.4"
	SPFFail      = "spf_fail"       // fail or softfail
	NoDNSWL      = "no_dnswl"       // Arg: zone
	DNSWL        = "dnswl"          // Arg: zone
	SPFPass      = "spf_pass"       // Arg: the list that the sender must be in
	InPool       = "pool"           // the client belongs to any named pool
	SPF          = "spf"            // what SPF says; not a word of the language
)

// Fact is one of them, with its argument.
type Fact struct {
	Name string `json:"name"`
	Arg  string `json:"arg,omitempty"`
}

// String is the fact as an answer carries it, and a log line: "dnslist.zen.spamhaus.org".
// A zone's label that looks like a customer's key is not told.
func (f Fact) String() string {
	if f.Arg == "" || f.Name == NoDNSWL || f.Name == DNSWL {
		return f.Name
	}
	arg, _, _ := strings.Cut(f.Arg, "=")
	if first, rest, _ := strings.Cut(arg, "."); f.Name == DNSList && len(first) >= keyLabel && strings.Contains(rest, ".") {
		arg = "key." + rest
	}
	return f.Name + "." + arg
}

// keyLabel is how long a zone's first label must be to be taken for a key: the paid
// lists' keys have 20 characters and more, and no list's name has so many.
const keyLabel = 16

// Grey is a greylist policy. Its key is looked up for every recipient that the
// site accepted; with a null sender once a message, at predata, so that other
// hosts' callouts pass.
type Grey struct {
	Name     string   `json:"name"`
	Traffic  string   `json:"traffic"`
	Key      []Part   `json:"key"`
	Delay    Duration `json:"delay"`             // a retry earlier than this is deferred again
	Retry    Duration `json:"retry"`             // a retry later than this starts anew
	Remember Duration `json:"remember"`          // a passed key is known for so long after its last use
	GiveUp   Duration `json:"give_up,omitempty"` // no sender and recipient wait longer in all; 0: for ever
	Except   []Ref    `json:"except,omitempty"`
	// Suspicious: only a first contact of which one of these holds is deferred; none
	// given: every one. Spare: none of which one of these holds. In the order of the file.
	Suspicious []Fact `json:"suspicious,omitempty"`
	Spare      []Fact `json:"spare,omitempty"`
	// Urgent names lists of senders that are never deferred where SPF passes for the
	// envelope sender, or a DKIM signature verifies that is aligned with the From header. For
	// that the message must be there: such a greylist judges at data only, messages
	// rather than recipients.
	Urgent    []Ref  `json:"urgent,omitempty"`
	Trust     *Trust `json:"trust,omitempty"`
	Mode      string `json:"mode"`
	OnFailure string `json:"on_failure"` // where a fact cannot be found out: defer takes it for suspicious
	Message   string `json:"message"`
	Origin    Origin `json:"origin"`
}

// Ref is the policy's full name, as in answers and logs: "greylist.inbound".
func (g Grey) Ref() string { return "greylist." + g.Name }

// Trust exempts a client after so many passes, of which one in Per counts.
type Trust struct {
	Key      []Part   `json:"key"`
	After    int64    `json:"after"`
	Per      Duration `json:"per"`
	Remember Duration `json:"remember"`
}

// Limit counts events per key in sliding windows, and acts over its tiers' rates. A question whose
// key has an empty auth, user, owner or login is none of its business.
type Limit struct {
	Name      string          `json:"name"`
	Traffic   string          `json:"traffic"` // "" (of events from the log): submission, relay and local
	Events    []WeightedEvent `json:"events"`  // sorted by event
	Key       []Part          `json:"key"`
	Classes   []string        `json:"classes,omitempty"`  // of bounces; none: every class
	Callout   Duration        `json:"callout,omitempty"`  // of invalid_recipient: how long the remote host may take; 0: routing only
	Distinct  *Part           `json:"distinct,omitempty"` // count distinct values of this instead of events
	Share     *Share          `json:"share,omitempty"`    // compare with how many there were of this; rates are percentages
	Attempts  bool            `json:"attempts,omitempty"` // count what is refused, too
	Only      []Ref           `json:"only,omitempty"`
	Except    []Ref           `json:"except,omitempty"`
	Engine    string          `json:"engine"`
	Mode      string          `json:"mode"`
	OnFailure string          `json:"on_failure"`
	Tiers     []Tier          `json:"tiers"` // in the order of the file
	Overrides []Override      `json:"overrides,omitempty"`
	Windows   []Duration      `json:"windows"` // every Per of a tier or an override, each once, ascending
	Origin    Origin          `json:"origin"`
}

// Ref is the policy's full name, as in answers and logs: "limit.tarpit".
func (l Limit) Ref() string { return "limit." + l.Name }

// Share makes a limit count what part its events are of others, for the same key. Below Floor
// of those others in a window it says nothing.
type Share struct {
	Event string `json:"event"` // Recipient or Message
	Floor int64  `json:"floor"`
}

// WeightedEvent is one event that a limit counts, and for how much.
type WeightedEvent struct {
	Event  string `json:"event"`
	Weight int64  `json:"weight"`
}

// Tier is one rung of a limit: over any of these rates, do all of that.
type Tier struct {
	Name      string   `json:"name"`
	Over      []Rate   `json:"over"`
	Verdict   string   `json:"verdict"` // accept where the tier only delays or adds headers
	Message   string   `json:"message,omitempty"`
	Delay     *Delay   `json:"delay,omitempty"`
	AddHeader []Header `json:"add_header,omitempty"` // sorted by name
	Notify    []string `json:"notify,omitempty"`     // refs of notices, or NotifyOwner; sorted. Such a tier opens a case
	Block     *Block   `json:"block,omitempty"`      // so does such a one; Verdict is then Accept
	Origin    Origin   `json:"origin"`
}

// Desk says whether the tier opens a case.
func (t Tier) Desk() bool { return t.Block != nil || len(t.Notify) > 0 }

// Block is a state that a tier puts a key into, with a verdict of its own.
type Block struct {
	At        string     `json:"at"`                   // the stage that it is in force at: Connect, Auth, Mail or Rcpt (then at NotSMTP, too)
	Traffics  []string   `json:"traffics"`             // whose commands it is looked up for, in TrafficOrder
	Until     Duration   `json:"until,omitempty"`      // 0: until somebody releases it
	Verdict   string     `json:"verdict"`              // Freeze, Defer or Deny
	Message   string     `json:"message,omitempty"`    // of Defer and Deny
	AddHeader []Header   `json:"add_header,omitempty"` // sorted by name
	Queued    string     `json:"queued,omitempty"`     // Freeze: what of the owner's already waits in the queue is frozen, too
	Most      int64      `json:"most,omitempty"`       // of Freeze: with so many messages held, further ones are deferred; 0: any number
	Free      int64      `json:"free,omitempty"`       // likewise, with less than so many percent of the spool's disk free
	Probation *Probation `json:"probation,omitempty"`
}

// Probation is the time after a release in which lower rates hold.
type Probation struct {
	Lasts Duration `json:"lasts"`
	Share int64    `json:"share"` // percent of the tiers' rates
}

// BlockRef is the name of a tier's block in answers and headers: "limit.x/tier/block". A block
// that defers instead of freezing, because the spool is full, answers with GuardRef.
func BlockRef(limit, tier string) string { return limit + "/" + tier + "/block" }

// GuardRef is "limit.x/tier/guard".
func GuardRef(limit, tier string) string { return limit + "/" + tier + "/guard" }

// Delay slows a client down: Fixed, or Each times all that were counted; at most
// Max, and for at most Sleepers connections of this gateway at a time (0: no such
// limit; with that many asleep, the next one is not delayed).
type Delay struct {
	Each     Duration `json:"each,omitempty"`
	Fixed    Duration `json:"fixed,omitempty"`
	Max      Duration `json:"max"`
	Sleepers int      `json:"sleepers,omitempty"`
}

// Header is a header line to add: literal text, and fields of the question between.
type Header struct {
	Name  string  `json:"name"`
	Value []Piece `json:"value"`
}

// Piece is a part of a header's value: exactly one of the two is set.
type Piece struct {
	Text  string `json:"text,omitempty"`
	Field string `json:"field,omitempty"` // auth, user, owner, client, sender, helo
}

// Override gives other rates to some. The first override that applies decides
// (in the order of the file); a tier that it does not name keeps its own rates.
type Override struct {
	Name   string         `json:"name"`
	Only   []Ref          `json:"only"`
	Over   []OverrideTier `json:"over"` // in the order of the tiers
	Origin Origin         `json:"origin"`
}

// OverrideTier is a tier's name and its other rates.
type OverrideTier struct {
	Tier string `json:"tier"`
	Over []Rate `json:"over"`
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

// Table is one table of the store. Column types are portable names that package
// ddl translates for each dialect.
type Table struct {
	Name    string   `json:"name"`
	Columns []Column `json:"columns"`
	Key     []string `json:"key"` // primary key
	Indexes []Index  `json:"indexes,omitempty"`
}

// Column types.
const (
	Name  = "name"  // a short ASCII identifier, up to 96 bytes
	Bytes = "bytes" // up to 255 bytes, compared byte by byte
	Int   = "int"   // 64 bits
	Text  = "text"  // text of any length, never part of a key
	Raw   = "raw"   // bytes of any length as they came in, never part of a key
)

// Column is one column; none is ever NULL.
type Column struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

// Index is a secondary index.
type Index struct {
	Name    string   `json:"name"`
	Columns []string `json:"columns"`
}

// canonical is the JSON that the ID is the hash of: one fixed order of fields,
// the ID itself empty.
func (p *Plan) canonical() ([]byte, error) {
	c := *p
	c.ID = ""
	return json.Marshal(&c)
}

// idLen is the number of hex digits in an ID: 96 bits name a plan for sure and
// keep the question short.
const idLen = 24

// Seal computes the plan's ID and sets it.
func (p *Plan) Seal() error {
	p.Format = Format
	b, err := p.canonical()
	if err != nil {
		return err
	}
	sum := sha256.Sum256(b)
	p.ID = hex.EncodeToString(sum[:])[:idLen]
	return nil
}

// Encode is the plan as the bytes of plan.json: indented, with a final newline,
// always the same for the same plan.
func (p *Plan) Encode() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(p); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// Decode reads plan.json and proves it whole: known format, no unknown fields,
// nothing after it, and the ID is the hash of the rest. An edited or cut-off
// plan is an error.
func Decode(r io.Reader) (*Plan, error) {
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("read plan: %w", err)
	}
	// One of another format may have other fields: that it is one is the better word.
	var only struct{ Format *int }
	if json.NewDecoder(bytes.NewReader(text)).Decode(&only) == nil && only.Format != nil && *only.Format != Format {
		return nil, fmt.Errorf("plan format %d: this version reads format %d; build the policies again with the exipol of the same version", *only.Format, Format)
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	var p Plan
	if err := dec.Decode(&p); err != nil {
		return nil, fmt.Errorf("read plan: %w", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, fmt.Errorf("read plan: text after its end")
	}
	if only.Format == nil {
		return nil, fmt.Errorf("read plan: it says no format")
	}
	id := p.ID
	if err := p.Seal(); err != nil {
		return nil, err
	}
	if id != p.ID {
		return nil, fmt.Errorf("plan id %s does not fit its content (which makes %s): the file was edited or damaged; build it again", id, p.ID)
	}
	return &p, nil
}

// Stage finds a stage by name; ok is false where no policy needs it.
func (p *Plan) Stage(name string) (s Stage, ok bool) {
	for _, s := range p.Stages {
		if s.Name == name {
			return s, true
		}
	}
	return Stage{}, false
}
