package policies_test

import (
	"bytes"
	"io/fs"
	"maps"
	"slices"
	"testing"

	"exipol/generator"
	"exipol/generator/diag"
	"exipol/generator/load"
	"exipol/generator/plan"
	"exipol/policies"
)

// site is what a ready-made file is put beside.
const site = "starter/exipol.hcl"

// expected are the codes of the warnings that a set is meant to cause.
var expected = map[string][]string{
	"tarpit-classic.hcl": {"EP201"}, // a long delay, as its comment says
	"all of them":        {"EP201"},

	"starter with tarpit-classic": {"EP216"}, // a longer delay than the starter set's max_delay
	"starter with abuse-desk":     {"EP226"}, // nobody tells it anything
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	text, err := fs.ReadFile(policies.Files, name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// parts are files that hold no policy, only what policies refer to: each with a
// policy that does.
var parts = map[string]string{
	"provider-pools.hcl":       `greylist "x" { spare = [pool] }`,
	"known-correspondents.hcl": `greylist "x" { except = [list.correspondents.sender] }`,
	"code-senders.hcl":         `greylist "x" { urgent = [list.code_senders] }`,
	"abuse-desk.hcl":           "limit \"x\" {\n  event = bounce\n  classes = [no_such_user]\n  key = [owner]\n  tier \"t\" {\n    over = \"1/1h\"\n    notify = [notice.desk]\n  }\n}\n",
}

// sets lists every single file with what belongs beside it, and starter.
func sets(t *testing.T) map[string]map[string][]byte {
	t.Helper()
	out := map[string]map[string][]byte{}
	singles, err := fs.Glob(policies.Files, "*.hcl")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]byte{}
	for _, name := range singles {
		beside := read(t, site)
		if name == "tarpit-classic.hcl" {
			beside = bytes.Replace(beside, []byte(`max_delay = "25s"`), []byte(`max_delay = "120s"`), 1)
		}
		out[name] = map[string][]byte{name: read(t, name), "exipol.hcl": beside}
		for _, other := range policies.Beside(name) {
			out[name][other] = read(t, other)
		}
		if policy := parts[name]; policy != "" {
			out[name]["policy.hcl"] = []byte(policy)
		}
		all[name] = read(t, name)
	}
	all["exipol.hcl"] = bytes.Replace(read(t, site), []byte(`max_delay = "25s"`), []byte(`max_delay = "120s"`), 1)
	out["all of them"] = all
	set, err := policies.Starter()
	if err != nil {
		t.Fatal(err)
	}
	starter := map[string][]byte{}
	for _, file := range set {
		starter[file.Name] = file.Text
	}
	out["starter"] = starter
	onServer := maps.Clone(starter)
	onServer["exipol.hcl"] = otherStore(t, starter["exipol.hcl"])
	out["starter with the store in its comment"] = onServer
	// And what exipol init --with writes.
	for _, name := range policies.Names() {
		with := maps.Clone(starter)
		files, err := policies.With(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			with[file.Name] = file.Text
		}
		out["starter with "+name] = with
	}
	return out
}

// otherStore takes the store that stands in a comment, in place of the one that does not.
func otherStore(t *testing.T, text []byte) []byte {
	t.Helper()
	before, rest, found := bytes.Cut(text, []byte("store \"sqlite\" {\n"))
	_, rest, closed := bytes.Cut(rest, []byte("}\n"))
	if !found || !closed || bytes.Count(rest, []byte("# store \"mysql\" {\n")) != 1 {
		t.Fatalf("no store, or no comment behind it, in\n%s", text)
	}
	out, rest := slices.Clone(before), bytes.TrimPrefix(rest, []byte("\n"))
	inside := false
	for line := range bytes.Lines(rest) {
		inside = inside || bytes.HasPrefix(line, []byte("# store "))
		if inside {
			code := bytes.TrimPrefix(line, []byte("# "))
			inside = !bytes.Equal(code, []byte("}\n"))
			line = code
		}
		out = append(out, line...)
	}
	formatted, diags := load.Format(out, "exipol.hcl")
	if len(diags) > 0 || !bytes.Equal(formatted, out) {
		t.Errorf("the store in the comment is not in its canonical form; it is\n%s", formatted)
	}
	return out
}

// TestBuild compiles every ready-made policy; what it warns of must be known.
func TestBuild(t *testing.T) {
	for name, files := range sets(t) {
		t.Run(name, func(t *testing.T) {
			r, err := generator.BuildFiles(files, nil, "test")
			if err != nil {
				t.Fatal(err)
			}
			var said bytes.Buffer
			if err := diag.Text(&said, r.Diags, r.Set.Files); err != nil {
				t.Fatal(err)
			}
			if r.Diags.HasErrors() {
				t.Fatalf("errors:\n%s", said.String())
			}
			for _, d := range r.Diags {
				if !slices.Contains(expected[name], d.Code) {
					t.Errorf("an unexpected warning:\n%s", said.String())
				}
			}
			if len(expected[name]) > 0 && len(r.Diags) == 0 {
				t.Error("the warning that its comment speaks of did not come")
			}
			if mysql := name == "starter with the store in its comment"; mysql != (r.Plan.Store.Kind == plan.MySQL) {
				t.Errorf("its store is of kind %s", r.Plan.Store.Kind)
			}
			if len(r.Plan.Greylists)+len(r.Plan.Limits) == 0 {
				t.Error("it has no policy")
			}
		})
	}
}

// TestCanonical holds the files to what `exipol fmt` writes.
func TestCanonical(t *testing.T) {
	err := fs.WalkDir(policies.Files, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		formatted, diags := load.Format(read(t, name), name)
		if len(diags) > 0 {
			t.Errorf("%s: %v", name, diags)
		}
		if !bytes.Equal(formatted, read(t, name)) {
			t.Errorf("%s is not in its canonical form; it is\n%s", name, formatted)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
