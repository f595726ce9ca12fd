package load

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"

	"exipol/generator/diag"
	"exipol/generator/language"
	"exipol/generator/plan"
	"exipol/generator/policy"
)

const native = `
exipol {
  format = 1
}

site {
  exim        = "4.96"
  layout      = "custom"
  mode        = "observe"
  admin       = "abuse@example.com"
  domains     = ["+local_domains", "*.example.com"]
  relay_hosts = ["192.0.2.0/24", "2001:db8::1"]
  forwarders  = ["198.51.100.7"]
  max_delay   = "20s"
  acl {
    rcpt    = "acl_check_rcpt"
    predata = ""
  }
}

helper {
  timeout    = "4s"
  on_failure = "pass"
  mainlog    = ["/var/log/exim4/mainlog", "/var/log/exim4/mainlog2"]
  dns        = ["127.0.0.1:5353", "192.0.2.53", "::1", "[2001:db8::53]:54"]
  pools      = "/etc/exipol/pools.json"
}

store "sqlite" {
  path = "/srv/exipol.db"
}

variable "rate" {
  type    = number
  default = 100
}

variable "zone" {
  default = "own.example"
}

variable "hosts" {
  type    = list(string)
  default = ["203.0.113.1"]
}

locals {
  text = "ask ${site.admin}"
}

pool "google" {
  spf     = ["_SPF.google.com."]
  clients = ["192.0.2.0/24"]
}

list "friends" {
  reviewed = "2026-11-22"
  learn {
  }
  learn {
    traffic  = "relay"
    from     = recipient.domain
    remember = "30d"
  }
  clients = concat(var.hosts, ["::ffff:192.0.2.9"])
  senders = ["Joe@Example.com", "<>"]
  entry {
    sender = "*@*.partner.example"
    until  = "2027-03-01"
    why    = "migration"
    owner  = "Ann"
  }
  entry {
    auth  = "Joe"
    until = "2027-03-01T12:00:00+02:00"
  }
}

greylist "inbound" {
  except     = [list.friends.sender]
  suspicious = [no_reverse_dns, dnslist("${var.zone}=127.0.0.11, 127.0.0.2"), dnslist("Zen.spamhaus.org."), no_dnswl]
  spare      = [pool, dnswl("wl.example"), spf_pass(list.friends)]
  urgent     = [list.friends]
  trust {
    after = 3
  }
}

limit "tarpit" {
  events = { unknown_recipient = 1, helo = 3 }
  key    = [net(client.ip, 24, 56), helo]
  except = [list.friends, greylist.inbound.trusted, pool.google]
  tier "slow" {
    over       = ["5/4h", "${var.rate}/1d"]
    add_header = { X-Slow = local.text }
    delay {
      each     = "2s"
      max      = "25s"
      sleepers = 5
    }
    defer {
      message = "slow: $${x}"
    }
  }
  override "some" {
    only = [list.friends.client]
    over = { slow = "50/4h" }
  }
}

limit "spread" {
  traffic    = "submission"
  event      = recipient
  key        = [auth, client.pool]
  count      = distinct(recipient.domain)
  attempts   = true
  mode       = "observe"
  on_failure = "defer"
  tier "stop" {
    over = "100/1h"
    freeze {}
  }
}
`

const inJSON = `{
  "exipol": {"format": 1},
  "site": {
    "exim": "4.96", "layout": "custom", "mode": "observe", "admin": "abuse@example.com",
    "domains": ["+local_domains", "*.example.com"], "relay_hosts": ["192.0.2.0/24", "2001:db8::1"],
    "forwarders": ["198.51.100.7"], "max_delay": "20s",
    "acl": {"rcpt": "acl_check_rcpt", "predata": ""}
  },
  "helper": {"timeout": "4s", "on_failure": "pass", "mainlog": ["/var/log/exim4/mainlog", "/var/log/exim4/mainlog2"],
    "dns": ["127.0.0.1:5353", "192.0.2.53", "::1", "[2001:db8::53]:54"], "pools": "/etc/exipol/pools.json"},
  "pool": {"google": {"spf": ["_SPF.google.com."], "clients": ["192.0.2.0/24"]}},
  "store": {"sqlite": {"path": "/srv/exipol.db"}},
  "variable": {"zone": {"default": "own.example"}, "rate": {"type": "number", "default": 100}, "hosts": {"type": "list(string)", "default": ["203.0.113.1"]}},
  "locals": {"text": "ask ${site.admin}"},
  "list": {"friends": {
    "//": "a comment",
    "reviewed": "2026-11-22",
    "learn": [{}, {"traffic": "relay", "from": "recipient.domain", "remember": "30d"}],
    "clients": "${concat(var.hosts, [\"::ffff:192.0.2.9\"])}",
    "senders": ["Joe@Example.com", "<>"],
    "entry": [
      {"sender": "*@*.partner.example", "until": "2027-03-01", "why": "migration", "owner": "Ann"},
      {"auth": "Joe", "until": "2027-03-01T12:00:00+02:00"}
    ]
  }},
  "greylist": {"inbound": {"except": ["list.friends.sender"],
    "suspicious": ["no_reverse_dns", "dnslist(\"${var.zone}=127.0.0.11, 127.0.0.2\")", "dnslist(\"Zen.spamhaus.org.\")", "no_dnswl"],
    "spare": ["pool", "dnswl(\"wl.example\")", "spf_pass(list.friends)"], "urgent": ["list.friends"], "trust": {"after": 3}}},
  "limit": {
    "tarpit": {
      "events": {"unknown_recipient": 1, "helo": 3},
      "key": ["net(client.ip, 24, 56)", "helo"],
      "except": ["list.friends", "greylist.inbound.trusted", "pool.google"],
      "tier": {"slow": {
        "over": ["5/4h", "${var.rate}/1d"], "add_header": {"X-Slow": "${local.text}"},
        "delay": {"each": "2s", "max": "25s", "sleepers": 5}, "defer": {"message": "slow: $${x}"}
      }},
      "override": {"some": {"only": ["list.friends.client"], "over": {"slow": "50/4h"}}}
    },
    "spread": {
      "traffic": "submission", "event": "recipient", "key": ["auth", "client.pool"], "count": "distinct(recipient.domain)",
      "attempts": true, "mode": "observe", "on_failure": "defer",
      "tier": {"stop": {"over": "100/1h", "freeze": {}}}
    }
  }
}`

// clear empties every range below v, so that sets from different files compare.
func clear(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			clear(v.Elem())
		}
	case reflect.Slice:
		for i := range v.Len() {
			clear(v.Index(i))
		}
	case reflect.Map:
		for _, k := range v.MapKeys() {
			item := reflect.New(v.Type().Elem()).Elem()
			item.Set(v.MapIndex(k))
			clear(item)
			v.SetMapIndex(k, item)
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[hcl.Range]() {
			v.SetZero()
			return
		}
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() && v.Type().PkgPath() != "net/netip" {
				clear(v.Field(i))
			}
		}
	}
}

func mustParse(t *testing.T, name, src string) *policy.Set {
	t.Helper()
	set, diags := Parse(map[string][]byte{name: []byte(src)}, nil)
	if len(diags) > 0 {
		var b bytes.Buffer
		_ = diag.Text(&b, diags, set.Files)
		t.Fatal(b.String())
	}
	return set
}

func TestBothForms(t *testing.T) {
	a, b := mustParse(t, "a.hcl", native), mustParse(t, "a.hcl.json", inJSON)
	a.Files, b.Files = nil, nil
	clear(reflect.ValueOf(a))
	clear(reflect.ValueOf(b))
	if !reflect.DeepEqual(a, b) {
		t.Errorf("native:\n%s\nJSON:\n%s", dump(a), dump(b))
	}
}

func TestValues(t *testing.T) {
	set := mustParse(t, "a.hcl", native)
	s, l, g, tarpit, spread := set.Site, set.Lists[0], set.Greylists[0], set.Limits[0], set.Limits[1]
	tier := tarpit.Tiers[0]
	var servers string
	for _, v := range set.Helper.DNS {
		servers = strings.TrimSpace(servers + " " + v.V)
	}
	for name, got := range map[string][2]any{
		"exim":        {s.Exim.V, "4.96"},
		"directory":   {s.Directory.V, "/etc/exim/exipol"},
		"mode":        {s.Mode.V, "observe"},
		"relay":       {s.RelayHosts[1].V.String(), "2001:db8::1/128"},
		"acl":         {s.ACL["predata"].Set && s.ACL["predata"].V == "" && !s.ACL["data"].Set, true},
		"socket":      {set.Helper.Socket.V, "/run/exipol/exipold.sock"},
		"socket set":  {set.Helper.Socket.Set, false},
		"store":       {set.Store.Kind.V + set.Store.Path.V, "sqlite/srv/exipol.db"},
		"entries":     {len(l.Entries), 6},
		"variable":    {l.Entries[0].Pattern.V, "203.0.113.1/32"},
		"mapped":      {l.Entries[1].Pattern.V, "192.0.2.9/32"},
		"lower case":  {l.Entries[2].Pattern.V, "joe@example.com"},
		"until day":   {l.Entries[4].Until.V, "2027-03-02T00:00:00Z"},
		"until":       {l.Entries[5].Until.V, "2027-03-01T10:00:00Z"},
		"auth":        {l.Entries[5].Pattern.V, "Joe"},
		"key":         {[]string{g.Key[0].Text, g.Key[1].Text, g.Key[2].Text}, []string{"client.net", "sender", "recipient"}},
		"key bits":    {g.Key[0].V4*1000 + g.Key[0].V6, 24064},
		"delay":       {g.Delay.V.String() + g.Retry.V.String() + g.Remember.V.String(), "5m1d36d"},
		"trust":       {g.Trust.After.V, int64(3)},
		"trust per":   {g.Trust.Per.V.String(), "1h"},
		"traffic":     {g.Traffic.V, "inbound"},
		"failure":     {g.OnFailure.V, ""},
		"field":       {g.Except[0].List + "." + g.Except[0].Field, "friends.sender"},
		"trusted":     {tarpit.Except[1].Trusted, "inbound"},
		"net":         {tarpit.Key[0].V4*1000 + tarpit.Key[0].V6, 24056},
		"weight":      {tarpit.Events[1].Weight.V, int64(3)},
		"rate":        {tier.Over[1].V.String(), "100/1d"},
		"verdict":     {tier.Verdict.V, "defer"},
		"message":     {tier.Message.V, "slow: ${x}"},
		"header":      {tier.AddHeader[0].Name.V + ": " + tier.AddHeader[0].Value.V[0].Text, "X-Slow: ask abuse@example.com"},
		"sleepers":    {tier.Delay.Sleepers.V, int64(5)},
		"override":    {tarpit.Overrides[0].Over[0].Tier.V + tarpit.Overrides[0].Over[0].Rates[0].V.String(), "slow50/4h"},
		"distinct":    {spread.Distinct.Field, "recipient.domain"},
		"freeze":      {spread.Tiers[0].Verdict.V + spread.Tiers[0].Message.V, "freeze"},
		"dns":         {servers, "127.0.0.1:5353 192.0.2.53:53 [::1]:53 [2001:db8::53]:54"},
		"pools file":  {set.Helper.Pools.V, "/etc/exipol/pools.json"},
		"pool":        {set.Pools[0].Name + set.Pools[0].SPF[0].V + set.Pools[0].Clients[0].V.String(), "google_spf.google.com192.0.2.0/24"},
		"pool's ref":  {tarpit.Except[2].Pool, "google"},
		"pool's key":  {spread.Key[1].Part, plan.Part{Field: "pool"}},
		"reviewed":    {l.Reviewed.V, "2026-11-22"},
		"owner":       {l.Entries[4].Owner.V, "Ann"},
		"learns":      {l.Learn[0].Traffic.V + " " + l.Learn[0].From.V + " " + l.Learn[0].Remember.V.String(), "submission recipient 60d"},
		"learns, too": {l.Learn[1].Traffic.V + " " + l.Learn[1].From.V + " " + l.Learn[1].Remember.V.String(), "relay recipient.domain 30d"},
		"bare fact":   {g.Suspicious[0].Fact, plan.Fact{Name: plan.NoReverseDNS}},
		"answers":     {g.Suspicious[1].Fact, plan.Fact{Name: plan.DNSList, Arg: "own.example=127.0.0.2,127.0.0.11"}},
		"zone":        {g.Suspicious[2].Fact, plan.Fact{Name: plan.DNSList, Arg: "zen.spamhaus.org"}},
		"zone's text": {g.Suspicious[2].Text, `dnslist("zen.spamhaus.org")`},
		"no zone":     {g.Suspicious[3].Fact, plan.Fact{Name: plan.NoDNSWL, Arg: "list.dnswl.org"}},
		"any pool":    {g.Spare[0].Fact, plan.Fact{Name: plan.InPool}},
		"white list":  {g.Spare[1].Fact, plan.Fact{Name: plan.DNSWL, Arg: "wl.example"}},
		"spf list":    {g.Spare[2].Fact, plan.Fact{Name: plan.SPFPass, Arg: "friends"}},
		"urgent":      {g.Urgent[0].Ref, plan.Ref{List: "friends"}},
		"whole":       {set.Partial, false},
		"place":       {g.DeclRange.String(), "a.hcl:79,1-19"},
		"place of ex": {g.Except[0].Range.String(), "a.hcl:80,17-36"},
	} {
		if !reflect.DeepEqual(got[0], got[1]) {
			t.Errorf("%s: %v, wanted %v", name, got[0], got[1])
		}
	}
}

// TestStoreOnServer reads both forms of a store on a server, with the hosts as the plan has
// them and what follows from them.
func TestStoreOnServer(t *testing.T) {
	store := func(more string) policy.Store {
		t.Helper()
		return mustParse(t, "a.hcl", "exipol {\n  format = 1\n}\nstore \"mysql\" {\n  database = \"exipol\"\n  user = \"exipol\"\n"+more+"\n}\n").Store
	}
	text := func(s policy.Store) string {
		var hosts []string
		for _, h := range s.Hosts {
			hosts = append(hosts, h.V)
		}
		return strings.Join(append(hosts, s.TLS.V, s.PasswordFile.V, s.CAFile.V), " ")
	}
	const password = "\npassword_file = \"/etc/exipol/db\""
	for _, c := range []struct{ more, want string }{
		{`hosts = ["DB1", "db2.Example.net.:3307", "192.0.2.7", "[2001:db8::7]:3308", "2001:db8::8"]` + password,
			"db1:3306 db2.example.net:3307 192.0.2.7:3306 [2001:db8::7]:3308 [2001:db8::8]:3306 verified /etc/exipol/db "},
		{`hosts = ["localhost", "127.0.0.2:3307", "[::1]", "::ffff:127.0.0.1", "/run/mysqld/mysqld.sock"]` + password,
			"localhost:3306 127.0.0.2:3307 [::1]:3306 127.0.0.1:3306 /run/mysqld/mysqld.sock off /etc/exipol/db "},
		{`hosts = ["/run/a.sock"]`, "/run/a.sock off  "},
		{`hosts = ["localhost"]` + password + "\ntls = \"verified\"\nca_file = \"/etc/ca.pem\"", "localhost:3306 verified /etc/exipol/db /etc/ca.pem"},
		{`hosts = ["localhost.example.net"]` + password, "localhost.example.net:3306 verified /etc/exipol/db "},
	} {
		s := store(c.more)
		if got := text(s); got != c.want || s.Kind.V != plan.MySQL || !s.Kind.Set || s.Path.V != "" || s.Connections.V != 8 {
			t.Errorf("%s\ngot  %q (%s, %d)\nwant %q", c.more, got, s.Kind.V, s.Connections.V, c.want)
		}
	}
	inJSON := mustParse(t, "a.hcl.json", `{"exipol": {"format": 1}, "variable": {"db": {"default": "db1"}},
		"store": {"mysql": {"hosts": ["${var.db}:3307", "db2"], "database": "exi-pol", "user": "e@x", "password_file": "/p", "tls": "required", "connections": 64}}}`).Store
	if got := text(inJSON); got != "db1:3307 db2:3306 required /p " || inJSON.Database.V != "exi-pol" || inJSON.User.V != "e@x" || inJSON.Connections.V != 64 {
		t.Errorf("JSON: %q %+v", got, inJSON)
	}
}

func TestVariablesFromOutside(t *testing.T) {
	files := map[string][]byte{"a.hcl": []byte(native)}
	set, diags := Parse(files, map[string]string{"rate": "7", "hosts": `["192.0.2.77", "192.0.2.78"]`})
	if len(diags) > 0 {
		t.Fatal(diags)
	}
	if got := set.Limits[0].Tiers[0].Over[1].V.Count; got != 7 {
		t.Errorf("rate %d", got)
	}
	if got := set.Lists[0].Entries[1].Pattern.V; got != "192.0.2.78/32" {
		t.Errorf("hosts %s", got)
	}
}

// A set is the sum of its files, whatever their order and division.
func TestSeveralFiles(t *testing.T) {
	one := mustParse(t, "x.hcl", native)
	files := map[string][]byte{}
	for i, part := range strings.Split(native, "\n}\n") {
		files[string(rune('a'+i))+".hcl"] = []byte(part + "\n}\n")
	}
	delete(files, string(rune('a'+len(files)-1))+".hcl") // what follows the last brace
	many, diags := Parse(files, nil)
	if len(diags) > 0 {
		t.Fatal(diags)
	}
	one.Files, many.Files = nil, nil
	clear(reflect.ValueOf(one))
	clear(reflect.ValueOf(many))
	if !reflect.DeepEqual(one, many) {
		t.Errorf("one file:\n%s\nmany:\n%s", dump(one), dump(many))
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errors.New("broken") }

func TestFinding(t *testing.T) {
	dir := t.TempDir()
	write := func(name, src string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(src), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("a.hcl", "exipol {\n  format = 1\n}\n")
	write("b.hcl.json", `{"list": {"b": {}}}`)
	write("a_test.hcl", "nonsense")
	write("a_test.hcl.json", "nonsense")
	write(".hidden.hcl", "nonsense")
	write("notes.txt", "nonsense")
	write("deeper/c.hcl", "nonsense")
	write("empty/notes.txt", "nonsense")
	at := func(names ...string) (paths []string) {
		for _, n := range names {
			paths = append(paths, filepath.Join(dir, n))
		}
		return paths
	}
	names := func(in Input) (files, codes []string) {
		set, diags := Load(in)
		for _, d := range diags {
			codes = append(codes, d.Code)
		}
		for _, n := range sortedNames(set.Files) {
			files = append(files, strings.TrimPrefix(n, dir+"/"))
		}
		return files, codes
	}
	for _, c := range []struct {
		name        string
		in          Input
		files, code string
	}{
		{"directory", Input{Paths: at("")}, "a.hcl b.hcl.json", ""},
		{"files", Input{Paths: at("a.hcl", "a_test.hcl", "a.hcl", "./b.hcl.json")}, "a.hcl b.hcl.json", ""},
		{"stdin", Input{Paths: []string{"-"}, Stdin: strings.NewReader("exipol {\n  format = 1\n}\n")}, Stdin, ""},
		{"stdin as JSON", Input{Paths: []string{"-"}, Stdin: strings.NewReader(` {"exipol": {"format": 1}}`)}, Stdin, ""},
		{"no stdin", Input{Paths: []string{"-"}}, "", "EP101"},
		{"broken stdin", Input{Paths: []string{"-"}, Stdin: brokenReader{}}, "", "EP101"},
		{"nothing there", Input{Paths: at("none.hcl")}, "", "EP101"},
		{"no policies", Input{Paths: at("empty")}, "", "EP119"},
		{"one of two missing", Input{Paths: at("none.hcl", "b.hcl.json")}, "b.hcl.json", "EP101"},
	} {
		files, codes := names(c.in)
		if got := strings.Join(files, " "); got != c.files || strings.Join(codes, " ") != c.code {
			t.Errorf("%s: files %q, codes %q", c.name, got, codes)
		}
	}
}

// Every default of the table must be readable by the reader of its type, and
// every function have an entry in the table.
func TestTableAndReadersAgree(t *testing.T) {
	set, diags := Parse(map[string][]byte{"a.hcl": []byte("exipol {\n  format = 1\n}\ngreylist \"a\" {\n  trust {}\n}\nlimit \"b\" {\n  event = recipient\n  key = [sender]\n" +
		"  tier \"c\" {\n    over = \"1/1h\"\n    delay {\n      fixed = \"1s\"\n    }\n    deny {}\n  }\n}\n")}, nil)
	if len(diags) > 0 {
		t.Fatal(diags)
	}
	if h := set.Helper; h.Timeout.V == 0 || h.Socket.V == "" || len(h.Mainlog) != 1 || set.Site.MaxDelay.V == 0 || len(set.Site.RelayHosts) != 2 ||
		set.Limits[0].Tiers[0].Message.V == "" || set.Limits[0].Tiers[0].Delay.Sleepers.V != 10 || set.Limits[0].Engine.V != "exipol" {
		t.Errorf("defaults: %s", dump(set))
	}
	var names []string
	for _, f := range language.Functions {
		names = append(names, f.Name)
	}
	if !slices.Equal(names, sortedNames(functions)) {
		t.Errorf("functions %v, in the table %v", sortedNames(functions), names)
	}
	// The stages of site.acl are the plan's.
	var stages []string
	for _, a := range language.Root.Block("site").Block("acl").Arguments {
		stages = append(stages, a.Name)
	}
	acls := slices.DeleteFunc(slices.Clone(plan.StageOrder), func(s string) bool { return s == plan.Delivery }) // which is none
	if !slices.Equal(stages, acls) {
		t.Errorf("acl has the stages %v, the plan %v", stages, plan.StageOrder)
	}
}
