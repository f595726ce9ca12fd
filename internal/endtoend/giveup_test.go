package endtoend

import (
	"fmt"
	"testing"
	"time"
)

// TestGiveUp: a big provider that retries from another network each time is let in
// when its mail has waited for give_up in all; a sender that nobody saw before is not.
func TestGiveUp(t *testing.T) {
	t.Parallel()
	s := Start(t, `
greylist "inbound" {
  give_up = "4h"
}
`, Options{})
	const to = "alice@local.test"
	for i := range 8 { // every half hour, from eight networks
		want(t, fmt.Sprintf("try %d", i+1), rcpt(s, fmt.Sprintf("192.0.%d.1", i), sender, to), 451)
		s.Clock.Advance(30 * time.Minute)
	}
	want(t, "after four hours", rcpt(s, "198.51.100.1", sender, to), 250)
	want(t, "again, from there", rcpt(s, "198.51.100.2", sender, to), 250)
	want(t, "another sender, from there", rcpt(s, "198.51.100.1", "b@remote.test", to), 451)
	want(t, "another recipient, from there", rcpt(s, "198.51.100.1", sender, "bob@local.test"), 451)
	s.Clock.Advance(48 * time.Hour)
	want(t, "days later it begins anew", rcpt(s, "203.0.113.1", sender, to), 451)
	s.CheckLogs()
}
