package endtoend

import (
	"bufio"
	"fmt"
	"os"
	"testing"
	"time"
)

// writeBounces writes a log of the last hour in which n messages of one login bounced.
func (o *outbound) writeBounces(login string, n int) {
	o.t.Helper()
	path := o.WriteFile("log/mainlog", "")
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		o.t.Fatal(err)
	}
	w := bufio.NewWriter(f)
	start := time.Now().UTC().Add(-50 * time.Minute)
	for i := range n {
		at := start.Add(time.Duration(i) * 40 * time.Minute / time.Duration(n)).Format("2006-01-02 15:04:05")
		id := fmt.Sprintf("1xVaaa-%06d-%02d", i, i%90)
		fmt.Fprintf(w, "%[1]s %[2]s <= x@local.test H=(c) [192.0.2.1] P=esmtpa A=plain_server:%[3]s S=1\n"+
			"%[1]s %[2]s ** nosuch@far.test F=<x@local.test> R=out_far T=out_smtp H=127.0.0.1 [127.0.0.1]: "+
			"SMTP error from remote mail server after RCPT TO:<nosuch@far.test>: 550 5.1.1 no such user here\n"+
			"%[1]s %[2]s Completed\n", at, id, login)
	}
	if err := w.Flush(); err != nil {
		o.t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		o.t.Fatal(err)
	}
}

// TestOutboundCatchUp: while exipold serve catches up with a long log, which takes minutes after an outage
// in which much bounced, the desk can look and decide all the same.
func TestOutboundCatchUp(t *testing.T) {
	t.Parallel()
	o := newOutbound(t, bouncy)
	o.writeBounces("erin", 100000)
	o.start()
	for i := range 12 {
		for _, args := range [][]string{{"case", "list"}, {"case", "open", "limit.bounce_hold", fmt.Sprintf("auth=x%d", i), "--reason", "a test"}} {
			if _, err := o.tryExipold(append(args, "--plan", o.daemon.plan)...); err != nil {
				t.Error(err)
			}
		}
	}
}
