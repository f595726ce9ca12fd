package queue

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const id = "1xV8FM-0005L1-2S"

// head is a -H file with all that Exim writes.
const head = id + `-H
nobody 65534 65534
<a@local.test>
1795356528 0
-received_time_usec .760896
--helo_name pc.test
-host_address [2001:db8::1]:46663
-host_auth plain_server
-received_protocol esmtpa
-aclc _note 31
-frozen 17
--auth_id mallory
XX
--aclc _exipol_relay 11
customer 17
--aclc _exipol_hold 1
x
--aclm _exipol_relay 1
x
--aclm _exipol_hold 24
limit.stolen/block/block
--(mysql)aclm _other 0

-body_linecount 1
--auth_id bob@local.test
-deliver_firsttime
-frozen 1795356530
-manual_thaw
YN x@remote.test
NN y@remote.test
1
held@remote.test

187P Received: from [127.0.0.3]
-frozen 5
`

func TestParse(t *testing.T) {
	m, err := parse(id, strings.NewReader(head))
	if err != nil {
		t.Fatal(err)
	}
	if m.ID != id || m.Auth != "bob@local.test" || m.Client.String() != "2001:db8::1" || m.Helo != "pc.test" || m.Relay != "customer 17" || !m.Untried || m.Hold != "limit.stolen/block/block" ||
		!m.Thawed || !m.Frozen.Equal(time.Unix(1795356530, 0)) || !m.Received.Equal(time.Unix(1795356528, 0)) || m.Sender != "a@local.test" || m.Login != "" {
		t.Errorf("%+v", m)
	}
	local := strings.NewReplacer("-host_address [2001:db8::1]:46663\n", "", "-host_auth plain_server\n", "-ident bob\n").Replace(head)
	if m, err := parse(id, strings.NewReader(local)); err != nil || m.Login != "bob" || m.Auth != "" || m.Client.IsValid() {
		t.Errorf("local: %+v, %v", m, err)
	}
	old := strings.Replace(head, "[2001:db8::1]:46663", "192.0.2.1.46663", 1)
	if m, err := parse(id, strings.NewReader(old)); err != nil || m.Client.String() != "192.0.2.1" {
		t.Errorf("as the specification has it: %+v, %v", m, err)
	}
}

// A file that was cut off anywhere before its message is known says nothing, not half of it.
func TestCut(t *testing.T) {
	end := strings.Index(head, "YN x@remote.test\n") + len("YN x@remote.test\n")
	for n := range len(head) {
		m, err := parse(id, strings.NewReader(head[:n]))
		if whole := n >= end; whole != (err == nil) {
			t.Fatalf("cut to %d bytes (%q): %+v, %v", n, head[max(0, n-20):n], m, err)
		} else if !whole && !errors.Is(err, ErrCut) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
	for name, bad := range map[string]string{
		"another's":      strings.Replace(head, id+"-H", id+"-D", 1),
		"no sender":      strings.Replace(head, "<a@local.test>", "a@local.test", 1),
		"no time":        strings.Replace(head, "1795356528 0", "yesterday 0", 1),
		"a wrong length": strings.Replace(head, "_exipol_hold 24", "_exipol_hold 23", 1),
		"a negative one": strings.Replace(head, "_exipol_hold 24", "_exipol_hold -1", 1),
		"a huge one":     strings.Replace(head, "_exipol_hold 24", "_exipol_hold 999999999999999999999", 1),
		"no tree":        strings.Replace(head, "YN x@remote.test", "ZZ x@remote.test", 1),
		"zeros":          strings.Repeat("\x00", 4096),
		"empty":          "",
	} {
		if m, err := parse(id, strings.NewReader(bad)); !errors.Is(err, ErrCut) {
			t.Errorf("%s: %+v, %v", name, m, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(head)
	f.Fuzz(func(t *testing.T, s string) {
		m, err := parse(id, strings.NewReader(s))
		if err == nil && m.Received.IsZero() {
			t.Errorf("%+v", m)
		}
	})
}

func TestValid(t *testing.T) {
	for _, good := range []string{id, "1xV8FM-00000005L1B-02S0"} {
		if !ValidID(good) {
			t.Errorf("%q is an id", good)
		}
	}
	for _, bad := range []string{"", "1xV8FM-0005L1-2", "1xV8FM-0005L1-2S ", "1xV8FM-0005L1--S", "../../etc/passwd", "1xV8FM_0005L1-2S", "1xV8FM-0005L1-2S\n", "1xV8FM-0005L1/2S", "-xV8FM-0005L1-2S", "1xV8FM-00000005L1B-02S", strings.Repeat("-", 16)} {
		if ValidID(bad) {
			t.Errorf("%q is no id", bad)
		}
		if _, _, err := (Spool{Dir: "/"}).Find(bad); err == nil {
			t.Errorf("%q was looked for", bad)
		}
	}
}

// One file that cannot be read hides no other, and one that is gone before it is read is no fault.
func TestTrouble(t *testing.T) {
	spool := Spool{Dir: t.TempDir()}
	dir := filepath.Join(spool.Dir, "input")
	if n, errs := count(t, spool, nil); n != 0 || len(errs) != 0 {
		t.Errorf("an empty spool: %d, %v", n, errs)
	}
	if err := os.MkdirAll(filepath.Join(dir, "F"), 0o750); err != nil {
		t.Fatal(err)
	}
	ids := []string{"1xV8FM-0005L1-2S", "1xV8FM-0005L1-2T", "1xV8FF-0005L1-2U"}
	put := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	for _, i := range ids[:2] {
		put(i+"-H", strings.Replace(head, id, i, 1))
		put(i+"-D", i+"-D\nhello\n")
	}
	put("F/"+ids[2]+"-H", head[:200])
	put("hdr.123", head)
	put("1xV8FM-0005L1-2V-J", "x")
	n, errs := count(t, spool, nil)
	var broken *Broken
	if n != 2 || len(errs) != 1 || !errors.As(errs[0], &broken) || broken.ID != ids[2] {
		t.Errorf("%d messages, %v", n, errs)
	}
	if _, ok, err := spool.Find(ids[2]); ok || !errors.As(err, &broken) {
		t.Errorf("the broken one was found: %v, %v", ok, err)
	}
	// Every file but the one that is read first goes while it is read.
	n, errs = count(t, spool, func(m Message) {
		for _, i := range ids {
			if i != m.ID {
				_ = os.Remove(filepath.Join(dir, i+"-H"))
				_ = os.Remove(filepath.Join(dir, "F", i+"-H"))
			}
		}
	})
	if n != 1 || len(errs) > 1 {
		t.Errorf("%d messages, %v", n, errs)
	}
	if _, errs := count(t, Spool{Dir: filepath.Join(spool.Dir, "none")}, nil); len(errs) != 1 {
		t.Errorf("no spool: %v", errs)
	}
}

// count reads a spool, and calls then for the first message.
func count(t *testing.T, s Spool, then func(Message)) (n int, errs []error) {
	t.Helper()
	for m, err := range s.Messages(t.Context()) {
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if n++; n == 1 && then != nil {
			then(m)
		}
	}
	return n, errs
}
