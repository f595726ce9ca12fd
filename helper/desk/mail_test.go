package desk

import (
	"encoding/json"
	"mime"
	"net/mail"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"exipol/helper/engine"
	"exipol/helper/store"
)

// Whatever strangers put into a case, a mail about it has the header lines that it is to have, is ASCII in
// lines that every host lets through, and shows it.
func TestHostileMail(t *testing.T) {
	hostile := []string{
		"x\r\nBcc: victim@remote.test\r\n\r\nbody", "=?utf-8?q?=0ABcc:_x?=", strings.Repeat("ä", 5000), strings.Repeat("x", 5000), "\xff\xfe\x00\x1b[31m", "a\u202egnp.exe",
		".\nFrom here\n.", "line\u2028line", "'; rm -rf /; '", "müller@example.com", "\"quoted\" \\ name",
	}
	for _, evil := range hostile {
		f := store.CaseFile{
			Case:     store.Case{ID: 17, Policy: policy, Key: evil, Tier: "block", Who: "auth " + evil, Owner: "auth:" + evil, Opened: 1795356528000, Gateway: evil, State: store.CaseOpen, Blocks: true, LastWord: evil},
			Evidence: []store.Sample{{At: 1795356528000, Gateway: evil, Message: evil, Address: evil, Line: evil}},
			Audit:    []store.Audit{{At: 1795356528000, Gateway: evil, Who: evil, Did: "opened", Why: evil}},
			Held:     []store.Held{{HeldMessage: store.HeldMessage{Gateway: evil, Message: evil}}},
		}
		tell := telling{plan: makePlan(), file: f, notice: store.Notice{Case: 17, Tier: "block", Receiver: "notice.desk"}, gateway: evil, now: time.Unix(1795356528, 0)}
		digest := summary{plan: tell.plan, receiver: tell.plan.Notices[0], gateway: evil, now: tell.now, cases: []store.Case{f.Case}}
		for name, l := range map[string]letter{"desk": tell.letter([]string{"abuse@local.test"}), "owner": tell.ownerLetter("bob@local.test"), "digest": digest.letter()} {
			checkMail(t, name+" "+brief(Shown(evil), 20), l)
		}
		if _, err := json.Marshal(tell.payload()); err != nil {
			t.Errorf("%q: %v", evil, err)
		}
	}
}

func checkMail(t *testing.T, name string, l letter) {
	t.Helper()
	raw := string(l.bytes())
	for i, line := range strings.Split(raw, "\n") {
		if len(line) > 998 {
			t.Errorf("%s: line %d has %d bytes", name, i+1, len(line))
		}
	}
	if strings.ContainsFunc(raw, func(r rune) bool { return r > '~' || r < ' ' && r != '\n' }) {
		t.Errorf("%s: not ASCII", name)
	}
	m, err := mail.ReadMessage(strings.NewReader(raw))
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, raw)
	}
	for field := range m.Header {
		if !slices.Contains([]string{
			"Date", "From", "To", "Message-Id", "Subject", "Auto-Submitted", "X-Auto-Response-Suppress", "X-Exipol-Case", "X-Exipol-Policy", "X-Exipol-Digest", "X-Exipol-Store",
			"Mime-Version", "Content-Type", "Content-Transfer-Encoding",
		}, field) || len(m.Header[field]) != 1 {
			t.Errorf("%s: %s: %q", name, field, m.Header[field])
		}
	}
	if _, err := mail.ParseAddress(m.Header.Get("From")); err != nil {
		t.Errorf("%s: From: %q: %v", name, m.Header.Get("From"), err)
	}
	subject, err := (&mime.WordDecoder{}).DecodeHeader(m.Header.Get("Subject"))
	if err != nil || strings.ContainsFunc(subject, func(r rune) bool { return !strconv.IsPrint(r) }) {
		t.Errorf("%s: Subject: %q, %v", name, subject, err)
	}
	if id := m.Header.Get("Message-ID"); strings.Count(id, "@") != 1 || strings.ContainsAny(strings.Trim(id, "<>"), "<> \t\"") {
		t.Errorf("%s: Message-ID: %q", name, id)
	}
	text := decoded(t, m)
	for _, line := range strings.Split(text, "\n") {
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "From ") {
			t.Errorf("%s: a line of somebody else's: %q", name, line)
		}
		for _, r := range line {
			if !strconv.IsPrint(r) {
				t.Errorf("%s: %q has %U", name, line, r)
				break
			}
		}
	}
}

// What an administrator reads. docs/notices.md shows the same.
func TestMailText(t *testing.T) {
	at := time.Date(2026, 11, 22, 14, 0, 0, 0, time.UTC)
	exim, mails := fakeExim(t)
	w := newWorld(t, newStore(t), "mx1", exim)
	w.at, w.plan.Admin = at, "postmaster@example.com"
	w.plan.Notices[0].Mail = []string{"abuse@example.com"}
	if err := w.store.Update(t.Context(), func(engine.State) ([]engine.Write, error) {
		var all []engine.Write
		for i, line := range []string{
			"RCPT TO:<nosuch1@example.net> from 192.0.2.1, MAIL FROM:<bob@example.com>: no such recipient",
			"2026-11-22 13:59:59 1xV8FM-0005L1-2S ** müller@example.net: 550 no such user",
		} {
			all = append(all, engine.PutSample{Policy: policy, Key: "auth:bob@example.com", N: int64(i), At: at.UnixMilli() - int64(2000-i*1000), Gateway: "mx1", Line: line, Expires: at.UnixMilli() + 1e6})
		}
		return all, nil
	}); err != nil {
		t.Fatal(err)
	}
	id := w.open("auth:bob@example.com", "block", 2)
	if err := w.store.SettleHeld(t.Context(), at.UnixMilli(), []engine.PutHeld{
		{Gateway: "mx1", Message: "1xV8FM-0005L1-2S", Case: id, At: at.UnixMilli()}, {Gateway: "mx2", Message: "1xV8FM-0005L1-2S", Case: id, At: at.UnixMilli()},
	}, nil); err != nil {
		t.Fatal(err)
	}
	w.tell()
	if len(mails()) != 1 {
		t.Fatalf("%d mails", len(mails()))
	}
	_, raw, _ := strings.Cut(mails()[0], "\n")
	m, err := mail.ReadMessage(strings.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	header, _, _ := strings.Cut(raw, "\n\n")
	golden(t, "notice.txt", header+"\n\n"+decoded(t, m))

	f := w.file(id)
	tell := telling{plan: w.plan, file: f, notice: w.told(id)["block notice.desk"], gateway: "mx1", now: at}
	golden(t, "owner.txt", tell.ownerLetter("bob@example.com").text)
	golden(t, "notice.json", indented(t, tell.payload()))
	sum := summary{plan: w.plan, receiver: w.plan.Notices[0], gateway: "mx1", from: at.Add(-24 * time.Hour).UnixMilli(), now: at, cases: []store.Case{f.Case}}
	golden(t, "digest.txt", sum.letter().text)
	golden(t, "digest.json", indented(t, sum.payload()))
	docs := read(t, "../../docs/notices.md")
	for _, name := range []string{"notice.txt", "owner.txt", "notice.json", "digest.txt", "digest.json"} {
		if !strings.Contains(docs, read(t, "testdata/"+name)) {
			t.Errorf("docs/notices.md does not show testdata/%s as it is", name)
		}
	}
}
