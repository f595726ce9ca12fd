package engine

import (
	"slices"
	"strings"
	"time"

	"exipol/generator/plan"
	"exipol/generator/wire"
	"exipol/helper/normalize"
)

// hearing is a question on its way past the policies: all that they may look at, and
// what they want to know besides. No policy changes what another one sees.
type hearing struct {
	q    wire.Question
	now  time.Time
	at   time.Time // when it happened: now, but for what was read from a log
	st   State
	live Live

	happened *Happening // what was read from a log; nil for a question
	away     *absent    // st, where the store cannot be asked: see Engine.Away; else nil

	looked bool   // inPool is known
	inPool string // see pool

	needs []plan.Fact
	hits  []Hit
}

// ask wants a fact to be found out.
func (h *hearing) ask(f plan.Fact) {
	if !slices.Contains(h.needs, f) {
		h.needs = append(h.needs, f)
	}
}

// hit notes what matched. The first is a list's own slice, without room behind it,
// so that the usual case of one costs nothing.
func (h *hearing) hit(hits []Hit) {
	if len(h.hits) == 0 {
		h.hits = hits
		return
	}
	for _, hit := range hits {
		if !slices.Contains(h.hits, hit) {
			h.hits = append(h.hits, hit)
		}
	}
}

// pool is the named pool that the client belongs to, "" for none.
func (h *hearing) pool() string {
	if !h.looked {
		h.looked = true
		if h.live.Pool != nil && h.q.Client.IsValid() {
			h.inPool = h.live.Pool(h.q.Client)
		}
	}
	return h.inPool
}

// spf is what SPF says, "" where nobody has asked yet.
func (h *hearing) spf() string {
	if h.live.Facts == nil {
		return ""
	}
	return h.live.Facts.SPF
}

// spfFails: fail or softfail. A record that nobody can read says neither.
func (h *hearing) spfFails() Finding {
	switch h.spf() {
	case "":
		return Unasked
	case "temperror":
		return Unclear
	case "fail", "softfail":
		return Yes
	}
	return No
}

// spfPasses: and by a record that does not let everybody pass.
func (h *hearing) spfPasses() Finding {
	switch h.spf() {
	case "":
		return Unasked
	case "temperror":
		return Unclear
	case "pass":
		if !h.live.Facts.SPFOpen {
			return Yes
		}
	}
	return No
}

// spfName is the name that a domain's own hosts have where a key says client.pool.
func spfName(domain string) string {
	if domain = normalize.Domain(domain); domain != "" {
		return bySPF + domain
	}
	return ""
}

const bySPF = "spf:"

func isSPFName(name string) bool { return strings.HasPrefix(name, bySPF) }

// names are the names of a client where a key says client.pool. The first is known
// at once: the named pool, else the net. The second is the domain whose SPF record
// names the client, "" where there is none; unsure says that SPF was not asked yet, and
// may give one.
type names struct {
	first, second string
	unsure        bool
}

// names are the client's, none where nobody wants to know them.
func (h *hearing) names(wanted bool) names {
	if !wanted {
		return names{}
	}
	out := names{first: h.surely()}
	if h.pool() != "" {
		return out
	}
	switch h.spfPasses() {
	case Unasked:
		out.unsure = true
	case Yes:
		out.second = spfName(h.live.Facts.SPFDomain)
	}
	return out
}

// The net of a client that no pool has: as client.net in the policies.
const netV4, netV6 = 24, 64

// surely is the name of the client that needs no asking: the named pool, else the net.
// It is the only one that limits count by. Whoever has many domains could choose among
// as many names by SPF, and would have a rate for each.
func (h *hearing) surely() string {
	if pool := h.pool(); pool != "" {
		return "pool:" + pool
	}
	return normalize.Client(h.q.Client, netV4, netV6)
}

// presumed is the second name that the client has if SPF passes.
func (h *hearing) presumed() string {
	if h.q.Sender == "" {
		return spfName(h.q.Helo)
	}
	_, domain := splitAddress(h.q.Sender)
	return spfName(domain)
}

// recipients is how many recipients a question is about.
func (h *hearing) recipients() int { return 1 + len(h.q.Others) }

func (h *hearing) recipient(i int) string {
	if i == 0 {
		return h.q.Recipient
	}
	return h.q.Others[i-1]
}
