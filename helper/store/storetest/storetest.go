// Package storetest is the suite that every kind of store passes: what package
// engine expects of its state, and what exipold expects beside it.
package storetest

import (
	"testing"
	"time"

	"exipol/helper/engine"
	"exipol/helper/store"
)

// Store is what the suite is about.
type Store = store.Store

// Window and Policy are what the suite counts by.
const (
	Policy = "limit.test"
	Window = time.Hour
)

// forever is a slot and a moment after any other.
const forever = 1 << 50

// Run runs the suite. open gives an empty store with all tables, closed again by
// the test's clean-up; a second call within a test gives another.
func Run(t *testing.T, open func(t *testing.T) Store) {
	for _, c := range []struct {
		name string
		test func(*testing.T, Store)
	}{
		{"Seen", testSeen},
		{"Count", testCount},
		{"Distinct", testDistinct},
		{"BatchIsVisible", testBatchIsVisible},
		{"FailureKeepsNothing", testFailureKeepsNothing},
		{"OneFailureAmongMany", testOneFailureAmongMany},
		{"ViewIsASnapshot", testSnapshot},
		{"ConcurrentIncrements", testConcurrentIncrements},
		{"Context", testContext},
		{"Runtime", testRuntime},
		{"Cleanup", testCleanup},
		{"CleanupBesideLoad", testCleanupBesideLoad},
		{"Stats", testStats},
		{"Contacts", testContacts},
		{"Learned", testLearned},
		{"Log", testLog},
		{"Batch", testBatch},
		{"BatchFails", testBatchFails},
		{"BatchAmongUpdates", testBatchAmongUpdates},
		{"BatchContext", testBatchContext},
		{"OpenCase", testOpenCase},
		{"Evidence", testEvidence},
		{"Raise", testRaise},
		{"OneCase", testOneCase},
		{"Release", testRelease},
		{"Remove", testRemove},
		{"Decisions", testDecisions},
		{"Held", testHeld},
		{"HeldLate", testHeldLate},
		{"HeldAgain", testHeldAgain},
		{"RaiseEnded", testRaiseEnded},
		{"ReleaseEnded", testReleaseEnded},
		{"ReleasedTwice", testReleasedTwice},
		{"ToldTwice", testToldTwice},
		{"TopSince", testTopSince},
		{"Standings", testStandings},
		{"Cases", testCases},
		{"EndedCases", testEndedCases},
		{"HostileBytes", testHostileBytes},
		{"Notices", testNotices},
		{"Digests", testDigests},
		{"Lease", testLease},
		{"Gateways", testGateways},
		{"Closed", testClosed},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open(t)) })
	}
}

// Do applies writes, or fails the test.
func Do(t testing.TB, s engine.Store, writes ...engine.Write) {
	t.Helper()
	if err := s.Update(t.Context(), func(engine.State) ([]engine.Write, error) { return writes, nil }); err != nil {
		t.Fatal(err)
	}
}

// Add is n more of a key.
func Add(key string, slot, n int64) engine.Write {
	return engine.AddCount{Policy: Policy, Key: key, Window: Window, Slot: slot, N: n, Expires: 1 << 50}
}

// Count is a counter's sum from a slot on, or a failed test.
func Count(t testing.TB, s engine.Store, key string, slot int64) (n int64) {
	t.Helper()
	if err := s.View(t.Context(), func(st engine.State) (err error) {
		n, err = st.Count(Policy, key, Window, slot, forever)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return n
}
