package plan

import "strings"

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
