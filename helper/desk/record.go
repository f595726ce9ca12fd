package desk

import (
	"time"

	"exipol/helper/store"
)

// FormatVersion is that of what is given to machines: of the records here, and of what stands round them in
// `exipold case --json` and in what a webhook gets.
const FormatVersion = "1.0"

// Record is a case for machines. Times are RFC 3339, in UTC; one that is left out means never.
type Record struct {
	ID        int64  `json:"id"`
	Policy    string `json:"policy"`
	Tier      string `json:"tier"` // the highest so far
	Who       string `json:"who"`
	Owner     string `json:"owner,omitempty"` // as auth:ID, user:LOGIN or relay:HOST
	Key       string `json:"key"`
	State     string `json:"state"` // open, released or ended
	Blocks    bool   `json:"blocks"`
	Opened    string `json:"opened"`
	Until     string `json:"until,omitempty"`   // when the block, or the case, ends by itself
	Decided   string `json:"decided,omitempty"` // when it was closed
	Gateway   string `json:"gateway"`           // that opened it
	Counted   int64  `json:"counted"`           // at the opening
	Rate      string `json:"rate,omitempty"`
	Held      int64  `json:"held"` // messages in all queues
	HeldSince string `json:"held_since,omitempty"`
	LastWord  string `json:"last_word"`
}

// File is a case with all that belongs to it, for machines.
type File struct {
	Record
	Evidence []Evidence  `json:"evidence"`
	Audit    []AuditLine `json:"audit"`
	Messages []Message   `json:"messages"` // that are held
	Notices  []Told      `json:"notices"`
}

// Evidence is an offence.
type Evidence struct {
	At        string `json:"at"`
	Gateway   string `json:"gateway"`
	Message   string `json:"message,omitempty"` // its id in Exim's log
	Recipient string `json:"recipient,omitempty"`
	Line      string `json:"line"`
}

// AuditLine says who did what.
type AuditLine struct {
	At      string `json:"at"`
	Gateway string `json:"gateway"`
	Who     string `json:"who"`
	Did     string `json:"did"`
	Why     string `json:"why,omitempty"`
}

// Message is one that is held.
type Message struct {
	Gateway string `json:"gateway"`
	Message string `json:"message"`
	Since   string `json:"since"`
	Size    int64  `json:"size"`             // bytes; 0: not known
	Wanted  string `json:"wanted,omitempty"` // thaw or remove
}

// Told is a notice, and what came of it.
type Told struct {
	Tier     string `json:"tier"`
	Receiver string `json:"receiver"`
	Made     string `json:"made"`
	Mailed   string `json:"mailed,omitempty"`
	Posted   string `json:"posted,omitempty"`
	Tries    int    `json:"tries"`          // that failed
	Next     string `json:"next,omitempty"` // when it is tried again
	Error    string `json:"error,omitempty"`
}

// NewRecord is a case as machines get it.
func NewRecord(c store.Case) Record {
	return Record{
		ID: c.ID, Policy: c.Policy, Tier: c.Tier, Who: c.Who, Owner: c.Owner, Key: c.Key, State: c.State, Blocks: c.Blocks,
		Opened: stamp(c.Opened), Until: stamp(c.Until), Decided: stamp(c.Decided), Gateway: c.Gateway, Counted: c.Counted, Rate: c.Rate,
		Held: c.Held, HeldSince: stamp(c.Oldest), LastWord: c.LastWord,
	}
}

// NewFile is a whole case as machines get it.
func NewFile(c store.CaseFile) File {
	f := File{Record: NewRecord(c.Case), Evidence: []Evidence{}, Audit: []AuditLine{}, Messages: []Message{}, Notices: []Told{}}
	for _, e := range c.Evidence {
		f.Evidence = append(f.Evidence, Evidence{stamp(e.At), e.Gateway, e.Message, e.Address, e.Line})
	}
	for _, a := range c.Audit {
		f.Audit = append(f.Audit, AuditLine{stamp(a.At), a.Gateway, a.Who, a.Did, a.Why})
	}
	for _, h := range c.Held {
		f.Messages = append(f.Messages, Message{h.Gateway, h.Message, stamp(h.Since), h.Size, h.Wanted})
	}
	for _, n := range c.Notices {
		f.Notices = append(f.Notices, Told{n.Tier, n.Receiver, stamp(n.Made), stamp(n.Mailed), stamp(n.Posted), n.Tries, stamp(n.Due), n.Error})
	}
	return f
}

func stamp(ms int64) string {
	if ms == 0 {
		return ""
	}
	return time.UnixMilli(ms).UTC().Format(time.RFC3339)
}
