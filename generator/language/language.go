// Package language is the policy language as a table: every block, label and
// argument with its type, default, allowed words and one sentence about it.
// What reads policies, what explains them (the reference page), what checks
// them in an editor (the JSON Schema) and what names the choices in a message
// all take their words from here.
//
// It only describes: reading values is package load's, judging them package
// check's.
package language

// Format is the newest version of the language that this program reads.
const Format = 1

// NamePattern is what a name (of a policy, a list, a tier, a variable) looks
// like: it becomes part of log lines, answers and names in Exim's text.
const NamePattern = `^[a-z][a-z0-9_]{0,47}$`

// Type is the type of an argument.
type Type string

// Types of arguments. TypeDocs says what each looks like.
const (
	String     Type = "string"
	Word       Type = "word"
	Text       Type = "text"
	Path       Type = "path"
	Paths      Type = "list of paths"
	Mailbox    Type = "mail address"
	Version    Type = "version"
	ACLName    Type = "ACL name"
	Domains    Type = "list of domains"
	Networks   Type = "list of networks"
	Network    Type = "network"
	Addresses  Type = "list of addresses"
	Address    Type = "address"
	Strings    Type = "list of strings"
	Date       Type = "date"
	Bool       Type = "bool"
	Number     Type = "number"
	Duration   Type = "duration"
	Rates      Type = "rate, or list of rates"
	EventName  Type = "event"
	Events     Type = "events with weights"
	Key        Type = "key"
	Count      Type = "count"
	References Type = "list of references"
	Headers    Type = "headers"
	TierRates  Type = "rates by tier"
	TypeName   Type = "type"
	Any        Type = "any value"
	Servers    Type = "list of servers"
	Hosts      Type = "list of domain names"
	Facts      Type = "list of facts"
	Lists      Type = "list of lists"
	DBServers  Type = "list of database servers"
	DBName     Type = "name of a database"
	DBUser     Type = "name of a database user"
	BareWord   Type = "bare word"
	Day        Type = "day"
	Words      Type = "list of words"
	BareWords  Type = "list of bare words"
	Mailboxes  Type = "list of mail addresses"
	Host       Type = "domain name"
	URL        Type = "URL"
	Expansion  Type = "Exim expansion"
	Percent    Type = "percentage"
	End        Type = "end"
	Receivers  Type = "list of receivers"
)

// Argument is one argument of a block.
type Argument struct {
	Name     string
	Type     Type
	Required bool
	Default  string   // as it would be written; "" where there is none
	Instead  string   // what holds where there is neither value nor default, in words
	Words    []string // all that a word, bare or not, or an item of a list of words may be
	Min      int64    // the least that a Number may be
	Most     int64    // the most that it may be; 0: a billion
	Doc      string   // one sentence
}

// Block is a kind of block.
type Block struct {
	Name      string
	Label     string // what its label is, in a word; "" where it has none
	Once      bool   // at most one (for each label) in a policy set, or in its parent
	Required  bool
	Free      bool // holds arguments of any name
	Arguments []Argument
	Blocks    []Block
	Doc       string // one or two sentences

	// Kinds is for a label that is one of a few words rather than a name of the
	// administrator's: what the block is and holds with each, the usual one first. The
	// block itself then holds nothing.
	Kinds []Block
	// Kind is, in a block of Kinds, the word that is its label. Name is that of the block.
	Kind string
	// Hints are names and labels that people try here and that the language does not have.
	Hints []Hint
}

// Argument finds an argument by name, nil where the block has no such argument.
func (b *Block) Argument(name string) *Argument {
	for i := range b.Arguments {
		if b.Arguments[i].Name == name {
			return &b.Arguments[i]
		}
	}
	return nil
}

// Block finds a nested block by name, nil where there is none.
func (b *Block) Block(name string) *Block {
	for i := range b.Blocks {
		if b.Blocks[i].Name == name {
			return &b.Blocks[i]
		}
	}
	return nil
}

// Names are the names of all arguments and nested blocks, in the order of the
// table.
func (b *Block) Names() []string {
	var names []string
	for _, a := range b.Arguments {
		names = append(names, a.Name)
	}
	for _, c := range b.Blocks {
		names = append(names, c.Name)
	}
	return names
}

// KeyField is a word that a key may be made of, or that an entry is compared with.
type KeyField struct {
	Text  string // as it is written
	Field string // of the question
	V4    int    // for clients: how many bits of an address count
	V6    int
	Doc   string
}

// KeyFields are the words of keys. Besides them there is net(client.ip, V4, V6).
var KeyFields = []KeyField{
	{"client.ip", "client", 32, 128, "The client's address."},
	{"client.net", "client", 24, 64, "The client's network: /24 of an IPv4 address, /64 of an IPv6 address."},
	{"client.pool", "pool", 0, 0, "Who answers for the client, so that a retry from another address of the same sender is the same: the named pool that it belongs to, else the sender's domain where SPF passes for it, else the client's network as `client.net`. In a limit, the named pool, else the network."},
	{"helo", "helo", 0, 0, "The name that the client gave in HELO or EHLO."},
	{"sender", "sender", 0, 0, "The envelope sender."},
	{"sender.domain", "sender.domain", 0, 0, "Its domain."},
	{"recipient", "recipient", 0, 0, "The envelope recipient."},
	{"recipient.domain", "recipient.domain", 0, 0, "Its domain."},
	{"auth", "auth", 0, 0, "The authenticated id."},
	{"user", "user", 0, 0, "The login of the local user who handed the message to Exim. A limit whose key has it is about local traffic only."},
	{"owner", "owner", 0, 0, "Who answers for the message: the authenticated id, else the local user, else the relay host (by `site.relay_id`, where that names it, or its address). Inbound mail has none."},
	{"login", "login", 0, 0, "The login that was tried, or used. Only the log has it: with `auth_failure` and `login`."},
}

// HeaderField is something that the text of a header can name, as ${auth}.
type HeaderField struct {
	Text  string // as it is written
	Field string // of the plan's piece
	Doc   string
}

// HeaderFields are all of them. Exim fills them in.
var HeaderFields = []HeaderField{
	{"auth", "auth", "The authenticated id."},
	{"owner", "owner", "Who answers for the message, as the key of that name."},
	{"user", "user", "The login of a local user."},
	{"sender", "sender", "The envelope sender."},
	{"helo", "helo", "The name that the client gave in HELO or EHLO."},
	{"client.ip", "client", "The client's address."},
}

// EventWord is something that a limit may count.
type EventWord struct {
	Name    string
	Stage   string // where it happens; "log" for what the main log says
	Offence bool   // counted whatever becomes of it
	Doc     string
}

// EventWords are all events.
var EventWords = []EventWord{
	{"connection", "connect", true, "A client connects."},
	{"helo", "helo", true, "A HELO or EHLO command."},
	{"unknown_recipient", "rcpt", true, "A recipient that routing refuses (of inbound mail: in one of the site's own domains)."},
	{"invalid_recipient", "rcpt", true, "A recipient that routing refuses or, with `callout`, the host that its mail would go to, for good. A temporary error never counts. (Of inbound mail: in one of the site's own domains. Where a message comes without SMTP, Exim can only ask routing.)"},
	{"recipient", "rcpt", false, "A recipient that the site accepts."},
	{"message", "data", false, "A message that the site accepts."},
	{"bounce", "log", true, "A delivery that failed for good, of a message of an owner's. Messages with a null sender have no bounces."},
	{"rejected_recipient", "log", true, "A recipient of an owner's that this site refused for good, for whatever reason."},
	{"login", "log", true, "A message, or a command that was refused, of somebody who had logged in."},
	{"auth_failure", "log", true, "A login that was refused."},
}

// ListFields are the fields that a list's entries can have.
var ListFields = []string{"client", "sender", "recipient", "auth", "user"}

// Function is a function that expressions may call.
type Function struct {
	Name string
	Call string
	Doc  string
}

// Functions are all functions of expressions.
var Functions = []Function{
	{"concat", `concat(list, list...)`, "The lists, one after the other."},
	{"join", `join(separator, list)`, "The strings of a list as one string."},
	{"lower", `lower(string)`, "In lower case."},
	{"split", `split(separator, string)`, "A string cut into a list."},
	{"trimspace", `trimspace(string)`, "Without blanks at either end."},
	{"upper", `upper(string)`, "In upper case."},
}

// TypeDoc explains a type.
type TypeDoc struct {
	Type Type
	Doc  string
}

// TypeDocs explains every type, in the order of the reference page.
var TypeDocs = []TypeDoc{
	{String, "Text in double quotes. `${...}` inserts a value; `$${` stands for the two characters themselves."},
	{Word, "One of the words listed, in double quotes."},
	{BareWord, "One of the words listed, without quotes."},
	{Text, "Text that others get to read. It stays what it is: neither a `$` nor a brace nor a newline in it means anything to Exim. Write `$${` for `${`."},
	{Path, "An absolute path, of letters, digits and `_ . / + @ = : , -`."},
	{Paths, "A list of such paths."},
	{Mailbox, "A mail address: `\"abuse@example.com\"`."},
	{Version, "An Exim version, in double quotes: `\"4.94\"`, `\"4.98.2\"`."},
	{ACLName, "The name of an ACL in the site's Exim configuration, of letters, digits and `_`; `\"\"` says that the site has none there."},
	{Domains, "A list of domains: `\"example.com\"`, `\"*.example.com\"`, `\"@\"` (the host's own name), or `\"+name\"` for a `domainlist` of the site's Exim configuration."},
	{Networks, "A list of addresses and networks: `[\"192.0.2.0/24\", \"2001:db8::/32\", \"198.51.100.7\"]`."},
	{Network, "One address or network."},
	{DBServers, "A list of host names or addresses, each with a port or without (then 3306), or paths of Unix sockets: `[\"db1.example.net\", \"192.0.2.7:3307\", \"[2001:db8::7]:3306\", \"/run/mysqld/mysqld.sock\"]`. A name is always asked over TCP, `localhost`, too."},
	{DBName, "A name of letters, digits, `_` and `-`, at most 64."},
	{DBUser, "A name of letters, digits and `_ . @ + -`, at most 80 (MySQL: 32)."},
	{Servers, "A list of addresses, each with a port or without (then 53): `[\"127.0.0.1:5353\", \"192.0.2.53\", \"[2001:db8::53]:5353\"]`."},
	{Hosts, "A list of domain names: `[\"_spf.example.com\"]`."},
	{Addresses, "A list of address patterns: `\"local@domain\"`, `\"*@domain\"` or just `\"domain\"`, `\"*@*.domain\"` (its subdomains); for senders also `\"<>\"`, the null sender."},
	{Address, "One address pattern."},
	{Strings, "A list of strings."},
	{Date, "A day, `\"2027-03-01\"` (through the end of that day, UTC), or a moment as in RFC 3339."},
	{Day, "A day: `\"2026-11-22\"`."},
	{Bool, "`true` or `false`."},
	{Number, "A whole number, without quotes."},
	{Duration, "A time as Exim writes it, of the units `w d h m s`: `\"90s\"`, `\"1h30m\"`, `\"36d\"`."},
	{Rates, "`\"100/1h\"`: more than 100 in the last hour. In a list, any of them is enough. Where a share is counted, `\"30%/24h\"`."},
	{EventName, "The name of an event, without quotes."},
	{Events, "Events and what each counts for: `{ unknown_recipient = 1, helo = 3 }`."},
	{Key, "A list of what tells one party from another, without quotes: `[client.net, sender]`; also `net(client.ip, 24, 56)`, the first so many bits of an IPv4 or IPv6 address."},
	{Count, "`distinct(recipient)`, or any other word of keys: how many different ones, instead of how many events. `share(recipient)` or `share(message)`: how many percent of the recipients, or messages, that were accepted for the same key."},
	{References, "A list of `list.NAME` (any of its fields), `list.NAME.FIELD` (only its entries of that field: client, sender, recipient, auth, user), `pool.NAME` (the clients of that pool) and `greylist.NAME.trusted` (clients that this greylist trusts)."},
	{Lists, "A list of whole lists, `[list.NAME]`."},
	{Facts, "A list of [facts](#facts), without quotes: `[no_reverse_dns, dnslist(\"zen.spamhaus.org\")]`."},
	{Headers, "Names and texts: `{ \"X-Slow\" = \"yes\" }`. Here, and nowhere else, a text can name [fields](#fields-of-headers), which Exim fills in: `\"${auth} at ${client.ip}\"`."},
	{TierRates, "Tiers and their other rates: `{ slow = \"500/1h\" }`."},
	{TypeName, "`string`, `number`, `bool` or `list(string)`, without quotes."},
	{Any, "A value of the variable's type."},
	{Words, "A list of the words listed, in double quotes."},
	{BareWords, "A list of the words listed, without quotes."},
	{Mailboxes, "A list of mail addresses: `[\"abuse@example.com\"]`."},
	{Host, "One domain name, in double quotes."},
	{URL, "An address that begins with `https://` or `http://`, without a user or password."},
	{Expansion, "Text with Exim's own `$` and braces, on one line. It goes into Exim's configuration as it is: the only text of a policy that Exim obeys. `$name` can be written so; for `${` write `$${`, for a backslash two."},
	{Percent, "`\"50%\"`: a whole number from 1 to 99, and a percent sign."},
	{End, "`\"released\"`: when somebody releases it; or a duration."},
	{Receivers, "A list of `notice.NAME`, and `owner`: who answers for the message, where he has an address."},
}
