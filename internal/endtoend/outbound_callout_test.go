package endtoend

import (
	"strings"
	"testing"
	"time"

	"exipol/internal/eximtest"
)

// TestOutboundCalloutTarpit: a remote host that takes its time over every answer holds the client no longer
// than four answers may take. (Exim's callout=4s is for each answer, and maxwait is looked at only between hosts.)
func TestOutboundCalloutTarpit(t *testing.T) {
	t.Parallel()
	o := newOutbound(t, strings.ReplaceAll(soon("submission", "auth", 3), `callout = "2s"`, `callout = "4s"`)).start()
	o.Sink.SetRule(func(c eximtest.Command) eximtest.Answer {
		if c.Stage != "data" {
			time.Sleep(3500 * time.Millisecond)
		}
		return ""
	})
	bob := o.session("bob", "192.0.2.1")
	bob.Expect(250, "MAIL FROM:<bob@local.test>")
	begin := time.Now()
	bob.Expect(250, "RCPT TO:<fine@far.test>")
	if took := time.Since(begin); took > 18*time.Second {
		t.Errorf("RCPT took %s with a callout of 4s for each answer", took.Round(100*time.Millisecond))
	}
	bob.Close()
}
