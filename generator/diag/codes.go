package diag

import (
	"fmt"
	"strings"
)

// Code explains one kind of diagnostic. Bad is a policy that it is said of, Good
// one mended; both without their exipol block where that is beside the point.
// Codes are never used for anything else later.
type Code struct {
	Code        string
	Title       string
	Explanation string
	Bad, Good   string
}

// Codes are all codes, in order.
var Codes = []Code{
	{Code: "EP101", Title: "A file cannot be read",
		Explanation: "A path that was given does not exist, may not be read, or is larger than 16 MiB."},
	{Code: "EP102", Title: "Syntax error",
		Explanation: "The file is not HCL (or, where its name ends in .json, not JSON), is not UTF-8, or is nested more than 200 levels deep. Nothing in the file is looked at further, and names that it may declare are not reported as missing.",
		Bad:         "list \"friends\" {\n  clients = [\"192.0.2.1\"\n}", Good: "list \"friends\" {\n  clients = [\"192.0.2.1\"]\n}"},
	{Code: "EP103", Title: "Written for a newer version",
		Explanation: "The exipol block names a format that this version does not know. Anything else said about the policies could be wrong, so nothing is.",
		Bad:         "exipol {\n  format = 99\n}", Good: "exipol {\n  format = 1\n}"},
	{Code: "EP104", Title: "Nothing has that name",
		Explanation: "A reference to a list, a pool, a policy, a tier, a variable, a local value or an argument of site names something that is not declared. In texts, `${` begins such a reference; write `$${` for the two characters themselves.",
		Bad:         "list \"friends\" {\n  clients = [\"192.0.2.1\"]\n}\ngreylist \"inbound\" {\n  except = [list.freinds]\n}",
		Good:        "list \"friends\" {\n  clients = [\"192.0.2.1\"]\n}\ngreylist \"inbound\" {\n  except = [list.friends]\n}"},
	{Code: "EP105", Title: "No such argument or block",
		Explanation: "A block holds an argument or block that the language does not have there. The reference page lists all.",
		Bad:         "greylist \"inbound\" {\n  dealy = \"5m\"\n}", Good: "greylist \"inbound\" {\n  delay = \"5m\"\n}"},
	{Code: "EP106", Title: "Something required is missing",
		Explanation: "A block lacks its label, or an argument or block that it cannot do without.",
		Bad:         "limit \"rate\" {\n  event = recipient\n  tier \"slow\" {\n    over = \"60/1h\"\n    defer {}\n  }\n}",
		Good:        "limit \"rate\" {\n  event = recipient\n  key   = [client.ip]\n  tier \"slow\" {\n    over = \"60/1h\"\n    defer {}\n  }\n}"},
	{Code: "EP107", Title: "Declared twice",
		Explanation: "Two blocks of a kind have the same name, or a block stands twice that may stand once, or a name stands twice in a group. All files of a directory are one set.",
		Bad:         "greylist \"inbound\" {}\ngreylist \"inbound\" {}", Good: "greylist \"inbound\" {}\ngreylist \"partners\" {}"},
	{Code: "EP108", Title: "Wrong type of value",
		Explanation: "A value is a number where a string is wanted, a string where the name of a thing is wanted, and so on. A choice among fixed words is a string in quotes; the name of a thing is written without.",
		Bad:         "site {\n  exim = 4.96\n}", Good: "site {\n  exim = \"4.96\"\n}"},
	{Code: "EP109", Title: "Not one of the allowed words",
		Explanation: "The argument takes one of a few words, and this is none of them.",
		Bad:         "site {\n  layout = \"redhat\"\n}", Good: "site {\n  layout = \"custom\"\n}"},
	{Code: "EP110", Title: "Not a time",
		Explanation: "Times are as Exim writes them: whole numbers with the units w, d, h, m and s, largest first, without blanks. A bare number is refused because it does not say what it counts.",
		Bad:         "greylist \"inbound\" {\n  delay = \"5 mins\"\n}", Good: "greylist \"inbound\" {\n  delay = \"5m\"\n}"},
	{Code: "EP111", Title: "Not a rate",
		Explanation: "A rate is a whole number, a slash and a time: 100/1h is more than 100 in the last hour.",
		Bad:         "limit \"rate\" {\n  event = recipient\n  key   = [client.ip]\n  tier \"slow\" {\n    over = \"60/hour\"\n    defer {}\n  }\n}",
		Good:        "limit \"rate\" {\n  event = recipient\n  key   = [client.ip]\n  tier \"slow\" {\n    over = \"60/1h\"\n    defer {}\n  }\n}"},
	{Code: "EP112", Title: "Not an address or network",
		Explanation: "An IPv4 or IPv6 address, or a network in CIDR form whose bits beyond the prefix length are zero. A resolver is an address, with a port where it is not 53; an IPv6 address then stands in brackets.",
		Bad:         "list \"friends\" {\n  clients = [\"192.0.2.1/24\"]\n}", Good: "list \"friends\" {\n  clients = [\"192.0.2.0/24\"]\n}"},
	{Code: "EP113", Title: "Not a name",
		Explanation: "Names given to lists, policies, tiers and variables become part of log lines and of Exim's text: lower-case letters, digits and underscores, beginning with a letter, at most 48.",
		Bad:         "greylist \"In-Bound\" {}", Good: "greylist \"in_bound\" {}"},
	{Code: "EP114", Title: "Not an event",
		Explanation: "A limit counts events; the reference page lists them.",
		Bad:         "limit \"rate\" {\n  event = recipients\n  key   = [client.ip]\n  tier \"slow\" {\n    over = \"60/1h\"\n    defer {}\n  }\n}",
		Good:        "limit \"rate\" {\n  event = recipient\n  key   = [client.ip]\n  tier \"slow\" {\n    over = \"60/1h\"\n    defer {}\n  }\n}"},
	{Code: "EP115", Title: "Not a word of keys",
		Explanation: "A key is made of client.ip, client.net, client.pool, net(client.ip, V4, V6), helo, sender, sender.domain, recipient, recipient.domain and auth.",
		Bad:         "greylist \"inbound\" {\n  key = [client, sender]\n}", Good: "greylist \"inbound\" {\n  key = [client.net, sender]\n}"},
	{Code: "EP116", Title: "Not an entry of a list",
		Explanation: "Senders and recipients are local@domain, *@domain, *@*.domain (subdomains) or domain; the null sender is <>. An end is a day or a moment.",
		Bad:         "list \"friends\" {\n  senders = [\"@example.com\"]\n}", Good: "list \"friends\" {\n  senders = [\"*@example.com\"]\n}"},
	{Code: "EP117", Title: "The value of a variable",
		Explanation: "A variable has neither a default nor a value, or one that is not of its type, or a value was given for one that is not declared.",
		Bad:         "variable \"delay\" {}", Good: "variable \"delay\" {\n  default = \"5m\"\n}"},
	{Code: "EP118", Title: "An expression without a value",
		Explanation: "An expression calls something that is not a function, combines what does not fit together, or depends on itself.",
		Bad:         "locals {\n  a = local.b\n  b = local.a\n}", Good: "locals {\n  a = local.b\n  b = \"5m\"\n}"},
	{Code: "EP119", Title: "No policies",
		Explanation: "The directory has no files named *.hcl or *.hcl.json, those named *_test.hcl aside."},
	{Code: "EP120", Title: "A text that cannot be used there",
		Explanation: "Paths, mail addresses, domains and names of ACLs go into Exim's configuration and are checked before they do. Lookups and regular expressions belong into a domainlist of Exim's own, which is named here as \"+name\".",
		Bad:         "helper {\n  socket = \"exipold.sock\"\n}", Good: "helper {\n  socket = \"/run/exipol/exipold.sock\"\n}"},
	{Code: "EP121", Title: "A number out of range",
		Explanation: "The number is not whole, or larger or smaller than makes sense.",
		Bad:         "greylist \"inbound\" {\n  trust {\n    after = 0\n  }\n}", Good: "greylist \"inbound\" {\n  trust {\n    after = 5\n  }\n}"},
	{Code: "EP122", Title: "Two that exclude each other",
		Explanation: "A limit has either event or events, a delay either each or fixed, a tier at most one of defer, deny, drop, discard and freeze, and an entry of a list exactly one field.",
		Bad:         "limit \"rate\" {\n  event = recipient\n  key   = [client.ip]\n  tier \"slow\" {\n    over = \"60/1h\"\n    defer {}\n    deny {}\n  }\n}",
		Good:        "limit \"rate\" {\n  event = recipient\n  key   = [client.ip]\n  tier \"slow\" {\n    over = \"60/1h\"\n    defer {}\n  }\n}"},
	{Code: "EP123", Title: "Empty",
		Explanation: "A list or group that must name something names nothing. An empty only would be for nobody, and reads like everybody.",
		Bad:         "greylist \"inbound\" {\n  key = []\n}", Good: "greylist \"inbound\" {\n  key = [client.net]\n}"},

	{Code: "EP124", Title: "Not a fact",
		Explanation: "suspicious and spare of a greylist are made of facts, which the reference page lists: each belongs into one of the two. A fact about a DNS list names its zone, spf_pass a list of senders; the others have no argument.",
		Bad:         "greylist \"inbound\" {\n  suspicious = [no_rdns, dnsbl(\"zen.spamhaus.org\")]\n}", Good: "greylist \"inbound\" {\n  suspicious = [no_reverse_dns, dnslist(\"zen.spamhaus.org\")]\n}"},
	{Code: "EP125", Title: "Not the zone of a DNS list",
		Explanation: "A DNS list is named by its zone, a domain name. Where only some of its answers count they stand after an equals sign, with commas between them: single addresses in 127.0.0.0/8, but not in 127.255.255.0/24 (with those a list refuses to answer) and not 127.0.0.1. Exim's other forms are not known here.",
		Bad:         "greylist \"inbound\" {\n  suspicious = [dnslist(\"zen.spamhaus.org!=127.255.255.254\")]\n}", Good: "greylist \"inbound\" {\n  suspicious = [dnslist(\"zen.spamhaus.org=127.0.0.2,127.0.0.3\")]\n}"},

	{Code: "EP201", Title: "A delay longer than other hosts' callouts wait",
		Explanation: "Hosts that verify a sender connect to this site and give up after 30 seconds (the default of Exim's callouts). A delay of more than 25 seconds makes them refuse mail that this site sends.",
		Bad:         "site {\n  max_delay = \"2m\"\n}\n" + tarpit("each = \"2s\"\n      max  = \"2m\""), Good: tarpit("each = \"2s\"\n      max  = \"25s\"")},
	{Code: "EP202", Title: "Delays longer than clients wait",
		Explanation: "An SMTP client may give up when the answer to a command takes five minutes (RFC 5321, 4.5.3.2). Delays before and after the site's own ACL for RCPT add up.",
		Bad:         "site {\n  max_delay = \"5m\"\n}", Good: "site {\n  max_delay = \"25s\"\n}"},
	{Code: "EP203", Title: "Times of a greylist that contradict each other",
		Explanation: "A retry counts from delay on and until retry. Where retry is not the longer of the two, nothing can ever pass.",
		Bad:         "greylist \"inbound\" {\n  delay = \"1h\"\n  retry = \"30m\"\n}", Good: "greylist \"inbound\" {\n  delay = \"5m\"\n  retry = \"24h\"\n}"},
	{Code: "EP204", Title: "A tier that shows nowhere",
		Explanation: "Either another tier of the limit applies whenever this one does and is at least as strong, or another tier refuses so early that the count never gets this far: recipients and messages that were refused are not counted, unless attempts = true.",
		Bad:         twoTiers(""), Good: twoTiers("  attempts = true\n")},
	{Code: "EP205", Title: "A policy that concerns nobody",
		Explanation: "The lists that only names have no entry that could match, or except exempts everybody.",
		Bad:         "list \"bulk\" {}\n" + onlyBulk, Good: "list \"bulk\" {\n  clients = [\"192.0.2.1\"]\n}\n" + onlyBulk},
	{Code: "EP206", Title: "Greylisting of hosts that do not retry",
		Explanation: "Greylisting rests on the retry of a mail server. A mail program shows its user an error instead (an error here); mail of the site's own hosts is delayed for nothing (a warning).",
		Bad:         "greylist \"users\" {\n  traffic = \"submission\"\n}", Good: "greylist \"inbound\" {\n  traffic = \"inbound\"\n}"},
	{Code: "EP207", Title: "An ACL of the site that would be lost",
		Explanation: "The output takes the place of the site's ACL at each stage that a policy needs, and calls it. With the layout custom it must be told which one that is, or that there is none.",
		Bad:         "site {\n  layout = \"custom\"\n}\ngreylist \"inbound\" {}", Good: "site {\n  layout = \"custom\"\n  acl {\n    rcpt    = \"check_rcpt\"\n    predata = \"\"\n    data    = \"check_data\"\n  }\n}\ngreylist \"inbound\" {}"},
	{Code: "EP208", Title: "The output's ACL named as the site's",
		Explanation: "The ACL named is one that the output defines: it would call itself. Name the one that the site had before.",
		Bad:         "site {\n  acl {\n    rcpt = \"exipol_rcpt\"\n  }\n}", Good: "site {\n  acl {\n    rcpt = \"acl_check_rcpt\"\n  }\n}"},
	{Code: "EP209", Title: "The text of a reply",
		Explanation: "A reply has a text, of lines of at most 500 bytes, none of them empty, without control characters.",
		Bad:         "greylist \"inbound\" {\n  message = \"\"\n}", Good: "greylist \"inbound\" {\n  message = \"please try again later\"\n}"},
	{Code: "EP210", Title: "A header that cannot be added",
		Explanation: "A header's name is of printable ASCII without blanks and colons (RFC 5322, 2.2); its text is one line. A name stands once.",
		Bad:         header("X Slow"), Good: header("X-Slow")},
	{Code: "EP211", Title: "A key that is not known there",
		Explanation: "At the time of an event not everything is known: no sender and no recipient when a client connects or says HELO, no single recipient of a message; only submission is authenticated, and local traffic has no client address.",
		Bad:         helo("event = connection", "helo"), Good: helo("event = connection", "client.ip")},
	{Code: "EP212", Title: "An event that this traffic does not have",
		Explanation: "Whether a client authenticates is not known when it connects or says HELO, and local traffic does neither.",
		Bad:         helo("traffic = \"submission\"\n  event = helo", "client.ip"), Good: helo("traffic = \"submission\"\n  event = recipient", "auth")},
	{Code: "EP213", Title: "A verdict before there is a message",
		Explanation: "freeze, discard and add_header concern a message or recipient. When a client connects or says HELO there is neither.",
		Bad:         "limit \"noisy\" {\n  event = helo\n  key   = [client.ip]\n  tier \"bin\" {\n    over = \"60/1h\"\n    discard {}\n  }\n}", Good: helo("event = helo", "client.ip")},
	{Code: "EP214", Title: "An argument that changes nothing",
		Explanation: "attempts says whether recipients and messages count that were refused. Other events always count.",
		Bad:         helo("event = helo\n  attempts = true", "client.ip"), Good: helo("event = helo", "client.ip")},
	{Code: "EP215", Title: "A tier that does nothing",
		Explanation: "A tier has a delay, one of the verdicts, or headers to add.",
		Bad:         "limit \"noisy\" {\n  event = helo\n  key   = [client.ip]\n  tier \"slow\" {\n    over = \"60/1h\"\n  }\n}", Good: helo("event = helo", "client.ip")},
	{Code: "EP216", Title: "Bounds of a delay that contradict each other",
		Explanation: "A delay is longer than its own max or of no time at all (errors), or longer than the site's max_delay, which cuts it (a warning).",
		Bad:         tarpit("fixed = \"20s\"\n      max   = \"10s\""), Good: tarpit("fixed = \"10s\"\n      max   = \"20s\"")},
	{Code: "EP217", Title: "A count of different ones that means nothing",
		Explanation: "distinct(...) counts how many different ones there were: weights mean nothing to it, and of what is in the key there is only one.",
		Bad:         helo("event = recipient\n  count = distinct(client.ip)", "client.ip"), Good: helo("event = recipient\n  count = distinct(recipient)", "client.ip")},
	{Code: "EP218", Title: "Local traffic is not all local mail",
		Explanation: "What a program gives to sendmail on its standard input passes none of Exim's SMTP ACLs; the traffic local is only what is spoken over SMTP without a network (exim -bs, -bS). Mail over a connection to 127.0.0.1 is relay traffic.",
		Bad:         helo("traffic = \"local\"\n  event = recipient", "sender"), Good: helo("traffic = \"relay\"\n  event = recipient", "sender")},
	{Code: "EP219", Title: "Recipients of a whole message",
		Explanation: "A message may have many recipients: at the event message an entry for recipients matches only where all of them are in the list.",
		Bad:         forRecipients("message"), Good: forRecipients("recipient")},
	{Code: "EP220", Title: "A list without senders where senders are compared",
		Explanation: "urgent is about senders that are written down, and whose mail SPF or DKIM proves; a list without any makes nobody urgent (an error). The list of spf_pass without any spares nobody (a warning).",
		Bad:         "list \"codes\" {\n  clients = [\"192.0.2.1\"]\n}\ngreylist \"inbound\" {\n  urgent = [list.codes]\n}", Good: "list \"codes\" {\n  senders = [\"*@example.com\"]\n}\ngreylist \"inbound\" {\n  urgent = [list.codes]\n}"},
	{Code: "EP221", Title: "A fact that changes nothing",
		Explanation: "The fact can never hold: there is no pool that a client could belong to, or the traffic has no client. Or another fact holds whenever it does: all answers of a DNS list hold some of them.",
		Bad:         "greylist \"inbound\" {\n  spare = [pool]\n}", Good: "pool \"partner\" {\n  clients = [\"192.0.2.0/24\"]\n}\ngreylist \"inbound\" {\n  spare = [pool]\n}"},
	{Code: "EP222", Title: "A DNS list of the other kind",
		Explanation: "A list of good hosts is taken for one of bad ones, or the other way round: all that it has would be treated as the opposite of what they are.",
		Bad:         "greylist \"inbound\" {\n  suspicious = [dnslist(\"list.dnswl.org\")]\n}", Good: "greylist \"inbound\" {\n  suspicious = [no_dnswl]\n  spare      = [dnswl]\n}"},
	{Code: "EP223", Title: "A DNS list that is gone",
		Explanation: "Nobody keeps this DNS list any more. At best it costs queries for nothing; some lists of this kind had every address of the world at last.",
		Bad:         "greylist \"inbound\" {\n  suspicious = [dnslist(\"dnsbl.sorbs.net\")]\n}", Good: "greylist \"inbound\" {\n  suspicious = [dnslist(\"zen.spamhaus.org\")]\n}"},
	{Code: "EP224", Title: "A key of a pool and a client",
		Explanation: "client.pool makes one key of all the addresses from which a sender retries. Where the client's own address or network is in the same key, there are as many keys again. client.pool stands for the network where there is no pool.",
		Bad:         "greylist \"inbound\" {\n  key = [client.pool, client.net, sender]\n}", Good: "greylist \"inbound\" {\n  key = [client.pool, sender]\n}"},
	{Code: "EP225", Title: "Pools that do not tell senders apart",
		Explanation: "A pool is one sender's. A network larger than any sender's would make one of many (an error), and what belongs to two pools is neither's for sure (a warning).",
		Bad:         "pool \"all\" {\n  clients = [\"0.0.0.0/0\"]\n}\ngreylist \"inbound\" {\n  spare = [pool]\n}", Good: "pool \"partner\" {\n  clients = [\"192.0.2.0/24\"]\n}\ngreylist \"inbound\" {\n  spare = [pool]\n}"},
	{Code: "EP226", Title: "For nobody",
		Explanation: "A list learns, but no policy compares a sender or a recipient with it; or a pool is looked up that no policy uses. It costs work, and changes nothing.",
		Bad:         learning(""), Good: learning("greylist \"inbound\" {\n  except = [list.correspondents.sender]\n}")},
	{Code: "EP227", Title: "Learned and forgotten",
		Explanation: "What a list learns is for the answers, which come after hours, days and weeks. Forgotten at once (an error) or within a day (a warning), it helps nobody.",
		Bad:         remembering("0s"), Good: remembering("60d")},

	{Code: "EP301", Title: "Not a version of Exim",
		Explanation: "site.exim is the oldest Exim that must run the output, as `exim -bV` prints it, in quotes.",
		Bad:         "site {\n  exim = \"latest\"\n}", Good: "site {\n  exim = \"4.96\"\n}"},
	{Code: "EP302", Title: "Exim is too old",
		Explanation: "The generated text needs Exim 4.94 or newer.",
		Bad:         "site {\n  exim = \"4.92\"\n}", Good: "site {\n  exim = \"4.94\"\n}"},
	{Code: "EP303", Title: "More than Exim's ratelimit can do",
		Explanation: "With engine = \"exim\" Exim counts by itself: one kind of event without weights, fixed delays, and of lists only clients without an end; no pools, and nothing that a list learns.",
		Bad:         helo("events = { helo = 3 }\n  engine = \"exim\"", "client.ip"), Good: helo("event = helo\n  engine = \"exim\"", "client.ip")},
	{Code: "EP304", Title: "A rate at which Exim's ratelimit trips at once",
		Explanation: "Exim compares a moving average, which the first event already moves to one.",
		Bad:         eximRate("1/1h"), Good: eximRate("2/1h")},
	{Code: "EP305", Title: "The path of the socket is too long",
		Explanation: "The address of a Unix socket has room for about a hundred bytes.",
		Bad:         "helper {\n  socket = \"/run/" + strings.Repeat("x", 100) + "\"\n}", Good: "helper {\n  socket = \"/run/exipol/exipold.sock\"\n}"},
	{Code: "EP306", Title: "The helper's timeout",
		Explanation: "Exim counts the timeout in whole seconds and asks a second time after a failure, so it needs 2 seconds at least (an error). With the helper away a client waits up to twice the timeout, so it should not have more than 20 (a warning).",
		Bad:         "helper {\n  timeout = \"1s\"\n}", Good: "helper {\n  timeout = \"3s\"\n}"},
	{Code: "EP307", Title: "The helper's directory for the Exim text",
		Explanation: "The Exim text lies in a directory that everybody may read, and that goes away with it. /etc/exipol is neither.",
		Bad:         "site {\n  directory = \"/etc/exipol\"\n}", Good: "site {\n  directory = \"/etc/exim4/exipol\"\n}"},
	{Code: "EP311", Title: "An ACL of the site's would be lost, or is not there",
		Explanation: "The policies need a stage at which this Exim's configuration has another ACL than they name, or none where they name one. Theirs would take its place without calling it, or call what does not exist. Only `exipol check --exim` can see that."},
	{Code: "EP312", Title: "strict_acl_vars is set",
		Explanation: "With this option of Exim an ACL variable that was never set is an error, and the generated text reads variables that only some sessions set. Only `exipol check --exim` can see that."},
	{Code: "EP313", Title: "Exim cannot run the generated text",
		Explanation: "The Exim that `exipol check --exim` was given complained while it read the generated text, or while it ran it in a session; its own words stand beside. An Exim older than site.exim is one reason; otherwise it is a fault of exipol, and its authors want to know."},
}

// Pieces of the examples.

func tarpit(delay string) string {
	return "limit \"tarpit\" {\n  event = unknown_recipient\n  key   = [client.ip]\n  tier \"slow\" {\n    over = \"5/4h\"\n    delay {\n      " + delay + "\n    }\n  }\n}"
}

func twoTiers(more string) string {
	return "limit \"rate\" {\n  event = recipient\n  key   = [client.ip]\n" + more +
		"  tier \"slow\" {\n    over = \"100/1h\"\n    defer {}\n  }\n  tier \"stop\" {\n    over = \"500/1h\"\n    deny {}\n  }\n}"
}

const onlyBulk = "limit \"bulk\" {\n  event = recipient\n  key   = [client.ip]\n  only  = [list.bulk]\n  tier \"slow\" {\n    over = \"100/1h\"\n    defer {}\n  }\n}"

func header(name string) string {
	return "limit \"mark\" {\n  event = recipient\n  key   = [client.ip]\n  tier \"mark\" {\n    over       = \"100/1h\"\n    add_header = { \"" + name + "\" = \"yes\" }\n  }\n}"
}

func helo(more, key string) string {
	return "limit \"noisy\" {\n  " + more + "\n  key = [" + key + "]\n  tier \"slow\" {\n    over = \"60/1h\"\n    defer {}\n  }\n}"
}

func forRecipients(event string) string {
	return "list \"boxes\" {\n  recipients = [\"support@example.com\"]\n}\n" +
		"limit \"rate\" {\n  event  = " + event + "\n  key    = [client.ip]\n  except = [list.boxes]\n  tier \"slow\" {\n    over = \"60/1h\"\n    defer {}\n  }\n}"
}

func learning(more string) string {
	return "list \"correspondents\" {\n  learn {}\n}\n" + more
}

func remembering(time string) string {
	return "list \"correspondents\" {\n  learn {\n    remember = \"" + time + "\"\n  }\n}\ngreylist \"inbound\" {\n  except = [list.correspondents.sender]\n}"
}

func eximRate(rate string) string {
	return "limit \"noisy\" {\n  event  = helo\n  engine = \"exim\"\n  key    = [client.ip]\n  tier \"slow\" {\n    over = \"" + rate + "\"\n    defer {}\n  }\n}"
}

// CodesMarkdown is the page that explains all codes.
func CodesMarkdown() string {
	var b strings.Builder
	b.WriteString("# What the messages mean\n\n<!-- Generated from the table of codes (generator/diag). Do not edit; run UPDATE=1 go test ./generator/diag/ -->\n\n")
	b.WriteString("EP1xx are about syntax and names, EP2xx about meaning, EP3xx about what Exim and the system can do. A code never comes to mean something else.\n\n")
	for _, c := range Codes {
		fmt.Fprintf(&b, "- [%s](#%s) %s\n", c.Code, strings.ToLower(c.Code), c.Title)
	}
	for _, c := range Codes {
		fmt.Fprintf(&b, "\n<a id=\"%s\"></a>\n## %s: %s\n\n%s\n", strings.ToLower(c.Code), c.Code, c.Title, c.Explanation)
		if c.Bad != "" {
			fmt.Fprintf(&b, "\nNot so:\n\n```hcl\n%s\n```\n\nBut so:\n\n```hcl\n%s\n```\n", c.Bad, c.Good)
		}
	}
	return b.String()
}

// CodeOf finds a code's explanation.
func CodeOf(code string) (Code, bool) {
	for _, c := range Codes {
		if c.Code == code {
			return c, true
		}
	}
	return Code{}, false
}
