package plan

// Limit counts events per key in sliding windows, and acts over its tiers' rates. A question whose
// key has an empty auth, user, owner or login is none of its business.
type Limit struct {
	Name      string          `json:"name"`
	Traffic   string          `json:"traffic"` // "" (of events from the log): submission, relay and local
	Events    []WeightedEvent `json:"events"`  // sorted by event
	Key       []Part          `json:"key"`
	Classes   []string        `json:"classes,omitempty"`  // of bounces; none: every class
	Callout   Duration        `json:"callout,omitempty"`  // of invalid_recipient: how long the remote host may take; 0: routing only
	Distinct  *Part           `json:"distinct,omitempty"` // count distinct values of this instead of events
	Share     *Share          `json:"share,omitempty"`    // compare with how many there were of this; rates are percentages
	Attempts  bool            `json:"attempts,omitempty"` // count what is refused, too
	Only      []Ref           `json:"only,omitempty"`
	Except    []Ref           `json:"except,omitempty"`
	Engine    string          `json:"engine"`
	Mode      string          `json:"mode"`
	OnFailure string          `json:"on_failure"`
	Tiers     []Tier          `json:"tiers"` // in the order of the file
	Overrides []Override      `json:"overrides,omitempty"`
	Windows   []Duration      `json:"windows"` // every Per of a tier or an override, each once, ascending
	Origin    Origin          `json:"origin"`
}

// Ref is the policy's full name, as in answers and logs: "limit.tarpit".
func (l Limit) Ref() string { return "limit." + l.Name }

// Share makes a limit count what part its events are of others, for the same key. Below Floor
// of those others in a window it says nothing.
type Share struct {
	Event string `json:"event"` // Recipient or Message
	Floor int64  `json:"floor"`
}

// WeightedEvent is one event that a limit counts, and for how much.
type WeightedEvent struct {
	Event  string `json:"event"`
	Weight int64  `json:"weight"`
}

// Tier is one rung of a limit: over any of these rates, do all of that.
type Tier struct {
	Name      string   `json:"name"`
	Over      []Rate   `json:"over"`
	Verdict   string   `json:"verdict"` // accept where the tier only delays or adds headers
	Message   string   `json:"message,omitempty"`
	Delay     *Delay   `json:"delay,omitempty"`
	AddHeader []Header `json:"add_header,omitempty"` // sorted by name
	Notify    []string `json:"notify,omitempty"`     // refs of notices, or NotifyOwner; sorted. Such a tier opens a case
	Block     *Block   `json:"block,omitempty"`      // so does such a one; Verdict is then Accept
	Origin    Origin   `json:"origin"`
}

// Desk says whether the tier opens a case.
func (t Tier) Desk() bool { return t.Block != nil || len(t.Notify) > 0 }

// Block is a state that a tier puts a key into, with a verdict of its own.
type Block struct {
	At        string     `json:"at"`                   // the stage that it is in force at: Connect, Auth, Mail or Rcpt (then at NotSMTP, too)
	Traffics  []string   `json:"traffics"`             // whose commands it is looked up for, in TrafficOrder
	Until     Duration   `json:"until,omitempty"`      // 0: until somebody releases it
	Verdict   string     `json:"verdict"`              // Freeze, Defer or Deny
	Message   string     `json:"message,omitempty"`    // of Defer and Deny
	AddHeader []Header   `json:"add_header,omitempty"` // sorted by name
	Queued    string     `json:"queued,omitempty"`     // Freeze: what of the owner's already waits in the queue is frozen, too
	Most      int64      `json:"most,omitempty"`       // of Freeze: with so many messages held, further ones are deferred; 0: any number
	Free      int64      `json:"free,omitempty"`       // likewise, with less than so many percent of the spool's disk free
	Probation *Probation `json:"probation,omitempty"`
}

// Probation is the time after a release in which lower rates hold.
type Probation struct {
	Lasts Duration `json:"lasts"`
	Share int64    `json:"share"` // percent of the tiers' rates
}

// BlockRef is the name of a tier's block in answers and headers: "limit.x/tier/block". A block
// that defers instead of freezing, because the spool is full, answers with GuardRef.
func BlockRef(limit, tier string) string { return limit + "/" + tier + "/block" }

// GuardRef is "limit.x/tier/guard".
func GuardRef(limit, tier string) string { return limit + "/" + tier + "/guard" }

// Delay slows a client down: Fixed, or Each times all that were counted; at most
// Max, and for at most Sleepers connections of this gateway at a time (0: no such
// limit; with that many asleep, the next one is not delayed).
type Delay struct {
	Each     Duration `json:"each,omitempty"`
	Fixed    Duration `json:"fixed,omitempty"`
	Max      Duration `json:"max"`
	Sleepers int      `json:"sleepers,omitempty"`
}

// Header is a header line to add: literal text, and fields of the question between.
type Header struct {
	Name  string  `json:"name"`
	Value []Piece `json:"value"`
}

// Piece is a part of a header's value: exactly one of the two is set.
type Piece struct {
	Text  string `json:"text,omitempty"`
	Field string `json:"field,omitempty"` // auth, user, owner, client, sender, helo
}

// Override gives other rates to some. The first override that applies decides
// (in the order of the file); a tier that it does not name keeps its own rates.
type Override struct {
	Name   string         `json:"name"`
	Only   []Ref          `json:"only"`
	Over   []OverrideTier `json:"over"` // in the order of the tiers
	Origin Origin         `json:"origin"`
}

// OverrideTier is a tier's name and its other rates.
type OverrideTier struct {
	Tier string `json:"tier"`
	Over []Rate `json:"over"`
}
