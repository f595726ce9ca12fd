package helper

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"exipol/generator/plan"
	"exipol/generator/wire"
	"exipol/helper/server"
	"exipol/helper/store"
)

// controlPrefix begins a question that an administrator's command asks.
const controlPrefix = "exipold "

// StatusQuestion is what `exipold status` asks on the socket; the answer is a
// Status in JSON.
const StatusQuestion = controlPrefix + "status\n"

// RefreshQuestion is what commands ask on the socket that have just said something at run time, or decided about
// a case: it is in force here when the answer, Refreshed, comes. Any other answer says why it is not.
const (
	RefreshQuestion = controlPrefix + "refresh\n"
	Refreshed       = "refreshed"
)

// counters count since the start.
type counters struct {
	questions   atomic.Int64
	malformed   atomic.Int64
	unknownPlan atomic.Int64
	repeats     atomic.Int64
	failures    atomic.Int64
	oldVerbs    atomic.Int64
	badPlans    atomic.Int64
	lastKnown   atomic.Int64
	verdicts    [8]atomic.Int64
}

// verdictNames are the verdicts in the order of counters.verdicts.
var verdictNames = []string{plan.Accept, plan.Defer, plan.Deny, plan.Drop, plan.Freeze, plan.Discard, wire.Failed, wire.Away}

func (c *counters) verdict(v string) {
	for i, name := range verdictNames {
		if v == name {
			c.verdicts[i].Add(1)
			return
		}
	}
}

// Status is what a running helper says of itself.
type Status struct {
	FormatVersion string           `json:"format_version"`
	Started       time.Time        `json:"started"`
	User          int              `json:"user"`   // the number of the user that it runs as
	Groups        []int            `json:"groups"` // and of the groups that this gives it
	Plans         []string         `json:"plans"`  // newest first
	Questions     int64            `json:"questions"`
	Verdicts      map[string]int64 `json:"verdicts"`
	OldVerbs      int64            `json:"old_verbs"`
	Repeated      int64            `json:"repeated"`
	Malformed     int64            `json:"malformed"`
	UnknownPlan   int64            `json:"unknown_plan"` // questions by a plan that is not held
	Failures      int64            `json:"failures"`     // of the store, and where it was not asked in time
	RefusedPlans  int64            `json:"refused_plans"`
	Trouble       string           `json:"trouble,omitempty"` // the store's last error, while it fails
	Sleepers      map[string]int   `json:"sleepers"`

	Gateway   string        `json:"gateway"`
	Store     store.Health  `json:"store"`
	LastKnown int64         `json:"last_known"`           // questions whose answer was a block as it was known last, the store being away
	KnownAsOf time.Time     `json:"known_as_of,omitzero"` // as of when what is in force was known, where the store has been away since the start
	Cleanup   CleanupStatus `json:"cleanup"`

	Facts     map[string]map[string]int64 `json:"facts"` // what was found out: by fact, by finding, how often
	DNS       *DNSStatus                  `json:"dns,omitempty"`
	Pools     []PoolStatus                `json:"pools,omitempty"`
	PoolsFile string                      `json:"pools_file,omitempty"` // what is wrong with the pinned file
}

// CleanupStatus says what this process did to clean the store up; one at a time of all that share it does.
type CleanupStatus struct {
	Now     bool  `json:"now"` // it is at it
	Rounds  int64 `json:"rounds"`
	Removed int64 `json:"removed"` // rows
}

// DNSStatus counts what was looked up for the newest plan since it was first taken.
type DNSStatus struct {
	Asked  uint64 `json:"asked"`
	Known  uint64 `json:"known"`  // answered from memory
	Failed uint64 `json:"failed"` // no answer, or none that says anything

	Refused uint64 `json:"refused"` // not made: too many at once
}

// Status is how things stand.
func (h *Helper) Status() Status {
	s := Status{
		FormatVersion: "1.0",
		Started:       h.started.UTC().Truncate(time.Second),
		User:          os.Geteuid(),
		Groups:        []int{os.Getegid()},
		Plans:         h.plans.Load().ids(),
		Questions:     h.counters.questions.Load(),
		Verdicts:      map[string]int64{},
		OldVerbs:      h.counters.oldVerbs.Load(),
		Repeated:      h.counters.repeats.Load(),
		Malformed:     h.counters.malformed.Load(),
		UnknownPlan:   h.counters.unknownPlan.Load(),
		Failures:      h.counters.failures.Load(),
		RefusedPlans:  h.counters.badPlans.Load(),
		Trouble:       h.trouble.text(),
		Sleepers:      h.sleepers.all(h.o.Clock()),
		Facts:         h.found.all(),
		Gateway:       h.o.Gateway,
		Store:         h.o.Store.Health(),
		LastKnown:     h.counters.lastKnown.Load(),
		KnownAsOf:     h.known.copied(),
		Cleanup:       CleanupStatus{Now: h.cleaner.holds.Load(), Rounds: h.cleaner.rounds.Load(), Removed: h.cleaner.removed.Load()},
	}
	s.Pools, s.PoolsFile = h.poolStatus()
	if out := h.plans.Load().newest().outside; out != nil {
		n := out.Stats()
		s.DNS = &DNSStatus{Asked: n.Asked, Known: n.Known, Failed: n.Failed, Refused: n.Refused}
	}
	if others, err := os.Getgroups(); err == nil {
		s.Groups = append(s.Groups, others...)
	}
	for i, name := range verdictNames {
		if n := h.counters.verdicts[i].Load(); n > 0 {
			s.Verdicts[name] = n
		}
	}
	return s
}

// control answers an administrator's command.
func (h *Helper) control(line []byte) ([]byte, server.Later) {
	switch strings.TrimSpace(string(line)) {
	case strings.TrimSpace(StatusQuestion):
		b, err := json.Marshal(h.Status())
		if err != nil {
			return []byte("error: " + err.Error()), nil
		}
		return b, nil
	case strings.TrimSpace(RefreshQuestion):
		return nil, func(ctx context.Context) []byte {
			if err := h.read(ctx, false); err != nil {
				return []byte("error: " + err.Error())
			}
			return []byte(Refreshed)
		}
	}
	return []byte("error: unknown command"), nil
}
