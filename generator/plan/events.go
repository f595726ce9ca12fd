package plan

// Where says where an event happens, and how it counts.
type Where struct {
	Stage, Half string
	// Offence: counted whatever comes out. Other events are counted only where the
	// mail is finally accepted, or the policy counts attempts.
	Offence bool
	// Log: not asked about, but read from the log; Stage and Half are empty.
	Log bool
	// NotSMTP: it can also be asked about where a message came without SMTP, of all recipients at once.
	NotSMTP bool
}

// Events are all events that a limit can count.
var Events = map[string]Where{
	Connection:        {Stage: Connect, Half: Before, Offence: true},
	HeloEvent:         {Stage: Helo, Half: Before, Offence: true},
	UnknownRecipient:  {Stage: Rcpt, Half: Before, Offence: true, NotSMTP: true},
	InvalidRecipient:  {Stage: Rcpt, Half: Before, Offence: true, NotSMTP: true},
	Recipient:         {Stage: Rcpt, Half: After, NotSMTP: true},
	Message:           {Stage: Data, Half: After, NotSMTP: true},
	Bounce:            {Offence: true, Log: true},
	AuthFailure:       {Offence: true, Log: true},
	Login:             {Offence: true, Log: true},
	RejectedRecipient: {Offence: true, Log: true},
}
