package endtoend

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
)

// TestOutboundLogIsNoFile: a main log that cannot be followed, as it is a FIFO, is not called well: nothing is counted.
func TestOutboundLogIsNoFile(t *testing.T) {
	t.Parallel()
	o := newOutbound(t, bouncy, func(o *outbound, with *Options) {
		with.Helper = fmt.Sprintf("mainlog = [%q]\n", o.Path("run/log"))
	})
	if err := syscall.Mkfifo(o.Path("run/log"), 0o644); err != nil {
		t.Fatal(err)
	}
	o.start()
	out, err := o.tryExipold("doctor", "--plan", o.daemon.plan)
	if err != nil { // it has much to say of a bed; what it said is in the error
		out = err.Error()
	}
	for line := range strings.Lines(out) {
		if level, text, _ := strings.Cut(strings.TrimSpace(line), " "); level == "ok" && strings.Contains(text, " mainlog: ") {
			t.Errorf("doctor says %s", line)
		}
	}
	if out := o.exipold("status", "--plan", o.daemon.plan); !strings.Contains(out, o.Path("run/log")) {
		t.Errorf("status does not say that the log is not followed:\n%s", out)
	}
}
