package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"exipol/helper/engine"
	"exipol/helper/store"
	"exipol/internal/eximtest"
)

// messageID is the id of a message that comes in at some time (Exim specification, "Message identification").
func messageID(came time.Time, n int) string {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	id := make([]byte, 6)
	for i, seconds := 5, came.Unix(); i >= 0; i, seconds = i-1, seconds/62 {
		id[i] = digits[seconds%62]
	}
	return fmt.Sprintf("%s-%06d-AB", id, n)
}

func TestStatusOfTheDesk(t *testing.T) { onEachStore(t, testStatusOfTheDesk) }

func testStatusOfTheDesk(t *testing.T, put putStore) {
	t.Parallel()
	s := newImportSite(t, put)
	out, _ := s.do(0, "status", "--gateway", "mx1")
	if !strings.Contains(strings.Join(strings.Fields(out), " "), "cases 0 open, 0 of them block") || strings.Contains(out, "messages in") {
		t.Errorf("nothing yet:\n%s", out)
	}

	now := time.Now()
	log := s.file("mainlog", strings.Repeat("x", 1000))
	info, err := os.Stat(log)
	if err != nil {
		t.Fatal(err)
	}
	dev, ino := inode(info)
	place := fmt.Sprintf(`{"position":{"marks":[{"name":"mainlog","dev":%d,"ino":%d,"offset":900}]},"last":"2026-11-22T10:00:00Z"}`, dev, ino)
	day := 24 * time.Hour
	s.with(func(st store.Store) error {
		return st.Batch(t.Context(), func(tx engine.Transaction) error {
			return tx.Apply([]engine.Write{
				engine.OpenCase{Policy: "limit.stolen", Key: "bob", Tier: "block", Rank: 1, Blocks: true, At: now.Add(-6 * day).UnixMilli(), Who: "auth bob\x1b[2J", Owner: "auth:bob", Gateway: "mx1", Notify: []string{"notice.desk", "owner"}},
				engine.OpenCase{Policy: "limit.stolen", Key: "eve", Tier: "block", Rank: 1, Blocks: true, At: now.UnixMilli(), Who: "auth eve", Owner: "auth:eve", Gateway: "mx2"},
				engine.PutHeld{Gateway: "mx1", Message: messageID(now.Add(-5*day-time.Hour), 1), Case: 1, At: now.Add(-5 * day).UnixMilli(), Size: 3000},
				engine.PutHeld{Gateway: "mx2", Message: messageID(now.Add(-time.Hour), 2), Case: 1, At: now.UnixMilli(), Size: 1},
				// What waits is frozen later than it came in; and an id that says nothing.
				engine.PutHeld{Gateway: "mx2", Message: messageID(now.Add(-6*day-13*time.Hour), 3), Case: 2, At: now.UnixMilli(), Size: 1},
				engine.PutHeld{Gateway: "mx2", Message: "unknown", Case: 2, At: now.UnixMilli(), Size: 1},
				engine.PutPlace{Gateway: "mx1", Log: log, Place: place, At: now.UnixMilli()},
				engine.PutPlace{Gateway: "mx2", Log: log, Place: "?", At: now.UnixMilli()},
			})
		})
	})
	s.with(func(st store.Store) error {
		all, err := st.ClaimNotices(t.Context(), "mx1", now.UnixMilli(), now.Add(time.Minute).UnixMilli(), 10)
		if err != nil || len(all) != 2 {
			return fmt.Errorf("%v: %v", all, err)
		}
		n := all[0]
		n.Due, n.Error = 0, "given up: no such\x1bhost"
		return st.SettleNotice(t.Context(), n)
	})
	config := s.file("exim.conf", "keep_environment =\ntimeout_frozen_after = 7d\n")
	exim := eximtest.Find(t)
	out, _ = s.do(0, "status", "--gateway", "mx1", "--exim", exim, "--exim-config", config)
	for _, want := range []string{
		"cases  2 open, 2 of them block\n",
		"4 messages in 2 cases; Exim cancels each 7d after it came in, with a bounce to its sender (timeout_frozen_after)\n",
		`case 1  "auth bob\x1b[2J": 2 messages, 3 KiB, on mx1, mx2, the oldest of `, ", 1 day left\n",
		"case 2  auth eve: 2 messages, 1 KiB, on mx2, the oldest of ", ", less than a day left\n",
		"notices  1 waiting\n", `given up: case 1, block, to `, `no such\x1bhost`,
		"mx1 " + log + ": read to byte 900, at ", ", the newest line of 2026-11-22T10:00:00Z, 100 bytes behind\n",
		"mx2 " + log + ": read to byte 0, at ",
	} {
		if !strings.Contains(strings.Join(strings.Fields(out), " "), strings.Join(strings.Fields(want), " ")) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if strings.Index(out, "case 2") > strings.Index(out, "case 1") || strings.Contains(out, "\x1b") {
		t.Errorf("the most urgent first:\n%s", out)
	}

	out, _ = s.do(0, "status", "--json", "--exim", exim, "--exim-config", config)
	var st status
	if err := json.Unmarshal([]byte(out), &st); err != nil {
		t.Fatal(err)
	}
	h := st.Desk.Held[0]
	came, _ := time.Parse(time.RFC3339, h.Oldest)
	cancelled, _ := time.Parse(time.RFC3339, h.Cancelled)
	if h.Case != 2 || h.State != store.CaseOpen || cancelled.Sub(came) != 7*day || now.Add(-6*day-13*time.Hour).Sub(came) > time.Second || st.Desk.CancelledAfter != "7d" || len(st.Logs) != 2 {
		t.Errorf("%+v in\n%s", h, out)
	}

	never := s.file("never.conf", "keep_environment =\n")
	if out, _ = s.do(0, "status", "--exim", exim, "--exim-config", never); !strings.Contains(out, "; Exim keeps them\n") || strings.Contains(out, "left\n") {
		t.Errorf("no end:\n%s", out)
	}
	if out, _ = s.do(0, "status", "--exim", "/nosuch/exim"); !strings.Contains(out, "4 messages in 2 cases\n") {
		t.Errorf("no Exim:\n%s", out)
	}
}

func TestCameIn(t *testing.T) {
	came := time.Date(2026, 11, 22, 14, 11, 18, 0, time.UTC) // as Exim logged it
	later := came.Add(3 * 24 * time.Hour)
	for id, want := range map[string]time.Time{
		"1xV8Hm-0005xL-1C": came, "1xV8Hm-00000005xL1-001C": came,
		"": later, "short": later, "??????-0005xL-1C": later, "zzzzzz-0005xL-1C": later, "0xV8Hm-0005xL-1C": later,
	} {
		if got := cameIn(id, later); !got.Equal(want) {
			t.Errorf("%s: %s", id, got.UTC())
		}
	}
}

func TestDaysLeft(t *testing.T) {
	for left, want := range map[time.Duration]string{
		-time.Hour: "cancelled at the next queue run", time.Hour: "less than a day left", 25 * time.Hour: "1 day left", 72 * time.Hour: "3 days left",
	} {
		if got := daysLeft(left); got != want {
			t.Errorf("%s: %s", left, got)
		}
	}
}
