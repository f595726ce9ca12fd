package endtoend

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"time"

	"exipol/internal/eximtest"
)

// TestOutboundWebhookHangs: a webhook that never answers keeps nobody's mail: that of the next case
// is not sent so much later.
func TestOutboundWebhookHangs(t *testing.T) {
	t.Parallel()
	gone := make(chan struct{})
	hook := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-gone }))
	defer hook.Close()
	defer close(gone)
	o := newOutbound(t, strings.Replace(soon("submission", "auth", 1), "mail = [site.admin]", fmt.Sprintf("mail = [site.admin]\n  webhook = %q", hook.URL), 1)).start()
	for i := range 4 {
		s := o.session(fmt.Sprintf("u%d", i), "192.0.2.1")
		o.invalid(s, "x@local.test", "a", 2)
		s.Close()
	}
	cmd := exec.Command(o.daemon.exe, "desk", "--plan", o.daemon.plan, "--gateway", o.gateway, "--exim", eximtest.Find(t), "--exim-config", o.Path("exim.conf"))
	o.ID.Become(cmd)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	n := 0
	for end := time.Now().Add(15 * time.Second); n < 4 && time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		n = len(o.Sink.To(deskAddress))
	}
	if n != 4 {
		t.Errorf("%d of 4 cases were told by mail; the others wait for the webhook", n)
	}
}
