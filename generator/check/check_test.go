package check_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"exipol/generator/check"
	"exipol/generator/diag"
	"exipol/generator/load"
	"exipol/generator/policy"
)

// errorsDir holds broken policies with what is to be said about them.
const errorsDir = "../../testdata/errors"

// judge loads and checks policies, as the commands do.
func judge(files map[string][]byte, vars map[string]string) (*policy.Set, diag.List) {
	set, diags := load.Parse(files, vars)
	return set, append(diags, check.Check(set)...).Sorted()
}

// one judges one file, an exipol block put before it where it has none.
func one(src string) diag.List {
	if !strings.Contains(src, "exipol {") {
		src = "exipol {\n  format = 1\n}\n" + src
	}
	_, diags := judge(map[string][]byte{"policy.hcl": []byte(src)}, nil)
	return diags
}

func codes(l diag.List) []string {
	var out []string
	for _, d := range l {
		out = append(out, d.Code)
	}
	return out
}

// Every case of testdata/errors: the files of an archive are a policy set, its
// member "vars" has values of variables (name=value), "stderr" what is said.
// UPDATE=1 rewrites stderr. Every code of the table that a policy can cause (those with
// an example) must be among them.
func TestErrorCases(t *testing.T) {
	cases, err := filepath.Glob(filepath.Join(errorsDir, "*.txtar"))
	if err != nil || len(cases) == 0 {
		t.Fatalf("no cases in %s: %v", errorsDir, err)
	}
	produced := map[string]bool{}
	for _, name := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			for _, code := range codes(errorCase(t, name)) {
				produced[code] = true
			}
		})
	}
	for _, c := range diag.Codes {
		if !produced[c.Code] && c.Bad != "" {
			t.Errorf("no case in %s produces %s (%s)", errorsDir, c.Code, c.Title)
		}
	}
	for code := range produced {
		if _, ok := diag.CodeOf(code); !ok {
			t.Errorf("%s is not in the table of codes", code)
		}
	}
}

func errorCase(t *testing.T, name string) diag.List {
	archive, err := txtar.ParseFile(name)
	if err != nil {
		t.Fatal(err)
	}
	files, vars := map[string][]byte{}, map[string]string{}
	var want []byte
	for _, f := range archive.Files {
		switch f.Name {
		case "stderr":
			want = f.Data
		case "vars":
			for _, line := range strings.Split(strings.TrimSpace(string(f.Data)), "\n") {
				k, v, _ := strings.Cut(line, "=")
				vars[k] = v
			}
		default:
			files[f.Name] = f.Data
		}
	}
	var got bytes.Buffer
	set, diags := judge(files, vars)
	if err := diag.Text(&got, diags, set.Files); err != nil {
		t.Fatal(err)
	}
	if os.Getenv("UPDATE") != "" {
		archive.Files = slices.DeleteFunc(archive.Files, func(f txtar.File) bool { return f.Name == "stderr" })
		archive.Files = append(archive.Files, txtar.File{Name: "stderr", Data: got.Bytes()})
		if err := os.WriteFile(name, txtar.Format(archive), 0o644); err != nil {
			t.Fatal(err)
		}
		want = got.Bytes()
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("said:\n%s\nwanted:\n%s", got.Bytes(), want)
	}
	// The same every time, whatever the order of maps.
	for range 5 {
		set, again := judge(files, vars)
		var b bytes.Buffer
		if err := diag.Text(&b, again, set.Files); err != nil || !bytes.Equal(b.Bytes(), got.Bytes()) {
			t.Fatalf("a second run said:\n%s", b.Bytes())
		}
	}
	for _, d := range diags {
		if d.Subject.Filename == "" && d.Code != "EP106" && d.Code != "EP117" {
			t.Errorf("%s %q has no place", d.Code, d.Summary)
		}
	}
	return diags
}

// The examples of docs/codes.md do what the page says.
func TestExamplesOfCodes(t *testing.T) {
	for _, c := range diag.Codes {
		if c.Bad == "" {
			continue
		}
		if got := codes(one(c.Bad)); !slices.Equal(slices.Compact(got), []string{c.Code}) {
			t.Errorf("%s: the bad example makes %v:\n%s", c.Code, got, c.Bad)
		}
		if got := one(c.Good); len(got) != 0 {
			t.Errorf("%s: the good example makes %v:\n%s", c.Code, got, c.Good)
		}
	}
}

// What must not be warned about.
func TestNoFalseAlarm(t *testing.T) {
	for name, src := range map[string]string{
		"defaults":                "greylist \"inbound\" {}",
		"stronger at a higher":    limit("event = unknown_recipient", `tier "a" { over = "5/1h" defer {} } tier "b" { over = "50/1h" deny {} }`),
		"stronger, other window":  limit("event = recipient", `tier "a" { over = "100/1h" defer {} } tier "b" { over = "200/24h" deny {} }`),
		"same, override raises":   limit("event = recipient", `tier "a" { over = "100/1h" defer {} } tier "b" { over = "500/1h" deny {} } override "o" { only = [list.l] over = { a = "1000/1h" } }`) + "\nlist \"l\" { clients = [\"192.0.2.1\"] }",
		"delay beside a verdict":  limit("event = unknown_recipient", `tier "a" { over = "5/1h" deny {} } tier "b" { over = "50/1h" delay { fixed = "5s" } }`),
		"header beside a delay":   limit("event = recipient", `tier "a" { over = "5/1h" delay { fixed = "5s" } } tier "b" { over = "50/1h" add_header = { X = "y" } }`),
		"everybody but with end":  limit("event = recipient\nexcept = [list.l]", `tier "a" { over = "5/1h" defer {} }`) + "\nlist \"l\" {\nentry {\nclient = \"0.0.0.0/0\"\nuntil = \"2030-01-01\"\n}\n}",
		"clients at message":      limit("event = message\nexcept = [list.l.client]", `tier "a" { over = "5/1h" freeze {} }`) + "\nlist \"l\" {\nclients = [\"192.0.2.1\"]\nrecipients = [\"a@example.com\"]\n}",
		"relay at connection":     limit("traffic = \"relay\"\nevent = connection", `tier "a" { over = "5/1h" drop {} }`),
		"newline in a message":    limit("event = recipient", "tier \"a\" {\n over = \"5/1h\"\n deny {\n message = \"one\\ntwo\"\n }\n }"),
		"selective":               "pool \"a\" {\nspf = [\"_spf.example.com\"]\n}\nlist \"l\" {\nsenders = [\"*@example.com\"]\n}\ngreylist \"x\" {\nkey = [client.pool, sender]\nsuspicious = [no_reverse_dns, no_dnswl, spf_fail, dnslist(\"zen.spamhaus.org=127.0.0.2\"), dnslist(\"zen.spamhaus.org=127.0.0.10\")]\nspare = [pool, dnswl, spf_pass(list.l)]\nurgent = [list.l]\n}",
		"SPF without a pool":      "greylist \"x\" {\nkey = [client.pool, sender]\n}",
		"learned for SPF":         "list \"l\" {\nlearn {}\n}\ngreylist \"x\" {\nspare = [spf_pass(list.l)]\n}",
		"learned, only":           "list \"l\" {\nlearn {}\n}\n" + limit("event = message\nonly = [list.l]", `tier "a" { over = "5/1h" freeze {} }`),
		"learned recipients":      "list \"l\" {\nlearn {}\n}\n" + limit("traffic = \"submission\"\nevent = recipient\nexcept = [list.l.recipient]", `tier "a" { over = "5/1h" defer {} }`),
		"a pool in only":          "pool \"a\" {\nclients = [\"192.0.2.0/24\"]\n}\n" + limit("event = connection\nonly = [pool.a]", `tier "a" { over = "5/1h" drop {} }`),
		"a pool for a limit":      "pool \"a\" {\nclients = [\"192.0.2.0/24\"]\n}\n" + limit("event = recipient\ncount = distinct(client.pool)", `tier "a" { over = "5/1h" defer {} }`),
		"two delays that are few": limit("event = unknown_recipient", `tier "a" { over = "5/1h" delay { fixed = "20s" } }`) + limit2("event = recipient", `tier "a" { over = "5/1h" delay { fixed = "20s" } }`),
	} {
		src = strings.NewReplacer(" defer {} }", "\ndefer {}\n}\n", " deny {} }", "\ndeny {}\n}\n", " drop {} }", "\ndrop {}\n}\n", " freeze {} }", "\nfreeze {}\n}\n",
			"{ over", "{\nover", " delay { ", "\ndelay {\n", "s\" } }", "s\"\n}\n}\n", " add_header", "\nadd_header", "\"y\" } }", "\"y\" }\n}\n",
			"{ only", "{\nonly", " over = {", "\nover = {", "\"1000/1h\" } }", "\"1000/1h\" }\n}\n").Replace(src)
		if got := one(src); len(got) != 0 {
			var b bytes.Buffer
			_ = diag.Text(&b, got, nil)
			t.Errorf("%s: %s\n%s", name, b.String(), src)
		}
	}
}

func limit(head, tiers string) string {
	return "limit \"l\" {\n" + head + "\nkey = [client.ip]\n" + tiers + "\n}\n"
}

func limit2(head, tiers string) string {
	return strings.Replace(limit(head, tiers), `"l"`, `"m"`, 1)
}

// Blocks, notices and events of the log that must not be warned about.
func TestNoFalseAlarmOfTheDesk(t *testing.T) {
	const desk = "notice \"desk\" {\n  mail = [\"abuse@example.com\"]\n}\n"
	block := func(inner string) string {
		return "tier \"a\" {\n over = \"5/1h\"\n notify = [notice.desk]\n block {\n" + inner + "\n}\n}\n"
	}
	head := func(lines ...string) string { return "limit \"l\" {\n" + strings.Join(lines, "\n") + "\n" }
	defers := "tier \"a\" {\n over = \"5/1h\"\n defer {}\n}\n"
	for name, src := range map[string]string{
		"relay by address":         desk + head("traffic = \"relay\"", "event = invalid_recipient", "callout = \"10s\"", "key = [client.ip]") + block("queued = \"freeze\"\nfreeze {}"),
		"relay by owner":           desk + head("traffic = \"relay\"", "event = recipient", "key = [owner]") + block("add_header = { X-Relayed-From = \"${client.ip}\" }\nfreeze {}"),
		"relay at connect":         desk + head("traffic = \"relay\"", "event = recipient", "key = [owner]") + block("at = \"connect\"\ndeny {}"),
		"bounces that defer":       head("event = bounce", "classes = [policy]", "key = [owner]") + defers,
		"bounces of a sender":      head("event = bounce", "classes = [policy]", "key = [sender]") + defers,
		"failures by recipient":    desk + head("event = bounce", "classes = [policy]", "key = [recipient]") + "tier \"a\" {\n over = \"5/1h\"\n notify = [notice.desk]\n}\n",
		"failures and recipients":  head("events = { unknown_recipient = 1, auth_failure = 3 }", "key = [client.ip]") + defers,
		"logins from everywhere":   desk + head("event = login", "key = [auth]", "count = distinct(client.net)") + block("deny {}"),
		"failed logins":            desk + head("event = auth_failure", "key = [client.ip]", "count = distinct(login)") + "tier \"a\" {\n over = \"5/1h\"\n block {\nuntil = \"1h\"\ndeny {}\n}\n}\n",
		"several blocks":           desk + head("traffic = \"submission\"", "event = recipient", "key = [auth]") + block("defer {}") + strings.Replace(block("until = \"1h\"\nfreeze {}"), `"a"`, `"b"`, 1),
		"a tier below a block":     desk + head("traffic = \"submission\"", "event = recipient", "attempts = true", "key = [auth]") + strings.Replace(defers, `"a"`, `"b"`, 1) + block("deny {}"),
		"other keys with pass":     desk + head("traffic = \"submission\"", "event = recipient", "key = [sender]", "on_failure = \"pass\"") + block("deny {}"),
		"local, with another key":  head("traffic = \"local\"", "event = recipient", "key = [sender]") + defers,
		"a share of the refused":   desk + head("traffic = \"submission\"", "event = unknown_recipient", "key = [auth]", "count = share(recipient)", "floor = 20") + "tier \"a\" {\n over = [\"5%/1h\", \"9%/24h\"]\n notify = [notice.desk, owner]\n}\noverride \"o\" {\n only = [list.l]\n over = { a = \"50%/1h\" }\n}\n",
		"routing only, and a list": head("traffic = \"submission\"", "event = invalid_recipient", "callout = \"0s\"", "only = [list.l]", "key = [auth]") + defers,
	} {
		src += "}\n"
		if strings.Contains(src, "list.l") {
			src += "list \"l\" {\n auth = [\"joe\"]\n}\n"
		}
		if !strings.Contains(src, "notice.desk") {
			src = strings.TrimPrefix(src, desk)
		}
		if got := one(src); len(got) != 0 {
			var b bytes.Buffer
			_ = diag.Text(&b, got, nil)
			t.Errorf("%s: %s\n%s", name, b.String(), src)
		}
	}
}

// A set as it is where nothing could be loaded must not bring the rules down.
func TestEmptySets(t *testing.T) {
	check.Check(&policy.Set{})
	set, _ := load.Parse(nil, nil)
	if got := check.Check(set); len(got) != 0 {
		t.Errorf("the defaults are not fine: %v", got)
	}
}
