package engine

import "exipol/generator/plan"

// Facts is what was found out about a question's client and sender, beyond what the
// question itself says. The engine only reads it.
type Facts struct {
	SPF string // what SPF says of the envelope sender, else of the HELO name (RFC 7208, 2.6); "" where nobody asked
	// SPFDomain is the domain that SPF said it of. SPFOpen says that its record would let
	// half the world pass (+all, say), so that a pass tells nothing.
	SPFDomain string
	SPFOpen   bool
	Found     map[plan.Fact]Finding // all others
}

// Finding is what is known of a fact.
type Finding int8

// Findings. Unclear: nothing was said in time, or nothing that can be believed.
const (
	Unasked Finding = iota
	Unclear
	No
	Yes
)

// Hit is an entry of a list, or what was said at run time, that matched a question.
type Hit struct {
	List    string // its full name ("list.friends"), or "allow"
	Field   string
	Pattern string // as in plan.Entry; "" for what the list learned
}
