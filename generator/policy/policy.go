// Package policy is what the administrator said: the typed form of a policy set,
// with the place of everything, and without any behaviour. Package load makes it,
// package check judges it, package lower turns it into a plan.
package policy

import (
	"net/netip"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"exipol/generator/plan"
)

// Value is something that was written down: what, where, and whether at all. An
// argument that was left out has its default in V and Set false.
type Value[T any] struct {
	V     T
	Range hcl.Range
	Set   bool
}

// Set is a whole policy set: all files of a directory.
type Set struct {
	Files map[string]*hcl.File // as read, by the name that diagnostics use
	// Partial says that something in the files was faulty, and is missing here.
	Partial bool

	Format    Value[int64]
	Site      Site
	Helper    Helper
	Store     Store
	Pools     []*Pool
	Lists     []*List
	Notices   []*Notice
	Greylists []*Greylist
	Limits    []*Limit
}

// Site is the block of that name.
type Site struct {
	DeclRange  hcl.Range
	Exim       Value[string]
	Layout     Value[string]
	Directory  Value[string]
	Mode       Value[string] // "" where it is not set: each policy's own mode holds
	Admin      Value[string]
	Domains    []Value[string]
	RelayHosts []Value[netip.Prefix]
	Forwarders []Value[netip.Prefix]
	MaxDelay   Value[plan.Duration]
	Spool      Value[string]
	RelayID    Value[string] // an Exim expansion, "" for none
	Submission *Submission
	ACL        map[string]Value[string] // by stage (connect, helo, ...)
}

// Submission is the site's submission block.
type Submission struct {
	DeclRange hcl.Range
	Traffic   []Value[string]
	Domain    Value[string]
	Retain    Value[bool]
}

// Notice is a notice block.
type Notice struct {
	Name      string
	DeclRange hcl.Range
	Mail      []Value[string]
	Webhook   Value[string]
	Digest    Value[plan.Duration] // not Set: none
}

// Helper is the block of that name.
type Helper struct {
	DeclRange hcl.Range
	Socket    Value[string]
	Timeout   Value[plan.Duration]
	OnFailure Value[string]
	Mainlog   []Value[string]
	Source    Value[string]   // plan.FromLog or plan.FromEvent
	DNS       []Value[string] // "address:port"
	Pools     Value[string]   // the file that pins them, "" for none
}

// Store is the store block: Kind is its label, plan.SQLite or plan.MySQL.
type Store struct {
	DeclRange hcl.Range
	Kind      Value[string]
	Path      Value[string] // of SQLite's file

	// The rest is for plan.MySQL.
	Hosts        []Value[string] // "host:port", "[address]:port" or a socket's path
	Database     Value[string]
	User         Value[string]
	PasswordFile Value[string] // not Set: none
	TLS          Value[string] // plan.TLSVerified, ...
	CAFile       Value[string] // not Set: the system's
	Connections  Value[int64]
	State        Value[string] // the directory for exipold's own files
}

// Near says whether nothing that goes to a host leaves this machine: a socket's path, or
// an address of loopback.
func Near(host string) bool {
	if strings.HasPrefix(host, "/") {
		return true
	}
	if a, err := netip.ParseAddrPort(host); err == nil {
		return a.Addr().Unmap().IsLoopback()
	}
	return strings.HasPrefix(host, "localhost:")
}

// List is a named list.
type List struct {
	Name      string
	DeclRange hcl.Range
	Entries   []Entry
	Learn     []*Learn
	Reviewed  Value[string] // a day, 2026-11-22
}

// Learn is a list's learn block.
type Learn struct {
	DeclRange hcl.Range
	Traffic   Value[string]
	From      Value[string] // recipient or recipient.domain
	Remember  Value[plan.Duration]
}

// Pool is a named pool.
type Pool struct {
	Name      string
	DeclRange hcl.Range
	SPF       []Value[string]
	Clients   []Value[netip.Prefix]
}

// Fact is one item of suspicious or spare, as written.
type Fact struct {
	plan.Fact
	Text  string // as the administrator wrote it: `dnslist("zen.spamhaus.org")`
	Range hcl.Range
}

// Entry is one pattern of a list, from an argument (clients = [...]) or from an
// entry block. Field is client, sender, recipient, auth or user; Pattern is as
// plan.Entry has it.
type Entry struct {
	Field   string
	Pattern Value[string]
	Until   Value[string] // RFC 3339 in UTC, "" for no end
	Why     Value[string]
	Owner   Value[string]
}

// Ref is a reference in only, except or urgent: list.NAME, list.NAME.FIELD, pool.NAME
// or greylist.NAME.trusted. Load has resolved it: what it names exists.
type Ref struct {
	plan.Ref
	Range hcl.Range
}

// Part is one component of a key, as written.
type Part struct {
	plan.Part
	Text  string // as the administrator wrote it: "client.net", "net(client.ip, 24, 64)"
	Range hcl.Range
}

// Greylist is a greylist block.
type Greylist struct {
	Name      string
	DeclRange hcl.Range
	Traffic   Value[string]
	Key       []Part
	Delay     Value[plan.Duration]
	Retry     Value[plan.Duration]
	Remember  Value[plan.Duration]
	GiveUp    Value[plan.Duration] // not Set: never
	Except    []Ref

	Suspicious []Fact
	Spare      []Fact
	Urgent     []Ref // lists only

	Trust     *Trust
	Mode      Value[string]
	OnFailure Value[string] // "" where the helper's holds
	Message   Value[string]
}

// Trust is a greylist's trust block.
type Trust struct {
	DeclRange hcl.Range
	Key       []Part
	After     Value[int64]
	Per       Value[plan.Duration]
	Remember  Value[plan.Duration]
}

// Limit is a limit block.
type Limit struct {
	Name      string
	DeclRange hcl.Range
	Traffic   Value[string]
	Events    []Event // from event or events, in the order of the file
	Key       []Part
	Classes   []Value[string]
	Callout   Value[plan.Duration] // not Set: routing only
	Distinct  *Part                // count = distinct(...)
	Share     *Value[string]       // count = share(EVENT)
	Floor     Value[int64]
	Attempts  Value[bool]
	Only      []Ref
	Except    []Ref
	Engine    Value[string]
	Mode      Value[string]
	OnFailure Value[string]
	Tiers     []*Tier
	Overrides []*Override
}

// Event is one counted event and its weight.
type Event struct {
	Name   Value[string]
	Weight Value[int64]
}

// Tier is a tier block. At most one of the verdict's blocks is there.
type Tier struct {
	Name      string
	DeclRange hcl.Range
	Over      []Value[plan.Rate]
	Verdict   Value[string] // drop, deny, defer, discard, freeze; not Set where there is none
	Message   Value[string] // of drop, deny, defer
	Delay     *Delay
	AddHeader []Header
	Notify    []Notified
	Block     *Block
}

// Notified is one item of notify: notice.NAME, or owner.
type Notified struct {
	Ref   string // as plan.Tier.Notify has it
	Range hcl.Range
}

// Block is a tier's block block. Exactly one of the verdict's blocks is in it.
type Block struct {
	DeclRange hcl.Range
	At        Value[string]
	Until     Value[plan.Duration] // 0: "released"
	Verdict   Value[string]        // freeze, defer, deny
	Message   Value[string]
	Queued    Value[string] // "" or freeze
	AddHeader []Header
	Most      Value[int64]
	Free      Value[int64] // percent
	Probation *Probation
}

// Probation is a block's probation block.
type Probation struct {
	DeclRange hcl.Range
	Lasts     Value[plan.Duration]
	Share     Value[int64] // percent
}

// Delay is a tier's delay block.
type Delay struct {
	DeclRange hcl.Range
	Each      Value[plan.Duration]
	Fixed     Value[plan.Duration]
	Max       Value[plan.Duration]
	Sleepers  Value[int64]
}

// Header is one item of add_header.
type Header struct {
	Name  Value[string]
	Value Value[[]plan.Piece]
}

// Override is an override block.
type Override struct {
	Name      string
	DeclRange hcl.Range
	Only      []Ref
	Over      []OverrideTier
}

// OverrideTier is one item of an override's over: a tier's name and its rates.
type OverrideTier struct {
	Tier  Value[string]
	Rates []Value[plan.Rate]
}
