package engine

// Standing is how a key stands with a policy that has something for the desk: what its newest
// case says. Times are Unix milliseconds.
type Standing struct {
	Policy, Key string
	Case        int64  // its id
	Tier        string // the highest tier so far; where a block is in force, the highest that blocks
	Rank        int    // which one of the policy's the highest is, from 1
	Blocks      bool   // the tier blocks
	Since       int64  // when the case was opened
	Until       int64  // when the block (or, where there is none, the case) ends by itself; 0: never
	Released    int64  // when somebody released it; 0: nobody has
	Cleared     int64  // when somebody released this case or an earlier one; 0: never. What was counted before counts no more
	Probation   int64  // until when lower rates hold; 0: they do not
}

// Open says whether the case is open at now: nobody has released it, and it has not ended.
func (s Standing) Open(now int64) bool {
	return s.Case != 0 && s.Released == 0 && (s.Until == 0 || now < s.Until)
}

// InForce says whether a block is in force at now.
func (s Standing) InForce(now int64) bool { return s.Blocks && s.Open(now) }

// Matters says whether more than the key's next case depends on it: a block that is or was in force, a
// release or a probation.
func (s Standing) Matters() bool { return s.Blocks || s.Probation > 0 || s.Cleared > 0 }

// OpenCase opens a case for a key, or raises the one that is open to a higher tier. Where one is
// open with this tier or a higher one it does nothing: the standing's row decides, whoever
// comes first. The store takes the key's samples along as evidence, and makes a row for each notice.
type OpenCase struct {
	Policy, Key, Tier string
	Rank              int
	Blocks            bool
	At                int64  // when it happened
	Until             int64  // as Standing
	Who               string // for people: "auth bob@example.com"
	Owner             string // as Owner makes it; "" where the key names none
	Gateway           string
	Counted           int64
	Rate              string   // that was exceeded: "100/1h"
	Notify            []string // plan.Tier.Notify
	Window            int64    // the policy's longest window, ms: for so long a release matters to it; 0: 31 days
	Freeze            bool     // what of the owner's waits in the queues is to be frozen
	// ByHand says who opened it and why; "" where a tier did.
	By, Why string
}

// Samples is how many of a key's last offences are kept.
const Samples = 20

// PutSample keeps an offence, in place N of a key's ring of Samples.
type PutSample struct {
	Policy, Key string
	N           int64
	At          int64
	Gateway     string
	Message     string // id in Exim's log; "" where there is none
	Address     string // the recipient
	Line        string // of the log, or what was asked; at most SampleLine bytes
	Expires     int64
}

// SampleLine is the most bytes of a line that are kept.
const SampleLine = 1000

// PutHeld notes that a block froze a message. One that is known stays as it is, but for a size that
// nobody knew.
type PutHeld struct {
	Gateway, Message string
	Case             int64
	At               int64
	Size             int64
}

// Arrival is a message on its way, and whose it is. The traffic is as in plan.
type Arrival struct {
	Traffic string
	Auth    string // the authenticated id
	Login   string // of a local message
	Client  string // its address; "" for a local message
	Helo    string
	Sender  string
	Came    int64
}

// PutArrival keeps an arrival until Expires.
type PutArrival struct {
	Gateway, Message string
	Arrival          Arrival
	Expires          int64
}

// DropArrival forgets one: the message is completed.
type DropArrival struct{ Gateway, Message string }

// PutEvent notes that an event of the log was counted.
type PutEvent struct {
	Gateway, Message, Item string
	Kind                   string // plan.Bounce, ...
	Owner                  string
	At                     int64
	Expires                int64
}

// PutPlace notes how far a gateway has read a log: Place is the reader's own JSON.
type PutPlace struct {
	Gateway, Log, Place string
	At                  int64
}

// Owner is the name of who answers for a message: the authenticated id, else the local user,
// else the relay host, by its id or else its address; "" where there is none. No two kinds share a name.
func Owner(auth, user, relay string) string {
	switch {
	case auth != "":
		return "auth:" + auth
	case user != "":
		return "user:" + user
	case relay != "":
		return "relay:" + relay
	}
	return ""
}
