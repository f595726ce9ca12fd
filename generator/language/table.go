package language

const (
	trafficDoc   = "Whose mail it is for."
	greyTraffic  = trafficDoc + " `local` is what is spoken over SMTP without a network (`exim -bs`, `-bS`): what a program gives to `sendmail` is never greylisted."
	limitTraffic = trafficDoc + " `local` is what has no client address: what a program gives to `sendmail`, and what is spoken over SMTP without a network; with `engine = \"exim\"` only the latter."
	modeDoc      = "Whether it acts, or only counts (in rows of its own) and logs what it would have done."
	onFailureDoc = "What happens where the helper does not answer: last_known (blocks known before stay in force, all else passes), pass, or defer."
	exceptDoc    = "Who is exempt: neither judged nor counted."
)

var (
	modes    = []string{"enforce", "observe"}
	failures = []string{"last_known", "pass", "defer"}
	traffics = []string{"inbound", "submission", "relay", "local"}
	owners   = []string{"submission", "relay", "local"} // whose mail has somebody who answers for it
)

// Root is the whole language: its nested blocks are what may stand at the top
// level of a file.
var Root = Block{
	Doc: "All `*.hcl` and `*.hcl.json` files of a directory are one policy set; the order of files and blocks does not matter. Files named `*_test.hcl` are left out.",
	Blocks: []Block{
		exipolBlock, siteBlock, helperBlock, storeBlock, listBlock, poolBlock, noticeBlock,
		greylistBlock, limitBlock, variableBlock, localsBlock,
	},
}

var exipolBlock = Block{
	Name: "exipol", Once: true, Required: true,
	Doc: "Says which version of the language the set is written in. It is read before all else.",
	Arguments: []Argument{
		{Name: "format", Type: Number, Required: true, Min: 1, Doc: "The version of the language: 1."},
	},
}

var siteBlock = Block{
	Name: "site", Once: true,
	Doc: "The Exim that the policies are for. Its arguments can be used elsewhere, as in `site.admin`.",
	Arguments: []Argument{
		{Name: "exim", Type: Version, Default: `"4.94"`, Doc: "The oldest Exim that must run the output."},
		{Name: "layout", Type: Word, Words: []string{"debian", "upstream", "custom"}, Default: `"debian"`, Doc: "The configuration that the output is installed into: Debian's, Exim's own default, or another one whose ACLs are named in `acl`."},
		{Name: "directory", Type: Path, Instead: "`\"/etc/exim4/exipol\"` for the layout debian, `\"/etc/exim/exipol\"` for the others", Doc: "Where the generated Exim text is installed, and nothing else: lower-case letters, digits and `_ . / -`."},
		{Name: "mode", Type: Word, Words: modes, Instead: "each policy's own", Doc: "Overrides the mode of every policy."},
		{Name: "admin", Type: Mailbox, Doc: "Who answers for this site's mail."},
		{Name: "domains", Type: Domains, Default: `["+local_domains", "+relay_to_domains"]`, Doc: "What inbound mail may be for: the site's own domains, which no list learns."},
		{Name: "relay_hosts", Type: Networks, Default: `["127.0.0.1", "::1"]`, Doc: "Hosts that may relay without authentication: their mail is `relay` traffic."},
		{Name: "forwarders", Type: Networks, Doc: "Secondary MX and forwarding hosts: exempt from every policy on inbound mail."},
		{Name: "max_delay", Type: Duration, Default: `"25s"`, Doc: "The longest that one SMTP command may be delayed, whatever tiers say."},
		{Name: "spool", Type: Path, Instead: "`\"/var/spool/exim4\"` for the layout debian, `\"/var/spool/exim\"` for the others", Doc: "Exim's `spool_directory`."},
		{Name: "relay_id", Type: Expansion, Instead: "its address", Doc: "Who a relay host is: where this gives a text, that is the host's name as an owner, whatever its address is at the moment. It is obeyed by Exim as it stands, with Exim's rights: write nothing there that you would not write into Exim's configuration."},
	},
	Blocks: []Block{submissionBlock, {
		Name: "acl", Once: true,
		Doc: "The site's own ACLs, by stage, where they are not those of the layout.",
		Arguments: []Argument{
			{Name: "connect", Type: ACLName, Doc: "The value of `acl_smtp_connect`."},
			{Name: "helo", Type: ACLName, Doc: "The value of `acl_smtp_helo`."},
			{Name: "auth", Type: ACLName, Doc: "The value of `acl_smtp_auth`."},
			{Name: "mail", Type: ACLName, Doc: "The value of `acl_smtp_mail`."},
			{Name: "rcpt", Type: ACLName, Doc: "The value of `acl_smtp_rcpt`."},
			{Name: "predata", Type: ACLName, Doc: "The value of `acl_smtp_predata`."},
			{Name: "dkim", Type: ACLName, Doc: "The value of `acl_smtp_dkim`."},
			{Name: "data", Type: ACLName, Doc: "The value of `acl_smtp_data`."},
			{Name: "not_smtp", Type: ACLName, Doc: "The value of `acl_not_smtp`."},
		},
	}},
}

var submissionBlock = Block{
	Name: "submission", Once: true,
	Doc: "Accepted mail goes through Exim's submission mode (`control = submission`): what is missing of Date, Message-ID and From is added, and a Sender header where From is not the owner's. That rewrites senders, so it is only done where this block stands; it is no policy, and done with `mode = \"observe\"`, too.",
	Arguments: []Argument{
		{Name: "traffic", Type: Words, Words: owners, Default: `["submission"]`, Doc: "Whose mail."},
		{Name: "domain", Type: Host, Instead: "Exim's `qualify_domain`", Doc: "The domain that a login without one gets."},
		{Name: "retain", Type: Bool, Default: `true`, Doc: "Whether the envelope sender stays as the client gave it (`sender_retain`; no Sender header is added then). Debian's own ACL for RCPT has it stay in any case."},
	},
}

var helperBlock = Block{
	Name: "helper", Once: true,
	Doc: "The helper, exipold, and how Exim reaches it.",
	Arguments: []Argument{
		{Name: "socket", Type: Path, Default: `"/run/exipol/exipold.sock"`, Doc: "Its Unix socket."},
		{Name: "timeout", Type: Duration, Default: `"3s"`, Doc: "How long one question may take, the second try included."},
		{Name: "on_failure", Type: Word, Words: failures, Default: `"last_known"`, Doc: onFailureDoc},
		{Name: "mainlog", Type: Paths, Default: `["/var/log/exim4/mainlog"]`, Doc: "Exim's main logs. exipold follows them where a policy counts what only the log says: `bounce`, `auth_failure`, `login`, `rejected_recipient`."},
		{Name: "source", Type: Word, Words: []string{"log", "event"}, Default: `"log"`, Doc: "Where bounces are counted from: the main log, or Exim's own delivery events, which need a line for each SMTP transport (INSTALL.txt says where). One that comes both ways counts once."},
		{Name: "dns", Type: Servers, Instead: "those of the machine (`/etc/resolv.conf`)", Doc: "The resolvers that it asks about facts and pools. Large DNS lists answer only to a resolver of one's own."},
		{Name: "pools", Type: Path, Instead: "the pools are resolved when it starts, and every six hours", Doc: "A file that pins the networks of all pools, written by `exipold pools --pin`: with it, exipold never resolves them."},
	},
}

var listBlock = Block{
	Name: "list", Label: "name",
	Doc: "A named list of clients, addresses and logins. Policies refer to it by name, without quotes.",
	Arguments: []Argument{
		{Name: "clients", Type: Networks, Doc: "Clients, by address or network."},
		{Name: "senders", Type: Addresses, Doc: "Envelope senders."},
		{Name: "recipients", Type: Addresses, Doc: "Envelope recipients."},
		{Name: "auth", Type: Strings, Doc: "Authenticated ids, compared as they are."},
		{Name: "users", Type: Strings, Doc: "Logins of local users, compared as they are."},
		{Name: "reviewed", Type: Day, Doc: "When somebody last looked the list through: `exipold list report` names lists that nobody has for a year."},
	},
	Blocks: []Block{learnBlock, {
		Name: "entry",
		Doc:  "One entry that has an end, a reason or an owner. It has exactly one of client, sender, recipient, auth and user.",
		Arguments: []Argument{
			{Name: "client", Type: Network, Doc: "A client."},
			{Name: "sender", Type: Address, Doc: "An envelope sender."},
			{Name: "recipient", Type: Address, Doc: "An envelope recipient."},
			{Name: "auth", Type: String, Doc: "An authenticated id."},
			{Name: "user", Type: String, Doc: "The login of a local user."},
			{Name: "until", Type: Date, Instead: "for good", Doc: "When the entry ends."},
			{Name: "why", Type: Text, Doc: "Why it is there."},
			{Name: "owner", Type: Text, Doc: "Who answers for it."},
		},
	}},
}

var learnBlock = Block{
	Name: "learn",
	Doc:  "The list learns: whom accepted messages were for is in it from then on. One's own customers write to them, so their answers are welcome: `except = [list.NAME.sender]`. (What was learned is compared with the field that a reference names, with the sender where it names none.) Several such blocks can stand in a list; messages with a null sender, automatic ones (`Auto-Submitted`), and recipients in `site.domains` teach nothing.",
	Arguments: []Argument{
		{Name: "traffic", Type: Word, Words: owners, Default: `"submission"`, Doc: "Whose messages it learns from. Inbound ones are not among them: strangers would put each other on the list."},
		{Name: "from", Type: BareWord, Words: []string{"recipient", "recipient.domain"}, Default: `recipient`, Doc: "What it learns: the address, or everybody in its domain, which at a large mail provider is everybody who has a mailbox there."},
		{Name: "remember", Type: Duration, Default: `"60d"`, Doc: "How long that is known after the last message to it."},
	},
}

var poolBlock = Block{
	Name: "pool", Label: "name",
	Doc: "A sender with many addresses, known by a name: those that its SPF records name (`ip4`, `ip6`, `a` and `mx`, through `include` and `redirect`), and those written here. It has at least one of the two. Keys use it as `client.pool`, `spare` as `pool`, references as `pool.NAME`.",
	Arguments: []Argument{
		{Name: "spf", Type: Hosts, Doc: "Domains whose SPF records name its addresses. exipold resolves them."},
		{Name: "clients", Type: Networks, Doc: "Addresses and networks of its own."},
	},
}

var noticeBlock = Block{
	Name: "notice", Label: "name",
	Doc: "Somebody to tell when a case is opened. Tiers name it in `notify`. It has at least one of mail and webhook.",
	Arguments: []Argument{
		{Name: "mail", Type: Mailboxes, Doc: "Mail addresses. Each gets a mail, once for each case and tier, whichever gateway opened it."},
		{Name: "webhook", Type: URL, Doc: "A URL that is sent the same as JSON, by POST."},
		{Name: "digest", Type: Duration, Instead: "no summary", Doc: "How often a summary of all cases goes out."},
	},
}

var greylistBlock = Block{
	Name: "greylist", Label: "name",
	Doc: "Defers what it sees for the first time (with `suspicious`, only what looks bad), and lets it through when it is tried again. It is asked after the site accepted the recipient; null senders are asked once a message, before DATA, so that other hosts' callouts pass; postmaster and abuse are never greylisted.",
	Arguments: []Argument{
		{Name: "traffic", Type: Word, Words: traffics, Default: `"inbound"`, Doc: greyTraffic},
		{Name: "key", Type: Key, Default: `[client.net, sender, recipient]`, Doc: "What has to be the same in the retry."},
		{Name: "delay", Type: Duration, Default: `"5m"`, Doc: "A retry sooner than this is deferred again."},
		{Name: "retry", Type: Duration, Default: `"24h"`, Doc: "A retry later than this counts as a first contact."},
		{Name: "remember", Type: Duration, Default: `"36d"`, Doc: "How long a key that passed is known after its last use."},
		{Name: "give_up", Type: Duration, Doc: "From whatever client, no mail of one sender to one recipient waits longer than this in all: for senders that retry from another network each time. Null senders have no such pair."},
		{Name: "except", Type: References, Doc: exceptDoc},
		{Name: "suspicious", Type: Facts, Instead: "every first contact", Doc: "Only a first contact of which one of these holds is deferred."},
		{Name: "spare", Type: Facts, Doc: "A first contact of which one of these holds is not deferred, however suspicious it is."},
		{Name: "urgent", Type: Lists, Doc: "Lists of senders (of login codes, say) that are never deferred, where SPF passes for the envelope sender, or a DKIM signature verifies that is aligned with the From header. To know that, such a greylist defers messages after DATA instead of recipients after RCPT."},
		{Name: "mode", Type: Word, Words: modes, Default: `"enforce"`, Doc: modeDoc},
		{Name: "on_failure", Type: Word, Words: failures, Instead: "the helper's", Doc: onFailureDoc + " With defer, a fact that cannot be found out counts as suspicious."},
		{Name: "message", Type: Text, Default: `"greylisted, please try again later"`, Doc: "The text of the deferral."},
	},
	Blocks: []Block{{
		Name: "trust", Once: true,
		Doc: "Clients that passed often enough are not greylisted any more.",
		Arguments: []Argument{
			{Name: "key", Type: Key, Default: `[client.net]`, Doc: "Who is trusted."},
			{Name: "after", Type: Number, Default: `5`, Min: 1, Doc: "After so many passes."},
			{Name: "per", Type: Duration, Default: `"1h"`, Doc: "Of the passes in so long, one counts."},
			{Name: "remember", Type: Duration, Default: `"36d"`, Doc: "How long a trusted client is known after its last mail."},
		},
	}},
}

func refusal(name, message, doc string) Block {
	return Block{Name: name, Once: true, Doc: doc, Arguments: []Argument{
		{Name: "message", Type: Text, Default: `"` + message + `"`, Doc: "The text of the reply."},
	}}
}

var limitBlock = Block{
	Name: "limit", Label: "name",
	Doc: "Counts events for each key in sliding windows, and does something about those who are over a rate. Of all that applies the strongest verdict wins (drop, deny, defer, freeze, discard), the longest delay holds, and headers add up.",
	Arguments: []Argument{
		{Name: "traffic", Type: Word, Words: traffics, Instead: "`\"inbound\"`; where only events of the log are counted, `\"submission\"` for login, all but inbound for bounce and rejected_recipient", Doc: limitTraffic},
		{Name: "event", Type: EventName, Doc: "What is counted. A limit has either `event` or `events`."},
		{Name: "events", Type: Events, Doc: "What is counted, each with a weight."},
		{Name: "classes", Type: BareWords, Words: []string{"no_such_user", "no_such_domain", "full", "policy", "other"}, Instead: "every class", Doc: "Which bounces count: no such user, no such domain, a full mailbox, refused by policy (as spam, say), anything else."},
		{Name: "callout", Type: Duration, Instead: "routing only", Doc: "With invalid_recipient: Exim also asks the host that the mail would go to, and waits so long at most for each of its answers (there are some four). Such callouts go to other people's hosts, and many dislike them."},
		{Name: "key", Type: Key, Required: true, Doc: "Whom it is counted for."},
		{Name: "count", Type: Count, Instead: "events", Doc: "Counts how many different ones there were, or what share, instead of events."},
		{Name: "floor", Type: Number, Min: 1, Doc: "With a share: where there were fewer recipients, or messages, than this, it says nothing."},
		{Name: "attempts", Type: Bool, Default: `false`, Doc: "Whether recipients and messages count that were refused in the end."},
		{Name: "only", Type: References, Instead: "everybody", Doc: "Whom it is for; nobody else is judged or counted."},
		{Name: "except", Type: References, Doc: exceptDoc},
		{Name: "engine", Type: Word, Words: []string{"exipol", "exim"}, Default: `"exipol"`, Doc: "Who counts: the helper, or Exim's own `ratelimit` (for each host by itself, a moving average, without a helper; its keys are compared in lower case, not normalised otherwise; and the strongest verdict is tried first, so that it counts what a weaker one then refuses)."},
		{Name: "mode", Type: Word, Words: modes, Default: `"enforce"`, Doc: modeDoc},
		{Name: "on_failure", Type: Word, Words: failures, Instead: "the helper's", Doc: onFailureDoc},
	},
	Blocks: []Block{tierBlock, overrideBlock},
}

var tierBlock = Block{
	Name: "tier", Label: "name", Required: true,
	Doc: "One rung of a limit: over this much, do that. It has at most one of defer, deny, drop, discard, freeze and block; delays, headers and notices can stand beside it. A tier that blocks or notifies opens a case for the key. Where a limit counts nothing but events of the log, its tiers act at the next RCPT (or message without SMTP) of the key.",
	Arguments: []Argument{
		{Name: "over", Type: Rates, Required: true, Doc: "The tier applies where the last so long, this event included, saw more than so many."},
		{Name: "add_header", Type: Headers, Doc: "Headers to add to the message."},
		{Name: "notify", Type: Receivers, Doc: "Whom to tell, once for each case."},
	},
	Blocks: []Block{
		{
			Name: "delay", Once: true,
			Doc: "Lets the client wait before the answer: for a fixed time, or for so much times all that were counted.",
			Arguments: []Argument{
				{Name: "each", Type: Duration, Doc: "So long for each one counted. A delay has either `each` or `fixed`."},
				{Name: "fixed", Type: Duration, Doc: "Always so long."},
				{Name: "max", Type: Duration, Instead: "`site.max_delay`", Doc: "Never longer than this."},
				{Name: "sleepers", Type: Number, Default: `10`, Doc: "How many connections of a host may wait at once for this tier; those beyond are not delayed. 0 means any number."},
			},
		},
		refusal("defer", "too much at the moment, please try again later", "Answers with a temporary error."),
		refusal("deny", "refused by local policy", "Answers with a permanent error."),
		refusal("drop", "refused by local policy", "Answers with a permanent error and closes the connection."),
		{Name: "discard", Once: true, Doc: "Accepts the recipient or message and throws it away."},
		{Name: "freeze", Once: true, Doc: "Accepts the message and keeps it in the queue, undelivered, until someone thaws it."},
		blockBlock,
	},
}

var blockBlock = Block{
	Name: "block", Once: true,
	Doc: "Puts the key into a state with a verdict of its own, which is in force from the next command on, on every gateway that shares the store, until it ends or somebody releases it (`exipold case release`). It has exactly one of freeze, defer and deny.",
	Arguments: []Argument{
		{Name: "until", Type: End, Default: `"released"`, Doc: "When it ends."},
		{Name: "at", Type: Word, Words: []string{"connect", "auth", "mail", "rcpt"}, Instead: "`\"rcpt\"`; `\"auth\"` where only auth_failure is counted", Doc: "The command at which it is in force. At rcpt, also for messages that come without SMTP."},
		{Name: "queued", Type: Word, Words: []string{"freeze"}, Instead: "it is left alone", Doc: "What becomes of the owner's mail that already waits in the queue."},
		{Name: "add_header", Type: Headers, Doc: "Headers to add to the messages that it freezes."},
	},
	Blocks: []Block{
		{
			Name: "freeze", Once: true,
			Doc: "Accepts the messages and keeps them in the queue, as evidence. The sender is not told.",
			Arguments: []Argument{
				{Name: "most", Type: Number, Min: 1, Instead: "any number", Doc: "With so many messages held, further ones are deferred."},
				{Name: "free", Type: Percent, Instead: "however little", Doc: "With less of the spool's disk free, further messages are deferred."},
			},
		},
		refusal("defer", "sending is suspended, please ask your provider", "Answers with a temporary error. A message that comes without SMTP is refused."),
		refusal("deny", "sending is suspended, please ask your provider", "Answers with a permanent error."),
		{
			Name: "probation", Once: true,
			Doc: "After a release, lower rates hold for a while.",
			Arguments: []Argument{
				{Name: "lasts", Type: Duration, Default: `"24h"`, Doc: "For so long."},
				{Name: "share", Type: Percent, Default: `"50%"`, Doc: "So much of the tiers' rates."},
			},
		},
	},
}

var overrideBlock = Block{
	Name: "override", Label: "name",
	Doc: "Other rates for some. The first override that applies decides; a tier that it does not name keeps its own rates.",
	Arguments: []Argument{
		{Name: "only", Type: References, Required: true, Doc: "Whom it is for."},
		{Name: "over", Type: TierRates, Required: true, Doc: "The other rates, by tier."},
	},
}

var variableBlock = Block{
	Name: "variable", Label: "name",
	Doc: "A value that can be given from outside, with `--var NAME=VALUE` or in the environment as `EXIPOL_VAR_NAME`; used as `var.NAME`. It can hold a threshold or a text, but not the name of a thing (a key, an event, a list).",
	Arguments: []Argument{
		{Name: "type", Type: TypeName, Instead: "that of the default, else `string`", Doc: "The type of its value."},
		{Name: "default", Type: Any, Instead: "a value has to be given", Doc: "Its value where none is given."},
		{Name: "description", Type: Text, Doc: "What it is for."},
	},
}

var localsBlock = Block{
	Name: "locals", Free: true,
	Doc: "Names for values, one to a line; used as `local.NAME`.",
}
