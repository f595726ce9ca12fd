package mainlog

import "bytes"

// Stage is the SMTP command that a remote host answered badly.
type Stage uint8

// The stages of an outgoing session.
const (
	NoStage      Stage = iota // none: Exim itself failed the address
	StageConnect              // initial connection
	StageHelo                 // EHLO, HELO, LHLO
	StageAuth
	StageMail
	StageRcpt
	StageData // DATA, the data, or the end of data
	StageOther
)

// Class is what a failure says of its address. Only the first two say that there is no such one.
type Class uint8

// The classes.
const (
	NoClass      Class = iota // the line is not about a failure
	NoSuchUser                // nobody there has this address
	NoSuchDomain              // nothing takes mail for this domain
	Full                      // the mailbox is full
	Policy                    // the remote host does not want this sender, message or client
	OtherFailure              // anything else
)

var classNames = [...]string{"none", "no_such_user", "no_such_domain", "full", "policy", "other"}

// String is the class as a policy names it.
func (c Class) String() string {
	if int(c) < len(classNames) {
		return classNames[c]
	}
	return "unknown"
}

// enhanced decides by the code of RFC 3463 that a remote host gave (IANA keeps the list). A third number
// of -1 is any other.
var enhanced = [...]struct {
	subject, detail int
	class           Class
}{
	{1, 0, NoSuchUser},    // "other address status": hosts that mean "unknown user" and give no more
	{1, 1, NoSuchUser},    // bad destination mailbox address
	{1, 2, NoSuchDomain},  // bad destination system address
	{1, 3, NoSuchUser},    // bad destination mailbox address syntax: no such one can be
	{1, 6, NoSuchUser},    // destination mailbox has moved, no forwarding address
	{1, 10, NoSuchDomain}, // recipient address has null MX (RFC 7505)
	{1, -1, OtherFailure}, // 7, 8, 9 are about the sender; 4 is "ambiguous", 5 "valid"
	{2, 1, NoSuchUser},    // mailbox disabled, not accepting messages: as good as gone, and Google's word for it
	{2, 2, Full},          // mailbox full
	{2, -1, OtherFailure}, // 3: message too long for it; 4: list expansion
	{3, 1, Full},          // mail system full
	{4, 4, NoSuchDomain},  // unable to route
	{4, -1, OtherFailure},
	{7, -1, Policy}, // delivery not authorized, refused, DMARC, blocklist ...
}

// exims decides by how Exim's own text begins, where no remote host said anything.
var exims = [...]struct {
	text  string
	class Class
}{
	// No router took it (route.c). For mail that goes out, that is a domain without MX and address;
	// for a domain of the site it is a user, and who follows the log knows its domains.
	{"Unrouteable address", NoSuchDomain},
	{"unrouteable address", NoSuchDomain},
	{"all relevant MX records point to non-existent hosts", NoSuchDomain}, // dnslookup.c
	{"an MX or SRV record indicated no SMTP service", NoSuchDomain},       // null MX
	{"missing MX, or all MXs point to missing A records", NoSuchDomain},   // check_secondary_mx and others
	{"mail domain ", NoSuchDomain},                                        // "is syntactically invalid"
	// Words that administrators give to :fail: and cannot_route_message, from Exim's own examples
	// and Debian's configuration.
	{"no such user", NoSuchUser},
	{"No such user", NoSuchUser},
	{"unknown user", NoSuchUser},
	{"Unknown user", NoSuchUser},
	{"User unknown", NoSuchUser},
	{"user unknown", NoSuchUser},
	{"mailbox is full", Full}, // appendfile's quota, mostly behind "retry timeout exceeded"
	// The address was fine as far as anybody knows; it was the time that ran out.
	{"retry timeout exceeded", OtherFailure},
	{"retry time not reached for any host", OtherFailure},
	{"domain is held", OtherFailure},
	{"lowest numbered MX record points to local host", OtherFailure}, // ours to configure
	{"Too many \"Received\" headers", OtherFailure},
	{"delivery cancelled by administrator", OtherFailure},
}

// sysexits are what a pipe's command says with its status (sysexits.h), in Exim's words (os.c).
var sysexits = [...]struct {
	text  string
	class Class
}{
	{" returned 67 (could mean user nonexistent)", NoSuchUser},
	{" returned 68 (could mean host nonexistent)", NoSuchDomain},
	{" returned 77 (could mean permission denied)", Policy},
}

// judge takes the text of a failure apart, and decides its class: by the enhanced code, else by
// the code and the command that got it, else by what Exim itself says.
func judge(text []byte) Failure {
	if f, ok := answer(text); ok {
		f.Class = f.class()
		return f
	}
	f := Failure{Class: OtherFailure}
	for i := range exims {
		if hasPrefix(text, exims[i].text) {
			f.Class = exims[i].class
			return f
		}
	}
	if hasPrefix(text, "Child process of ") {
		for i := range sysexits {
			if bytes.Contains(text, []byte(sysexits[i].text)) {
				f.Class = sysexits[i].class
			}
		}
		return f
	}
	// A text of an administrator's may begin with codes, as in :fail: 5.1.1 no such user.
	if f.codes(text); f.Enhanced[0] == 5 {
		f.Class = f.class()
	}
	return f
}

// class decides by codes.
func (f *Failure) class() Class {
	if f.Enhanced[0] == 5 || f.Enhanced[0] == 4 && f.Code >= 500 {
		for i := range enhanced {
			if c := &enhanced[i]; c.subject == f.Enhanced[1] && (c.detail == f.Enhanced[2] || c.detail < 0) {
				return c.class
			}
		}
	}
	switch {
	case f.Code == 552: // RFC 5321: exceeded storage allocation; at the end of data it is the message that is too large
		if f.Stage == StageRcpt {
			return Full
		}
	case f.Code == 556: // RFC 7504: the domain takes no mail
		return NoSuchDomain
	case f.Code == 550 || f.Code == 551 || f.Code == 553: // no such mailbox, if it is about a recipient;
		if f.Stage == StageRcpt { // but for servers, as Exim, that say everything with a plain 550
			return f.plain()
		}
		return Policy
	case f.Code == 554 || f.Code == 571 || f.Code == 521:
		return Policy
	}
	return OtherFailure
}

// phrases tell apart what servers without enhanced codes say to a recipient with 550. In lower case; the
// first that is found anywhere in the answer counts. It may be in an address that is repeated there, so only
// words that make an address count for less are here.
var phrases = [...]struct {
	text  string
	class Class
}{
	{"sender verify", Policy}, // Exim, whose other lines of that answer name the sender
	{"relay", Policy},         // relay not permitted, relaying denied
	{"prohibit", Policy},      // Administrative prohibition: Exim's word for deny without a message
	{"blocked", Policy},
	{"blocklist", Policy},
	{"blacklist", Policy},
	{"block list", Policy},
	{"spam", Policy},
	{"denied", Policy}, // access denied; Postfix has 5.7.1 with it
	{"reputation", Policy},
	{"policy", Policy},
	{"quota", Full},
	{"mailbox full", Full},
	{"mailbox is full", Full},
}

// plain decides by words, for a recipient that was refused with nothing but a code.
func (f *Failure) plain() Class {
	said := bytes.ToLower(f.Answer)
	for i := range phrases {
		if bytes.Contains(said, []byte(phrases[i].text)) {
			return phrases[i].class
		}
	}
	return NoSuchUser
}

var stages = [...]struct {
	text  string
	stage Stage
}{
	{"RCPT TO:", StageRcpt},
	{"MAIL FROM:", StageMail},
	{"end of data", StageData},
	{"DATA", StageData},
	{"sending data block", StageData},
	{"BDAT", StageData},
	{"initial connection", StageConnect},
	{"EHLO ", StageHelo},
	{"HELO ", StageHelo},
	{"LHLO ", StageHelo},
	{"AUTH", StageAuth},
}

// answer reads "SMTP error from remote mail server after [pipelined ]COMMAND: [host NAME [IP]: ]ANSWER", and
// the same of LMTP (smtp.c, lmtp.c). The command may hold an address, with any bytes in its quotes.
func answer(text []byte) (f Failure, ok bool) {
	b, ok := cutPrefix(text, "SMTP error from remote mail")
	if !ok {
		if b, ok = cutPrefix(text, "LMTP error"); !ok {
			return f, false
		}
		b, _ = cutPrefix(b, " from remote mail")
	}
	b, _ = cutPrefix(b, " server")
	b, _ = cutPrefix(b, "er") // "remote mailer", up to 4.80
	if b, ok = cutPrefix(b, " after "); !ok {
		return f, false
	}
	b, _ = cutPrefix(b, "pipelined ")
	f.Stage = StageOther
	for i := range stages {
		if rest, ok := cutPrefix(b, stages[i].text); ok {
			f.Stage, b = stages[i].stage, rest
			break
		}
	}
	if _, rest, ok := bracketed(b); ok {
		b = rest
	}
	i := bytes.Index(b, []byte(": "))
	if i < 0 {
		return f, true
	}
	b = b[i+2:]
	if rest, ok := cutPrefix(b, "host "); ok {
		if i := bytes.Index(rest, []byte("]: ")); i >= 0 {
			b = rest[i+3:]
		}
	}
	f.Answer = b
	f.codes(b)
	return f, true
}

// codes reads "550 5.1.1 " or "550-5.1.1 ", or the second alone.
func (f *Failure) codes(b []byte) {
	if len(b) >= 3 && b[0] >= '2' && b[0] <= '5' && isDigit(b[1]) && isDigit(b[2]) && (len(b) == 3 || b[3] == ' ' || b[3] == '-' || b[3] == '\\') {
		f.Code = int(b[0]-'0')*100 + two(b[1:])
		b = b[min(4, len(b)):]
	}
	b = bytes.TrimLeft(b, " ") // some servers say 550  5.1.1, or #5.1.1
	b, _ = cutPrefix(b, "#")
	var code [3]int
	for i := range code {
		n, rest, ok := number(b)
		if !ok || n > 999 || i < 2 && (len(rest) == 0 || rest[0] != '.') {
			return
		}
		if code[i] = int(n); i < 2 {
			rest = rest[1:]
		}
		b = rest
	}
	if code[0] == 2 || code[0] == 4 || code[0] == 5 {
		f.Enhanced = code
	}
}
