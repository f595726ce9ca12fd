package emit

import "exipol/generator/exim"

// What the templates see. Every string in it is exim.Text, so that nothing reaches
// the generated text unquoted; a test walks these types and refuses a plain string.

type aclView struct {
	Asks          bool // some half asks the helper
	Socket        exim.Text
	First, Second exim.Text // the two calls' timeouts
	AnswerRegex   exim.Text
	AwaySeconds   int
	Blocked       exim.Text // the file of blocks in force; "" where nothing is found there
	RelayID       exim.Text // the site's own expansion; "" where no question needs it
	Stages        []stageView
	Delivery      *deliveryView
}

type stageView struct {
	Name          exim.Text
	Option        exim.Text // that names the ACL
	NotSMTP       *notSMTPView
	RelayID       bool      // this stage needs to know who a relay host is
	Owner         exim.Text // expands to whose the message is; "" where nobody needs it
	Submission    *submissionView
	Traffic       exim.Text // expands to who is talking
	SiteACL       exim.Text
	Before, After *halfView
	BeforeRates   *ratesView
	AfterRates    *ratesView
	KeepRecipient exim.Text // expands to the recipient, where a later stage asks with it
	MostKept      int       // so many bytes of them
	Own           *ownView  // nil where it does not matter whether a recipient is the site's own
	Dkim          bool      // the stage keeps the domains whose signatures verified, and no more
	MostDkim      int       // so many bytes of them, or a little more
	LongestName   int       // of a domain
}

// submissionView is whose mail Exim mends as in its submission mode.
type submissionView struct {
	Traffics exim.Text // a list with colons
	Control  exim.Text
}

// notSMTPView is what is different where a message comes without SMTP.
type notSMTPView struct {
	Listed exim.Text // expands to the recipients, as a list; "" where nobody needs them
	Routes bool      // before the site's own ACL, some of them are verified
	Own    *ownView  // nil where it does not matter whether a recipient is the site's own
}

// deliveryView is what is asked where a delivery has failed for good.
type deliveryView struct {
	For      exim.Text
	Traffic  exim.Text // expands to whose it was
	Traffics exim.Text // a list with colons: whose failures count
	Question exim.Text
}

// ownView is who must know of recipients that they are the site's own.
type ownView struct {
	For      exim.Text // for the comment
	Traffics exim.Text // a list with colons
	Domains  exim.Text
	Mark     exim.Text
}

type halfView struct {
	Stage, Half  exim.Text
	Concerns     []concernView
	Predata      bool // this half notes that it was run
	Waives       bool
	WaiveSeconds int
	Question     exim.Text
	Observes     exim.Text // whose observing is logged, for the comment; "" for nobody's
	Why          exim.Text // expands to why, for the log
	Delays       exim.Text // whose delays, likewise
	Freezes      exim.Text // whose freezing, likewise
	Holds        exim.Text // whose blocks freeze, likewise
	Held         bool      // it is asked here whether a message is held
	Recipients   exim.Text // expands to what the question names, at not_smtp
	Callouts     bool      // some concern tells a remote host's refusal from routing's
	LastKnown    []lastKnownView
	MaxDelay     int64
	LogFields    exim.Text
	Headers      []headersView
	Verdicts     []verdictView
	Failures     []failureView
}

// remembers says whether blocks are looked up while exipold is away.
func (v *halfView) remembers() bool { return v != nil && len(v.LastKnown) > 0 }

// concernView is one reason to ask.
type concernView struct {
	For       exim.Text // whom: for the comment
	Traffic   exim.Text
	Condition exim.Text
	Domains   exim.Text
	Verify    exim.Text // only where this says no
	Callout   bool      // which asks the remote host, too
	Event     exim.Text
	Also      bool // besides an event that was found before
}

// lastKnownView is where a block is found that was in force when exipold last said so.
type lastKnownView struct {
	For     exim.Text
	Traffic exim.Text
	Except  exim.Text // clients that are exempt
	Key     exim.Text // expands to the key
	Regex   exim.Text // of an answer
}

type headersView struct {
	For     exim.Text
	Pattern exim.Text // of the tier's name
	Lines   []headerView
}

type headerView struct{ Name, Value exim.Text }

type verdictView struct {
	For     exim.Text
	Verb    exim.Text // padded to Exim's habit of aligned conditions
	Verdict exim.Text
	Pattern exim.Text
	Message exim.Text
	Log     exim.Text
}

type failureView struct {
	For       exim.Text
	Traffic   exim.Text
	Condition exim.Text
	Reachable bool      // never for postmaster and abuse
	Except    exim.Text // clients that are exempt
	Message   exim.Text
	Log       exim.Text
}

type ratesView struct {
	Stage, Half exim.Text
	Rates       []rateView
}

type rateView struct {
	For     exim.Text
	Verb    exim.Text
	Traffic exim.Text
	Except  exim.Text
	Only    exim.Text
	Unknown bool
	Domains exim.Text
	Rate    exim.Text
	Options exim.Text
	Key     exim.Text
	Delay   exim.Text
	Headers []headerView
	Freeze  bool
	Message exim.Text
	Refuses bool
	Log     exim.Text
}

type mainView struct {
	Debian    bool
	Macros    []macroView
	Directory exim.Text
	Options   []optionView
}

type macroView struct{ Macro, Stage exim.Text }

// optionView sets an option; Have names the macro of the Exims that have it, "" for all.
type optionView struct{ Name, Value, Have exim.Text }
