package wire_test

import (
	"net/netip"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"exipol/generator/plan"
	"exipol/generator/wire"
)

// full is a question with all its words.
var full = wire.Question{
	Plan: "0123456789abcdef01234567", Stage: plan.Rcpt, Half: plan.After, Traffic: plan.Inbound,
	Events: []string{plan.Recipient}, Nonce: "4711.1700000000123456",
	Client: netip.MustParseAddr("192.0.2.1"), Helo: "mail.example.org",
	Sender: `"a b\"c${run}"@example.org`, Recipient: "bob@example.com", Auth: "alice",
}

func TestQuestionRoundTrip(t *testing.T) {
	with := func(change func(*wire.Question)) wire.Question {
		q := full
		change(&q)
		return q
	}
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	for name, q := range map[string]wire.Question{
		"full":          full,
		"nothing known": with(func(q *wire.Question) { q.Helo, q.Sender, q.Recipient, q.Auth = "", "", "", "" }),
		"no client":     with(func(q *wire.Question) { q.Client, q.Traffic = netip.Addr{}, plan.Local }),
		"IPv6":          with(func(q *wire.Question) { q.Client = netip.MustParseAddr("2001:db8::1") }),
		"two events":    with(func(q *wire.Question) { q.Events = []string{plan.Connection, plan.HeloEvent} }),
		"every byte": with(func(q *wire.Question) {
			q.Helo, q.Sender, q.Recipient, q.Auth = string(all), string(all), string(all), string(all)
		}),
		"injected words": with(func(q *wire.Question) { q.Sender = "x\nv=1 sender=eHk= end=1 \r\n=" }),
		"host name":      with(func(q *wire.Question) { q.Host = "mail.example.org" }),
		"no host name":   with(func(q *wire.Question) { q.Host = wire.HostNone }),
		"unclear":        with(func(q *wire.Question) { q.Host = wire.HostUnclear }),
		"odd host name":  with(func(q *wire.Question) { q.Host = "--~" }),
		"From":           with(func(q *wire.Question) { q.From = "a@b.example" }),
		"a signature":    with(func(q *wire.Question) { q.Dkim = []string{"example.org"} }),
		"signatures":     with(func(q *wire.Question) { q.Dkim = []string{"a.example", string(all), "a,b =", ""} }),
		"not kept":       with(func(q *wire.Question) { q.Unkept = true }),
		"automatic":      with(func(q *wire.Question) { q.Auto = true }),
		"one of ours":    with(func(q *wire.Question) { q.Ours = []bool{true} }),
		"several":        with(func(q *wire.Question) { q.Others = []string{"a@b", "c@d"} }),
		"some of ours": with(func(q *wire.Question) {
			q.Others, q.Ours = []string{".@b", "c@d", string(all)}, []bool{false, true, false, true}
		}),
		"all there can be": with(func(q *wire.Question) {
			q.Host, q.From, q.Dkim, q.Unkept, q.Auto = "h", "f", []string{"d", "e"}, true, true
			q.User, q.Relay, q.Message, q.Hold, q.Text, q.Callout, q.Count = "u", "r", "m", "h", "t", true, 1
		}),
		"an owner":       with(func(q *wire.Question) { q.User, q.Relay = "www-data", string(all) }),
		"a held message": with(func(q *wire.Question) { q.Message, q.Hold = "1rAbCd-000000001Yz-2AbC", "limit.a_1/stop/block" }),
		"a bounce":       with(func(q *wire.Question) { q.Text = "550 no such user\n" + string(all) }),
		"a callout":      with(func(q *wire.Question) { q.Callout = true }),
		"a count":        with(func(q *wire.Question) { q.Count = 4711 }),
		"16 KiB each":    with(func(q *wire.Question) { q.Sender, q.Recipient = strings.Repeat("s", 16384), strings.Repeat("r", 16384) }),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := wire.ParseQuestion([]byte(q.String()))
			if err != nil || !reflect.DeepEqual(got, q) {
				t.Errorf("read back as %+v, %v", got, err)
			}
		})
	}
}

func TestMappedClientIsIPv4(t *testing.T) {
	line := strings.Replace(full.String(), "ip=192.0.2.1", "ip=::ffff:192.0.2.1", 1)
	q, err := wire.ParseQuestion([]byte(line))
	if err != nil || q.Client != full.Client {
		t.Errorf("got %s, %v", q.Client, err)
	}
	line = strings.Replace(full.String(), "ip=192.0.2.1", "ip=fe80::1%eth0", 1)
	if q, err = wire.ParseQuestion([]byte(line)); err != nil || q.Client != netip.MustParseAddr("fe80::1") {
		t.Errorf("got %s, %v", q.Client, err)
	}
}

func TestParseQuestionRefuses(t *testing.T) {
	whole := full.String()
	replace := func(old, with string) string {
		t.Helper()
		if !strings.Contains(whole, old) {
			t.Fatalf("no %q in %q", old, whole)
		}
		return strings.Replace(whole, old, with, 1)
	}
	for name, line := range map[string]string{
		"nothing":                    "",
		"only a newline":             "\n",
		"cut off before the newline": strings.TrimSuffix(whole, "\n"),
		"two lines":                  whole + whole,
		"empty line after it":        whole + "\n",
		"CRLF":                       replace("\n", "\r\n"),
		"NUL":                        replace("helo=", "helo=\x00"),
		"no version":                 replace("v=1 ", ""),
		"version 2":                  replace("v=1 ", "v=2 "),
		"version last":               strings.TrimSuffix(replace("v=1 ", ""), "\n") + " v=1\n",
		"version twice":              replace("v=1 ", "v=1 v=1 "),
		"word twice":                 replace("auth=", "auth= auth="),
		"word twice, with an equal":  replace("nonce=", "nonce=1 nonce="),
		"unknown word":               replace(" helo=", " hello= helo="),
		"no equals sign":             replace(" helo=", " x helo="),
		"two blanks":                 replace(" helo=", "  helo="),
		"blank at the end":           replace("\n", " \n"),
		"blank at the beginning":     " " + whole,
		"no plan":                    regexp.MustCompile(`plan=\w+ `).ReplaceAllString(whole, ""),
		"plan of other letters":      replace("plan=0", "plan=x"),
		"capital plan":               replace("plan=0", "plan=A"),
		"plan empty":                 regexp.MustCompile(`plan=\w+ `).ReplaceAllString(whole, "plan= "),
		"plan too long":              replace("plan=", "plan="+strings.Repeat("a", 64)),
		"stage alone":                replace("at=rcpt.after", "at=rcpt"),
		"stage empty":                replace("at=rcpt.after", "at=.after"),
		"half empty":                 replace("at=rcpt.after", "at=rcpt."),
		"three halves":               replace("at=rcpt.after", "at=rcpt.after.x"),
		"stage of other bytes":       replace("at=rcpt.after", "at=\x1b[m.after"),
		"traffic empty":              replace("traffic=inbound", "traffic="),
		"traffic capital":            replace("traffic=inbound", "traffic=Inbound"),
		"events empty":               replace("events=recipient", "events="),
		"events half empty":          replace("events=recipient", "events=recipient,"),
		"nonce empty":                regexp.MustCompile(`nonce=\S+`).ReplaceAllString(whole, "nonce="),
		"nonce of letters":           replace("nonce=", "nonce=x"),
		"no nonce":                   regexp.MustCompile(`nonce=\S+ `).ReplaceAllString(whole, ""),
		"ip is a name":               replace("ip=192.0.2.1", "ip=example.org"),
		"ip with a port":             replace("ip=192.0.2.1", "ip=192.0.2.1:25"),
		"no base64":                  replace("auth=", "auth=*"),
		"base64 not padded":          replace("auth=", "auth=YQ "),
		"base64 with spare bits":     regexp.MustCompile(`auth=\S+`).ReplaceAllString(whole, "auth=YR=="),
		"raw text":                   regexp.MustCompile(`sender=\S+`).ReplaceAllString(whole, "sender=a@b"),
		"host is a name":             replace("\n", " host=mail.example.org\n"),
		"host twice":                 replace("\n", " host=- host=-\n"),
		"host stands for none":       replace("\n", " host=LQ==\n"),
		"host stands for unclear":    replace("\n", " host=fg==\n"),
		"two of what stands for it":  replace("\n", " host=--\n"),
		"From is raw":                replace("\n", " from=a@b\n"),
		"two From":                   replace("\n", " from=YUBi,YUBi\n"),
		"signature is raw":           replace("\n", " dkim=example.org\n"),
		"second signature is raw":    replace("\n", " dkim=YQ==,x\n"),
		"signatures apart by colons": replace("\n", " dkim=YQ==:YQ==\n"),
		"kept":                       replace("\n", " kept=yes\n"),
		"kept empty":                 replace("\n", " kept=\n"),
		"auto":                       replace("\n", " auto=no\n"),
		"auto empty":                 replace("\n", " auto=\n"),
		"auto in capitals":           replace("\n", " auto=YES\n"),
		"user is raw":                replace("\n", " user=bob smith\n"),
		"relay is raw":               replace("\n", " relay=10\n"),
		"message id of other bytes":  replace("\n", " mid=1r;x\n"),
		"message id empty":           replace("\n", " mid=\n"),
		"hold empty":                 replace("\n", " hold=\n"),
		"hold in capitals":           replace("\n", " hold=limit.A/b/block\n"),
		"hold too long":              replace("\n", " hold="+strings.Repeat("a", 256)+"\n"),
		"text is raw":                replace("\n", " text=550\n"),
		"callout":                    replace("\n", " callout=no\n"),
		"count of nothing":           replace("\n", " count=0\n"),
		"count below nothing":        replace("\n", " count=-1\n"),
		"count of letters":           replace("\n", " count=x\n"),
		"count too long":             replace("\n", " count=99999999999\n"),
		"user twice":                 replace("\n", " user= user=\n"),
		"a mark, and no recipient":   regexp.MustCompile(`rcpt=\S+`).ReplaceAllString(whole, "rcpt=."),
		"a mark behind a comma":      replace(" auth=", ",. auth="),
		"two marks":                  replace("rcpt=", "rcpt=.."),
		"a mark at the end":          replace(" auth=", ". auth="),
		"another mark":               replace("rcpt=", "rcpt=,:"),
		"a mark elsewhere":           replace("sender=", "sender=."),
		"too long":                   replace("helo=", "helo="+strings.Repeat("YWFh", wire.MaxQuestion/4)),
	} {
		if q, err := wire.ParseQuestion([]byte(line)); err == nil {
			t.Errorf("%s: %q was taken as %+v", name, line, q)
		} else if strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' }) || len(err.Error()) > 300 {
			t.Errorf("%s: the error is not fit for a log: %q", name, err)
		}
	}
}

// TestWordsMayBeLeftOut: a stage asks with what it knows.
func TestWordsMayBeLeftOut(t *testing.T) {
	q, err := wire.ParseQuestion([]byte("v=1 plan=ab at=connect.before traffic=local events=connection nonce=1.2\n"))
	want := wire.Question{Plan: "ab", Stage: "connect", Half: "before", Traffic: "local", Events: []string{"connection"}, Nonce: "1.2"}
	if err != nil || !reflect.DeepEqual(q, want) {
		t.Errorf("got %+v, %v", q, err)
	}
}

// FuzzParseQuestion: it never panics, and what it takes is written so that it is
// read as the same again.
func FuzzParseQuestion(f *testing.F) {
	f.Add([]byte(full.String()))
	f.Add([]byte("v=1 plan=ab at=connect.before traffic=local events=a,b nonce=1.2 ip=::1\n"))
	f.Add([]byte("v=1 v=1\n"))
	f.Add([]byte("v=1 plan=ab at=data.after traffic=local events=a,b nonce=1.2 host=~ from=YQ== dkim=YQ==,,YQ== kept=no\n"))
	f.Add([]byte("v=1 plan=ab at=data.after traffic=local events=a,b nonce=1.2 host=LQ== from= dkim=\n"))
	f.Add([]byte("v=1 plan=ab at=data.after traffic=local events=a,b nonce=1.2 rcpt=YQ==,.Yg==,,.YQ== auto=yes\n"))
	f.Add([]byte("v=1 plan=ab at=not_smtp.after traffic=local events=held nonce=1.2 user=YQ== relay=YQ== mid=1rA-0-a hold=limit.a/b/block text=YQ== callout=yes count=3\n"))
	f.Fuzz(func(t *testing.T, line []byte) {
		q, err := wire.ParseQuestion(line)
		if err != nil {
			return
		}
		again, err := wire.ParseQuestion([]byte(q.String()))
		if len(q.String()) > wire.MaxQuestion {
			return // it was shorter with words left out
		}
		if err != nil || !reflect.DeepEqual(again, q) {
			t.Errorf("%q\nread as %+v\nagain   %+v, %v", line, q, again, err)
		}
	})
}

// FuzzQuestion: whatever bytes SMTP lets in come out as they went in.
func FuzzQuestion(f *testing.F) {
	f.Add([]byte("helo"), []byte("a@b"), []byte("c@d"), []byte("id"), []byte{192, 0, 2, 1}, []byte("a@b"), []byte("d"))
	f.Add([]byte("\x00\r\n"), []byte(" v=1"), []byte("="), []byte{0xff}, make([]byte, 16), []byte(" \n"), []byte(","))
	f.Fuzz(func(t *testing.T, helo, sender, recipient, auth, ip, from, domain []byte) {
		q := full
		q.Helo, q.Sender, q.Recipient, q.Auth = string(helo), string(sender), string(recipient), string(auth)
		q.From, q.Dkim = string(from), []string{"example.org", string(domain)}
		q.Client, _ = netip.AddrFromSlice(ip)
		q.Client = q.Client.Unmap()
		line := q.String()
		got, err := wire.ParseQuestion([]byte(line))
		if len(line) > wire.MaxQuestion {
			if err == nil {
				t.Errorf("took a question of %d bytes", len(line))
			}
			return
		}
		if err != nil || !reflect.DeepEqual(got, q) {
			t.Errorf("%+v\nsent as %q\nread as %+v, %v", q, line, got, err)
		}
	})
}

// pcre is AnswerRegex as Exim's expansion leaves it, for Go.
var pcre = regexp.MustCompile(strings.ReplaceAll(string(wire.AnswerRegex), `\\`, `\`))

func TestAnswer(t *testing.T) {
	for name, c := range map[string]struct {
		answer wire.Answer
		want   string
	}{
		"accept": {wire.Answer{Verdict: plan.Accept}, "v=1 verdict=accept waive=no end=1"},
		"greylist": {
			wire.Answer{Verdict: plan.Defer, By: "greylist.inbound"},
			"v=1 verdict=defer by=greylist.inbound waive=no end=1",
		},
		"all": {
			wire.Answer{
				Verdict: plan.Deny, By: "limit.a_1/slow", Delay: 25, DelayBy: "limit.b/x", Add: []string{"limit.c/y", "limit.d/z"},
				Waive: wire.WaiveMessage, Would: plan.Drop, WouldBy: "limit.e/t",
			},
			"v=1 verdict=deny by=limit.a_1/slow delay=25 delayby=limit.b/x add=limit.c/y,limit.d/z would=drop wouldby=limit.e/t waive=message end=1",
		},
		"why": {
			wire.Answer{Verdict: plan.Accept, Would: plan.Defer, WouldBy: "greylist.in", Why: []string{"no_reverse_dns", "dnslist.zen.example.org"}},
			"v=1 verdict=accept would=defer wouldby=greylist.in why=no_reverse_dns,dnslist.zen.example.org waive=no end=1",
		},
		"a blank in why":     {wire.Answer{Verdict: plan.Accept, Why: []string{"a b"}}, "v=1 verdict=failed end=1"},
		"no delay, nobody's": {wire.Answer{Verdict: plan.Accept, DelayBy: "limit.b/x"}, "v=1 verdict=accept waive=no end=1"},
		"failed":             {wire.Answer{Verdict: wire.Failed}, "v=1 verdict=failed waive=no end=1"},
		"away":               {wire.Answer{Verdict: wire.Away}, "v=1 verdict=away waive=no end=1"},
		"last known": {
			wire.Answer{Verdict: plan.Deny, By: "limit.a/b/block", Add: []string{"limit.a/b/block"}, LastKnown: true},
			"v=1 verdict=deny by=limit.a/b/block add=limit.a/b/block known=last waive=no end=1",
		},
		"a byte too much": {wire.Answer{Verdict: plan.Accept, By: "a b"}, "v=1 verdict=failed end=1"},
		"a newline":       {wire.Answer{Verdict: plan.Accept, WouldBy: "a\nb"}, "v=1 verdict=failed end=1"},
		"an equals sign":  {wire.Answer{Verdict: "accept=1"}, "v=1 verdict=failed end=1"},
		"a capital":       {wire.Answer{Verdict: plan.Accept, Add: []string{"LIMIT"}}, "v=1 verdict=failed end=1"},
	} {
		if got := c.answer.String(); got != c.want {
			t.Errorf("%s:\ngot  %q\nwant %q", name, got, c.want)
		}
		if got, err := wire.ParseAnswer(c.want); err != nil && !strings.Contains(c.want, "failed") || got.Verdict != wire.Failed && !slices.Equal(got.Why, c.answer.Why) {
			t.Errorf("%s: read back as %+v, %v", name, got, err)
		}
		if !pcre.MatchString(c.want) {
			t.Errorf("%s: Exim does not take %q", name, c.want)
		}
	}
}

func TestParseAnswerRefuses(t *testing.T) {
	for _, s := range []string{
		"", " ", "v=1", "end=1", "v=1 end=1", "v=1 verdict=accept", "v=1 verdict=accept end=", "verdict=accept end=1",
		"v=1 verdict=accept end=1\n", "v=1 verdict=accept end=1 ", "v=1  verdict=accept end=1", "v=2 verdict=accept end=1",
		"v=1 verdict= end=1", "v=1 verdict=accept x=1 end=1", "v=1 verdict=accept delay=x end=1", "v=1 verdict=accept waive=ever end=1",
		"v=1 verdict=accept delay=-1 end=1", "v=1 verdict=accept verdict=deny end=1", "v=1 verdict=acc\x00ept end=1", "v=1 verdict end=1", "v=1 verdict=Accept end=1",
		"v=1 verdict=accept delay=99999999999999999999 end=1", "v=1 verdict=deny known=first end=1", "v=1 verdict=accept why=a why=b end=1", "v=1 verdict=accept why=A end=1",
	} {
		if a, err := wire.ParseAnswer(s); err == nil {
			t.Errorf("took %q as %+v", s, a)
		}
	}
}

// FuzzAnswer: an answer is read back as it was, or is a failed one; every answer is
// one that Exim takes for whole, and no beginning of one is.
func FuzzAnswer(f *testing.F) {
	f.Add("deny", "limit.a/b", int64(3), "limit.a/b", "limit.c/d", "message", "defer", "limit.e/f", "spf_fail,helo_mismatch")
	f.Add("accept", "", int64(0), "", "", "", "", "", "")
	f.Add("accept", "a b", int64(-1), "x", "\n", "no", "$", "end=1", " ")
	f.Fuzz(func(t *testing.T, verdict, by string, delay int64, delayBy, add, waive, would, wouldBy, why string) {
		a := wire.Answer{Verdict: verdict, By: by, Delay: delay, DelayBy: delayBy, Waive: waive, Would: would, WouldBy: wouldBy, LastKnown: delay%2 != 0}
		if add != "" {
			a.Add = strings.Split(add, ",")
		}
		if why != "" {
			a.Why = strings.Split(why, ",")
		}
		s := a.String()
		if !pcre.MatchString(s) {
			t.Fatalf("%+v is %q, which Exim does not take", a, s)
		}
		for i := range s {
			if pcre.MatchString(s[:i]) {
				t.Errorf("Exim takes the beginning %q of %q", s[:i], s)
			}
		}
		got, err := wire.ParseAnswer(s)
		if err != nil {
			if verdict != "" && (waive == "" || waive == "no" || waive == "message" || waive == "connection") {
				t.Errorf("%q: %v", s, err)
			}
			return
		}
		if got.Verdict == wire.Failed && verdict != wire.Failed {
			return
		}
		if a.Waive == "" {
			a.Waive = wire.WaiveNo
		}
		if a.Delay <= 0 {
			a.Delay, a.DelayBy = 0, ""
		}
		if !reflect.DeepEqual(got, a) && got.Verdict != wire.Failed {
			t.Errorf("%+v\nsent as %q\nread as %+v", a, s, got)
		}
	})
}

// TestBlockedKey: the vectors that whoever writes the file, and whoever reads it, must agree on.
func TestBlockedKey(t *testing.T) {
	for _, c := range blockedKeys {
		if got := wire.BlockedKey(c.ref, c.parts...); got != c.want {
			t.Errorf("%s %q: %s, want %s", c.ref, c.parts, got, c.want)
		}
	}
	if a, b := wire.BlockedKey("limit.x", "a", "b"), wire.BlockedKey("limit.x", "ab"); a == b {
		t.Error("two parts are one")
	}
}

// blockedKeys were computed by sha256sum(1).
var blockedKeys = []struct {
	ref   string
	parts []string
	want  string
}{
	{"limit.stolen_password", []string{"bob@example.com"}, "f40081836e9d93f0767fb4146d18c4dbe9bbcb7b517a20fbd3f6148b3a221388"},
	{"limit.x", []string{"auth:x;touch y"}, "94c1910c818de63f1acc381f0b7c8816bdeef7419cdc24dbce871c7de3a4ec0e"},
	{"limit.x", []string{"${run{/bin/true}} $(id) `id` 'a' \"b\" #c:d\\"}, "b0c40b403eff0fa6650e84412effae7362586921575a4528f5199f1037225248"},
	{"limit.x", []string{"\xc3\xa4\xc3\xb6"}, "54cb51d6c6ce2ab61792db55a0bde08bced8ed8c80342e639f019eab67e647f0"},
	{"limit.local_scripts", []string{"www-data"}, "9c391f8205b1f3d699b7caef442675411f1be83d5e50197a3b22a37cfdce951c"},
	{"limit.both", []string{"user:www-data", "2001:db8::1"}, "3af81f79e672c4ee1199fb852786b55887c9faa46c47ee87c865705139f20144"},
	{"limit.x", []string{"relay:203.0.113.9"}, "a4d6e85f9e9a49066bcd4a7fb27fd616073b89a993bef5ac42c773c2398d8708"},
}
