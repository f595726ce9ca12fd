package normalize

import (
	"net/netip"
	"strconv"
	"strings"
	"testing"
)

func TestAddress(t *testing.T) {
	long := strings.Repeat("a", 300)
	cases := []struct{ in, want string }{
		{"", ""},
		{"Alice@Example.ORG", "alice@example.org"},
		{"alice@example.org.", "alice@example.org"},
		{"postmaster", "postmaster"},
		{"alice@", "alice@"},
		{"@example.org", "@example.org"},
		// extensions
		{"alice+shop@example.org", "alice@example.org"},
		{"alice+a+b@example.org", "alice@example.org"},
		{"+4930123@example.org", "+4930123@example.org"},
		{"+4930+x@example.org", "+4930@example.org"},
		{"alice-shop@example.org", "alice-shop@example.org"},
		// quoted local parts
		{`"alice"@example.org`, "alice@example.org"},
		{`"Alice Smith"@example.org`, "alice smith@example.org"},
		{`"a\"b\\c"@example.org`, `a"b\c@example.org`},
		{`"a@b"@example.org`, `a@b@example.org`},
		{`"a"b"@example.org`, `"a"b"@example.org`},
		{`"a\"@example.org`, `"a\"@example.org`},
		{`"alice"+x@example.org`, "alice@example.org"},
		{`""@example.org`, "@example.org"},
		{`"${run{x}}|;:"@example.org`, `${run{x}}|;:@example.org`},
		// BATV
		{"prvs=2987abcdef=alice@example.org", "alice@example.org"},
		{"PRVS=2987ABCDEF=Alice+x@example.org", "alice@example.org"},
		{"prvs=alice=2987abcdef@example.org", "alice@example.org"},
		{"prvs=alice/2987abcdef@example.org", "alice@example.org"},
		{"prvs=x=@example.org", "prvs=x=@example.org"},
		{"prvs=x@example.org", "prvs=x@example.org"},
		{"btv1==17a3f1c2==alice@example.org", "alice@example.org"},
		{"msprvs1=19876bcdefghi=bounces-2345@mail.example", "bounces-#@mail.example"},
		// SRS
		{"SRS0=HHH=TT=example.org=alice@forwarder.example", "alice@example.org"},
		{"SRS0+HHH=TT=example.org=alice@forwarder.example", "alice@example.org"},
		{"srs0-hhh=tt=Example.ORG.=Alice+x@forwarder.example", "alice@example.org"},
		{"SRS1=GGG=first.example==HHH=TT=example.org=alice@second.example", "alice@example.org"},
		{"SRS1+GGG=first.example=+HHH=TT=example.org=alice@second.example", "alice@example.org"},
		{"SRS0=HHH=TT=example.org=prvs=2987abcdef=alice@forwarder.example", "alice@example.org"},
		{"SRS0=HHH=TT=example.org=SRS0=AAA=BB=other.example=bob@forwarder.example", "bob@other.example"},
		{"SRS0=HHH=TT=example.org=@forwarder.example", "srs#=hhh=tt=example.org=@forwarder.example"},
		{"SRS0=HHH@forwarder.example", "srs#=hhh@forwarder.example"},
		{`"SRS0=H=T=a@b=alice"@forwarder.example`, "srs#=h=t=a@b=alice@forwarder.example"},
		// VERP
		{"bounce-12345@news.example", "bounce-#@news.example"},
		{"bounces+12345-user=example.com@news.example", "bounces@news.example"},
		{"list-return-77-me=example.org@lists.example", "list-return-#-me=example.org@lists.example"},
		{"bounce-m98_html-67-890@news.example", "bounce-m#_html-#-#@news.example"},
		{"0100018f2ac3d4e5-1a2b3c4d-5e6f-7a8b-9c0d-1e2f3a4b5c6d-000000@ses.example", "#-#-#-#-#-#-#@ses.example"},
		{"bounce-deadbeef01@news.example", "bounce-#@news.example"},
		{"john.1984@example.org", "john.1984@example.org"},
		{"12345@example.org", "12345@example.org"},
		{"1234567890123456@example.org", "1234567890123456@example.org"},
		{"x-2024-05@example.org", "x-2024-05@example.org"},
		// SMTPUTF8, and bytes that are none
		{"ÄRGER@BÜCHER.example", "ärger@xn--bcher-kva.example"},
		{"ärger@xn--bcher-kva.example", "ärger@xn--bcher-kva.example"},
		{"a\u0308rger@x.example", "ärger@x.example"},
		{"用户@例え。テスト", "用户@xn--r8jz45g.xn--zckzah"},
		{"A\xffB\xc3@Ex\xe9.org", "a\xffb\xc3@ex\xe9.org"},
		{"A\x00B\r@x", "a\x00b\r@x"},
		{"\u212Alvin@example.org", "klvin@example.org"},
		{long + "@example.org", long + "@example.org"},
	}
	for _, c := range cases {
		got := Address(c.in)
		if got != c.want {
			t.Errorf("Address(%q) = %q, want %q", c.in, got, c.want)
		}
		if again := Address(got); again != got {
			t.Errorf("Address(%q) = %q, not stable", got, again)
		}
	}
}

func TestDomain(t *testing.T) {
	cases := []struct{ in, want string }{
		{"", ""},
		{"Example.ORG", "example.org"},
		{"example.org.", "example.org"},
		{"example.org..", "example.org"},
		{".", ""},
		{"BÜCHER.Example", "xn--bcher-kva.example"},
		{"XN--BCHER-KVA.example", "xn--bcher-kva.example"},
		{"faß.example", "xn--fa-hia.example"},
		{"[192.0.2.1]", "[192.0.2.1]"},
		{"[IPv6:2001:DB8:0::1]", "[2001:db8::1]"},
		{"[IPv6:::ffff:192.0.2.1]", "[192.0.2.1]"},
		{"[IPv6:fe80::1%eth0]", "[fe80::1]"},
		{"[rubbish]", "[rubbish]"},
		{"[]", "[]"},
		{"under_score", "under_score"},
		{"with blank", "with blank"},
		{"ex\xe9.org", "ex\xe9.org"},
		{strings.Repeat("ü", 200) + ".org", strings.Repeat("ü", 200) + ".org"},
	}
	for _, c := range cases {
		if got := Domain(c.in); got != c.want {
			t.Errorf("Domain(%q) = %q, want %q", c.in, got, c.want)
		}
		if got := Helo(c.in); got != c.want {
			t.Errorf("Helo(%q) = %q, want %q", c.in, got, c.want)
		}
	}
}

// The samples of RFC 3492, section 7.1, that are in lower case.
func TestPunycode(t *testing.T) {
	cases := []struct{ in, want string }{
		{"ليهمابتكلموشعربي؟", "egbpdaj6bu4bxfgehfvwxn"},
		{"他们为什么不说中文", "ihqwcrb4cv8a8dqg056pqjye"},
		{"למההםפשוטלאמדבריםעברית", "4dbcagdahymbxekheh6e0a7fei0b"},
		{"なぜみんな日本語を話してくれないのか", "n8jok5ay5dzabd5bym9f0cm5685rrjetr6pdxa"},
		{"почемужеонинеговорятпорусски", "b1abfaaepdrnnbgefbadotcwatmq2g4l"},
		{"3年b組金八先生", "3b-ww4c5e180e575a65lsy2b"},
	}
	for _, c := range cases {
		if got := punycode([]rune(c.in)); got != c.want {
			t.Errorf("punycode(%q) = %q, want %q", c.in, got, c.want)
		}
	}
}

func TestDomainOf(t *testing.T) {
	for in, want := range map[string]string{
		"alice@Example.org": "example.org",
		"SRS0=HHH=TT=example.org=alice@forwarder.example": "example.org",
		"postmaster": "",
		"":           "",
	} {
		if got := DomainOf(in); got != want {
			t.Errorf("DomainOf(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestClient(t *testing.T) {
	cases := []struct {
		in     string
		v4, v6 int
		want   string
	}{
		{"192.0.2.77", 32, 128, "192.0.2.77"},
		{"192.0.2.77", 24, 64, "192.0.2.0/24"},
		{"::ffff:192.0.2.77", 24, 64, "192.0.2.0/24"},
		{"::ffff:192.0.2.77", 32, 128, "192.0.2.77"},
		{"2001:db8:1:2:3:4:5:6", 24, 64, "2001:db8:1:2::/64"},
		{"2001:db8:1:2:3:4:5:6", 32, 56, "2001:db8:1::/56"},
		{"2001:DB8::1", 32, 128, "2001:db8::1"},
		{"fe80::1%eth0", 32, 128, "fe80::1"},
		{"fe80::1%eth0", 32, 64, "fe80::/64"},
		{"192.0.2.77", 0, 0, "0.0.0.0/0"},
		{"192.0.2.77", 40, 64, "192.0.2.77"},
		{"192.0.2.77", -1, 64, "192.0.2.77"},
	}
	for _, c := range cases {
		if got := Client(netip.MustParseAddr(c.in), c.v4, c.v6); got != c.want {
			t.Errorf("Client(%s, %d, %d) = %q, want %q", c.in, c.v4, c.v6, got, c.want)
		}
	}
	if got := Client(netip.Addr{}, 24, 64); got != "" {
		t.Errorf("Client of no address = %q", got)
	}
}

func TestKey(t *testing.T) {
	cases := []struct {
		in   []string
		want string
	}{
		{nil, ""},
		{[]string{""}, `\`},
		{[]string{"", ""}, "|"},
		{[]string{"192.0.2.0/24", "", "bob@example.com"}, "192.0.2.0/24||bob@example.com"},
		{[]string{"a|b", `c\`}, `a\|b|c\\`},
		{[]string{strings.Repeat("x", 255)}, strings.Repeat("x", 255)},
	}
	for _, c := range cases {
		got := Key(c.in)
		if got != c.want {
			t.Errorf("Key(%q) = %q, want %q", c.in, got, c.want)
		}
	}
	long := Key([]string{strings.Repeat("x", 256)})
	if len(long) != KeyLength || !strings.HasPrefix(long, strings.Repeat("x", 189)+hashMark) {
		t.Errorf("key of 256 bytes: %q", long)
	}
	if a, b := Key([]string{strings.Repeat("x", 300) + "a"}), Key([]string{strings.Repeat("x", 300) + "b"}); a == b {
		t.Error("two long keys are one")
	}
	// A short key that reads like a hashed one is another.
	hashed := Key([]string{strings.Repeat("x", 300)})
	if short := Key([]string{hashed}); short == hashed {
		t.Errorf("a component that reads like a hashed key is that key")
	}
	for n := 180; n < 195; n++ { // an escape at the cut
		part := strings.Repeat("x", n) + `\\\||` + strings.Repeat("y", 200)
		key := Key([]string{part})
		mark := strings.LastIndex(key, hashMark)
		prefix := key[:mark]
		if backslashes := len(prefix) - len(strings.TrimRight(prefix, `\`)); backslashes%2 != 0 {
			t.Errorf("key %q: its mark is escaped", key)
		}
	}
}

func FuzzAddress(f *testing.F) {
	for _, s := range []string{"", "a+b@c", `"prvs=1=x"@y.`, "SRS0=a=b=c.d=e@f", "SRS1=a=b==c=d=e.f=g@h", "bounce-12-0a1b2c3d4e@x",
		`"\"a\"+b"@c`, "ÄÖ\u0308@\u0130.x", "a\xff@\xc3.y", "a@b\uff20c", "a@[IPv6:::1]", "\u037e\u1fef@\u2126"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		once := Address(s)
		if twice := Address(once); twice != once {
			t.Errorf("Address(%q) = %q, and of that %q", s, once, twice)
		}
		if upper := Address(strings.ToUpper(s)); isASCII(s) && upper != once {
			t.Errorf("Address(%q) = %q, of the upper case %q", s, once, upper)
		}
		d := Domain(s)
		if again := Domain(d); again != d {
			t.Errorf("Domain(%q) = %q, and of that %q", s, d, again)
		}
	})
}

func FuzzKey(f *testing.F) {
	f.Add("a|b", "c", "a", "b|c")
	f.Add(`\`, "", "", `\`)
	f.Add(strings.Repeat("x", 300), "", strings.Repeat("x", 300), "y")
	f.Add(strings.Repeat("x", 188)+`\#`, strings.Repeat("0", 64), "", "")
	f.Fuzz(func(t *testing.T, a, b, c, d string) {
		lists := [][]string{nil, {a}, {b}, {a, b}, {c, d}, {a, b, c}, {a, b, c, d}, {a + "|" + b}, {Key([]string{a, b})}, {Key([]string{c})}}
		for i, x := range lists {
			kx := Key(x)
			if parts, whole := Split(kx); whole && x != nil && !same(parts, x) || whole != (kx == join(x)) {
				t.Fatalf("Split(%q) = %q, %v, not %q", kx, parts, whole, x)
			}
			if len(kx) > KeyLength {
				t.Fatalf("Key(%q) has %d bytes", x, len(kx))
			}
			for _, y := range lists[i+1:] {
				if same(x, y) != (kx == Key(y)) {
					t.Fatalf("Key(%q) = %q, Key(%q) = %q", x, kx, y, Key(y))
				}
			}
		}
	})
}

func same(x, y []string) bool {
	if len(x) != len(y) {
		return false
	}
	for i := range x {
		if x[i] != y[i] {
			return false
		}
	}
	return true
}

func BenchmarkAddress(b *testing.B) {
	for b.Loop() {
		Address("Alice.Example+shop@Mail.Example.ORG")
	}
}

func BenchmarkKey(b *testing.B) {
	parts := []string{"192.0.2.0/24", "alice@example.org", "bob@example.com"}
	for b.Loop() {
		Key(parts)
	}
}

// TestSince: a key and its time come apart again, and no key is another's.
func TestSince(t *testing.T) {
	seen := map[string]string{}
	for _, parts := range [][]string{
		{""}, {"", ""}, {"bob"}, {"bob", "1"}, {`bob\@1`}, {`\@1`}, {`\`}, {`\\`}, {`bob\`}, {`bob\`, `@1`}, {"@1"}, {`\`, ""},
		{strings.Repeat("x", 250)}, {strings.Repeat("x", 255)}, {strings.Repeat("x", 300)}, {strings.Repeat(`\`, 126) + "ab"},
	} {
		key := Key(parts)
		if plain, ms := CutSince(key); plain != key || ms != 0 {
			t.Errorf("%q is one since %d", key, ms)
		}
		for _, ms := range []int64{1, 1790000000000} {
			since := Since(key, ms)
			if before, twice := seen[since]; twice || len(since) > KeyLength {
				t.Errorf("%q of %q, and of %q", since, key, before)
			}
			seen[since] = key
			plain, when := CutSince(since)
			if long := len(key)+2+len(strconv.FormatInt(ms, 10)) > KeyLength; !long && (plain != key || when != ms) || long && when != 0 {
				t.Errorf("%q: %q since %d, want %q since %d", since, plain, when, key, ms)
			}
		}
		seen[key] = "itself"
	}
}
