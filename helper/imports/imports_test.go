package imports

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// reading collects what a parser says.
type reading struct {
	said []string
}

func (r *reading) bad(line int, why string) {
	r.said = append(r.said, fmt.Sprintf("bad %d: %s", line, why))
}
func (r *reading) name(n Name) error { return r.put("%d %q", n.Line, n.Name) }
func (r *reading) client(c Client) error {
	return r.put("%d %s %d %d", c.Line, c.Client, c.Passes, c.Last)
}
func (r *reading) offence(o Offence) error { return r.put("%d %s %d", o.Line, o.Client, o.At) }
func (r *reading) triplet(t Triplet) error {
	return r.put("%d %s %q %q %d %d %v", t.Line, t.Client, t.Sender, t.Recipient, t.First, t.Last, t.Passed)
}
func (r *reading) bounce(b Bounce) error {
	return r.put("%d %q %q %q %q %d", b.Line, b.Host, b.Message, b.User, b.Sender, b.At)
}
func (r *reading) put(format string, args ...any) error {
	r.said = append(r.said, fmt.Sprintf(format, args...))
	return nil
}

func (r *reading) check(t *testing.T, err error, want string) {
	t.Helper()
	if got := strings.Join(r.said, "\n"); err != nil || got != strings.TrimSpace(want) {
		t.Errorf("error %v, got\n%s\nwant\n%s", err, got, want)
	}
}

// Exim's own lookup finds in such a file what is read out of it.
var listed = "" +
	"bob@example.com\n" +
	"# bob2\n" +
	"\n" +
	" continued\n" +
	"carol: of accounts\n" +
	"dave some words\n" +
	"\"a b:c#\": quoted\n" +
	"\"q\\\"uo\\\\te\\x41\\101\\t.\"\n" +
	"\"open\n" +
	":nothing\n" +
	"x;touch y\r\n" +
	"$(id)\n" +
	"${run{/bin/true}}\n" +
	"jos\xc3\xa9\n" +
	"last"

func TestNames(t *testing.T) {
	var r reading
	r.check(t, Names(strings.NewReader(listed), r.name, r.bad), `
1 "bob@example.com"
5 "carol"
6 "dave"
7 "a b:c#"
8 "q\"uo\\teAA\t."
9 "open"
bad 10: there is no name before the colon
11 "x;touch"
12 "$(id)"
13 "${run{/bin/true}}"
14 "josé"
15 "last"`)
}

// A real Exim finds every name that was read, and nothing of what was not.
func TestNamesAsEximDoes(t *testing.T) {
	exim := ""
	for _, name := range []string{os.Getenv("EXIM"), "exim4", "exim"} {
		if path, err := exec.LookPath(name); err == nil {
			exim = path
			break
		}
	}
	if exim == "" {
		t.Fatal("no Exim on this machine: apt-get install exim4-daemon-heavy")
	}
	dir := t.TempDir()
	list, config := filepath.Join(dir, "list"), filepath.Join(dir, "exim.conf")
	for file, text := range map[string]string{list: listed, config: "keep_environment = ^NAME\nlog_file_path = " + dir + "/%slog\n"} {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil { //nolint:gosec // Exim reads it as another user
			t.Fatal(err)
		}
	}
	lookup := func(name string) string {
		cmd := exec.Command(exim, "-C", config, "-be", "${lookup{${env{NAME}{$value}}}lsearch{"+list+"}{yes}{no}}")
		cmd.Env = append(os.Environ(), "NAME="+name)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return strings.TrimSpace(string(out))
	}
	err := Names(strings.NewReader(listed), func(n Name) error {
		if said := lookup(n.Name); said != "yes" {
			t.Errorf("line %d: Exim does not find %q: %s", n.Line, n.Name, said)
		}
		return nil
	}, func(int, string) {})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"x;touch y", "carol:", "bob2", "continued", "a b", "dave some words"} {
		if said := lookup(name); said != "no" {
			t.Errorf("Exim finds %q: %s", name, said)
		}
	}
}

func TestRelays(t *testing.T) {
	var r reading
	r.check(t, Relays(strings.NewReader("192.0.2.7\n2001:DB8::7\n\nradius-id: x\n::ffff:192.0.2.8\n192.0.2.0/24\n:x\n"), r.name, r.bad), `
1 "192.0.2.7"
2 "2001:db8::7"
4 "radius-id"
5 "192.0.2.8"
6 "192.0.2.0/24"
bad 7: there is no name before the colon`)
}

func TestLongLines(t *testing.T) {
	var r reading
	r.check(t, Names(strings.NewReader("a\n"+strings.Repeat("x", longest+5)+"\nb\n"+strings.Repeat("y", longest*2)), r.name, r.bad), fmt.Sprintf(`
1 "a"
bad 2: longer than %d bytes
3 "b"
bad 4: longer than %d bytes`, longest, longest))
}

func TestGreylistd(t *testing.T) {
	const states = `[white]
-5 = 1700000100 1700000000 3
7 = 1700000200 1700000000 2
8 = 1700000200 1700000000
nonsense
9 = soon 1700000000 1
[grey]
11 = 1700000000 1700000000 1
[black]
12 = 1700000000 1700000000 1
[statistics]
white = 3
start = 1600000000
`
	const triplets = `-5 = 192.0.2.7 alice@example.org bob@local.test
7 = 2001:db8::7 <> carol@local.test
8 = 192.0.2.0/24 <dave@example.org> bob@local.test
11 = 192.0.2.8 bob@local.test
12 = 192.0.2.9 a@b c@d
13 = 192.0.2.9 forgotten@b c@d
-5 = 192.0.2.99 again@b c@d
x = y
`
	var r reading
	g, err := ReadGreylistd(strings.NewReader(states), r.bad)
	if err == nil {
		err = g.Triplets(strings.NewReader(triplets), r.triplet, r.bad)
	}
	r.check(t, err, `
bad 5: not an entry of greylistd's: "nonsense"
bad 6: not times: " soon 1700000000 1"
1 192.0.2.7/32 "alice@example.org" "bob@local.test" 1700000000 1700000100 true
2 2001:db8::7/128 "" "carol@local.test" 1700000000 1700000200 true
3 192.0.2.0/24 "dave@example.org" "bob@local.test" 1700000000 1700000200 true
4 192.0.2.8/32 "" "bob@local.test" 1700000000 1700000000 false
bad 8: not a triplet of greylistd's: "x = y"`)
	if g.Black != 1 || g.Nameless() != 0 {
		t.Errorf("black %d, nameless %d", g.Black, g.Nameless())
	}
	if !IsGreylistdStates([]byte("\n[white]")) || IsGreylistdStates([]byte(triplets)) {
		t.Error("which file is which")
	}
	bad := reading{}
	g, _ = ReadGreylistd(strings.NewReader("[grey]\n1 = 1700000000 1700000000 1\n2 = 1700000000 1700000000 1\n3 = 1700000000 1700000000 1\n"), bad.bad)
	_ = g.Triplets(strings.NewReader("1 = 192.0.2.1 a b c d\n2 = nobody a@b c@d\n"), bad.triplet, bad.bad)
	bad.check(t, nil, `
bad 1: 5 words, where a client, a sender and a recipient were expected: "192.0.2.1 a b c d"
bad 2: the client is no address: "nobody a@b c@d"`)
	if g.Nameless() != 1 {
		t.Errorf("nameless: %d", g.Nameless())
	}
}

// What db5.3_dump printed of the databases of a Postgrey 1.37 (Debian's) that was asked about a few
// contacts, some of which came back.
func TestPostgreyItself(t *testing.T) {
	for file, want := range map[string]string{
		"postgrey.dump": `
6 192.0.2.0/24 "alice@example.org" "bob@local.test" 1795356148 1795356150 false
8 198.51.100.0/24 "news-#@list.example" "carol@local.test" 1795356148 1795356148 false
10 2001:db8:1:2::/64 "x@six.example" "dave@local.test" 1795356148 1795356150 false
12 203.0.113.0/24 "" "bob@local.test" 1795356148 1795356148 false
14 203.0.113.0/24 "odd/slash\\back@x.example" "bob@local.test" 1795356148 1795356148 false
16 203.0.113.0/24 "umläut@x.example" "bob@local.test" 1795356148 1795356148 false`,
		"postgrey_clients.dump": `
6 192.0.2.8/32 1 1795356150
8 2001:db8:1:2::6/128 1 1795356150`,
	} {
		f, err := os.Open(filepath.Join("testdata", file))
		if err != nil {
			t.Fatal(err)
		}
		var r reading
		r.check(t, Postgrey(f, r.triplet, r.client, r.bad), want)
		f.Close()
	}
}

func TestPostgrey(t *testing.T) {
	const head = "VERSION=3\nformat=print\ntype=btree\nHEADER=END\n"
	var r reading
	r.check(t, Postgrey(strings.NewReader(head+
		" 192.0.2.7/a@b.example/c/d@e.example\n 1700000000,1700000300,host.example\n"+
		" da39a3ee5e6b4b0d3255bfef95601890afd80709\n 1700000000,1700000300\n"+
		" 192.0.2.7/a@b.example/c@d\n soon,1700000300\n"+
		" 192.0.2.7/nobody\n 1700000000,1700000300\n"+
		" nobody/a@b/c@d\n 1700000000,1700000300\n"+
		" 192.0.2.9\n -4,1700000300\n"+
		" bad\\zz\n 1,1700000300\n"+
		" 192.0.2.10\n 4,1700000300\n"+
		" alone\nDATA=END\n"+head+" 192.0.2.11\n 5,1700000300\nDATA=END\nsomething else\n"),
		r.triplet, r.client, r.bad), `
5 192.0.2.7/32 "a@b.example" "c/d@e.example" 1700000000 1700000300 false
bad 7: its key is a hash (postgrey --privacy): whose it is nobody can tell
bad 9: "soon,1700000300" is no value of Postgrey's
bad 11: not a sender and a recipient: "192.0.2.7/nobody"
bad 13: the client is no address: "nobody/a@b/c@d"
bad 15: not a client and how often it passed: "192.0.2.9 -4,1700000300"
bad 17: cannot be decoded: " bad\\zz"
19 192.0.2.10/32 4 1700000300
bad 21: a key without a value
27 192.0.2.11/32 5 1700000300
bad 30: not a dump of Berkeley DB's: "something else"`)
}

func TestTables(t *testing.T) {
	for text, want := range map[string]string{
		// mysqldump
		"-- MySQL dump 10.13\n/*!40101 SET NAMES utf8 */;\nDROP TABLE IF EXISTS `Bounces`;\nCREATE TABLE `Bounces` (\n  `tstamp` int(11) NOT NULL DEFAULT '0',\n  `msgid` varchar(70),\n `auser` varchar(255) COMMENT 'a, (b);',\n  `sender` varchar(255),\n  KEY `k` (`auser`,`tstamp`)\n) ENGINE=MyISAM;\nLOCK TABLES `Bounces` WRITE;\n" +
			"INSERT INTO `Bounces` VALUES (1700000000,'mx1:1abcde-000001-AB','bob\\'s ''id''','a@b'),\n(1700000001,'1abcde-000002-AB',_binary 'x;\\\\y',NULL);\n" +
			"INSERT INTO `Bounces` (`sender`,`auser`,`msgid`,`tstamp`) VALUES ('s','u','h:m',1700000002);\nINSERT INTO `Other` VALUES (1,');');\nUNLOCK TABLES;\n": `
12 "mx1" "1abcde-000001-AB" "bob's 'id'" "a@b" 1700000000
13 "" "1abcde-000002-AB" "x;\\y" "" 1700000001
14 "h" "m" "u" "s" 1700000002`,
		"INSERT INTO Bounces VALUES ('a:b','u','s',-5),('a:b','u','s'),('','u','s',1700000000),('x:y','u','s','2023-11-14 22:13:20');\n": `
bad 1: not a time: "-5"
bad 1: 3 values for 4 columns
bad 1: no message id, or nobody to blame
1 "x" "y" "u" "s" 1700000000`,
		"INSERT INTO Bounces SELECT * FROM x;\nINSERT INTO Bounces VALUES ('a:b','u','s',1700000000); INSERT INTO Bounces VALUES ('a:b','u','open\n": `
bad 1: an INSERT that is not of mysqldump's form
2 "a" "b" "u" "s" 1700000000
bad 3: ends in the middle of a statement`,
		// mysql -B
		"msgid\tauser\tsender\ttstamp\nmx1:m1\tbob\ta\\tb\\\\\t1700000000\nm2\tx\n": `
2 "mx1" "m1" "bob" "a\tb\\" 1700000000
bad 3: 2 columns, not 4`,
		"tstamp\tmsgid\tauser\tsender\n1700000000\tm\tu\ts\n": `2 "" "m" "u" "s" 1700000000`,
		"mx1:m1\tbob\ts\t1700000000\n":                        `1 "mx1" "m1" "bob" "s" 1700000000`,
		"just one\n":                                          `bad 1: 1 columns, which is none of the tables that were expected`,
		"":                                                    ``,
	} {
		var r reading
		r.check(t, Bounces(strings.NewReader(text), r.bounce, r.bad), want)
	}
	var r reading
	r.check(t, Tarlist(strings.NewReader("CREATE TABLE Tarlist (IP varchar(16), tstamp int);\nCREATE TABLE IPlist (IP varchar(16));\nINSERT INTO `Tarlist` VALUES ('192.0.2.7',1700000000),('2001:db8:1234:56',1700000000),('192.0.2.0/24',1700000000);\nINSERT INTO IPlist VALUES ('192.0.2.9'),('198.51.100.');\n"), r.offence, r.client, r.bad), `
3 192.0.2.7 1700000000
bad 3: not an address: "2001:db8:1234:56"
bad 3: not an address and a time: "192.0.2.0/24 1700000000"
4 192.0.2.9/32 0 0
4 198.51.100.0/24 0 0`)
	r = reading{}
	r.check(t, Tarlist(strings.NewReader("IP\n192.0.2.9\n"), r.offence, r.client, r.bad), `2 192.0.2.9/32 0 0`)
	r = reading{}
	r.check(t, Tarlist(strings.NewReader("IP\ttstamp\n192.0.2.9\t1700000000\n"), r.offence, r.client, r.bad), `2 192.0.2.9 1700000000`)
}

// A value that is too long is not half a value, and what follows it is read.
func TestLongValues(t *testing.T) {
	var r reading
	text := "INSERT INTO Bounces VALUES ('a:b','" + strings.Repeat("u", longest+1) + "','s',1700000000),('a:c','u','s',1700000000);"
	r.check(t, Bounces(strings.NewReader(text), r.bounce, r.bad), fmt.Sprintf("bad 1: a value of more than %d bytes\n1 \"a\" \"c\" \"u\" \"s\" 1700000000", longest))
}

// The records' taker can end the reading.
func TestTakerEnds(t *testing.T) {
	stop := fmt.Errorf("enough")
	n := 0
	err := Names(strings.NewReader("a\nb\n"), func(Name) error { n++; return stop }, func(int, string) {})
	if err != stop || n != 1 {
		t.Errorf("%v after %d", err, n)
	}
	err = Bounces(strings.NewReader("INSERT INTO Bounces VALUES ('a','u','s',1700000000),('b','u','s',1700000000);"), func(Bounce) error { n++; return stop }, func(int, string) {})
	if err != stop || n != 2 {
		t.Errorf("%v after %d", err, n)
	}
}

// No bytes make a reader fail, hang or keep much; each record is well formed.
func FuzzAll(f *testing.F) {
	for _, seed := range []string{listed, "[white]\n1 = 1700000000 1700000000 1\n", "1 = 192.0.2.1 a@b c@d\n", "format=print\nHEADER=END\n a\n b\nDATA=END\n",
		"CREATE TABLE `Bounces` (`a` int);INSERT INTO `Bounces` VALUES (1,'x''\\'');", "IP\ttstamp\n192.0.2.1\t1700000000\n", "/* x", "-- ", "INSERT INTO Tarlist VALUES ('192.0.2.1',1700000000"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var r reading
		seconds := func(n int64) {
			if !plausible(n) {
				t.Errorf("a time that is none: %d", n)
			}
		}
		triplet := func(x Triplet) error {
			if !x.Client.IsValid() || x.Recipient == "" {
				t.Errorf("%+v", x)
			}
			seconds(x.First)
			seconds(x.Last)
			return nil
		}
		g, err := ReadGreylistd(strings.NewReader(text), r.bad)
		if err == nil {
			err = g.Triplets(strings.NewReader(text), triplet, r.bad)
		}
		for _, more := range []error{
			err,
			Names(strings.NewReader(text), func(n Name) error {
				if n.Name == "" {
					t.Error("no name")
				}
				return nil
			}, r.bad),
			Relays(strings.NewReader(text), r.name, r.bad),
			Postgrey(strings.NewReader(text), triplet, r.client, r.bad),
			Bounces(strings.NewReader(text), func(b Bounce) error { seconds(b.At); return nil }, r.bad),
			Tarlist(strings.NewReader(text), func(o Offence) error { seconds(o.At); return nil }, r.client, r.bad),
		} {
			if more != nil {
				t.Error(more)
			}
		}
	})
}

func TestNetwork(t *testing.T) {
	for text, want := range map[string]string{
		"192.0.2.7": "192.0.2.7/32", "192.0.2.": "192.0.2.0/24", "192.0": "192.0.0.0/16", "192": "invalid Prefix", "": "invalid Prefix", "192.0.2.7/24": "192.0.2.0/24",
		"2001:DB8::1": "2001:db8::1/128", "::ffff:192.0.2.7": "192.0.2.7/32", "fe80::1%eth0": "invalid Prefix", "1.2.3.4.5": "invalid Prefix",
	} {
		if got, _ := network(text); got.String() != want {
			t.Errorf("%s: %s", text, got)
		}
	}
}
