package plan

// Where says where an event happens, and how it counts.
type Where struct {
	Stage, Half string
	// Offence: counted whatever comes out. Other events are counted only where the
	// mail is finally accepted, or the policy counts attempts.
	Offence bool
}

// Events are all events that a limit can count.
var Events = map[string]Where{
	Connection:       {Connect, Before, true},
	HeloEvent:        {Helo, Before, true},
	UnknownRecipient: {Rcpt, Before, true},
	Recipient:        {Rcpt, After, false},
	Message:          {Data, After, false},
}
