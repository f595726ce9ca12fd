package diag

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
)

const source = "exipol {\n\tclient = list.freinds\n}\nlast \u202e\x1b[31m line"

func at(file string, line, column, start, end int) hcl.Range {
	return hcl.Range{
		Filename: file,
		Start:    hcl.Pos{Line: line, Column: column, Byte: start},
		End:      hcl.Pos{Line: line, Column: column + end - start, Byte: end},
	}
}

func example() List {
	return List{
		{Code: "EP104", Severity: Error, Summary: `no list is named "freinds"`, Subject: at("a.hcl", 2, 11, 19, 31),
			Help: "did you mean list.friends?", Notes: []Note{{Text: "declared here", Range: at("b.hcl", 1, 1, 0, 4)}}},
		{Code: "EP201", Severity: Warning, Summary: "slow\x1b[2J", Detail: "One.\nTwo, 50%.", Subject: at("a.hcl", 4, 1, 34, 38)},
		{Code: "EP106", Severity: Error, Summary: "no exipol block"},
	}
}

func files() map[string]*hcl.File {
	return map[string]*hcl.File{"a.hcl": {Bytes: []byte(source)}}
}

func TestText(t *testing.T) {
	var b bytes.Buffer
	if err := Text(&b, example(), files()); err != nil {
		t.Fatal(err)
	}
	want := `a.hcl:2:11: error: no list is named "freinds" [EP104]
  |
2 | 	client = list.freinds
  | 	         ^^^^^^^^^^^^
  = note: b.hcl:1:1: declared here
  = help: did you mean list.friends?

a.hcl:4:1: warning: slow` + "\ufffd" + `[2J [EP201]
  |
4 | last ` + "\ufffd\ufffd" + `[31m line
  | ^^^^
  = One.
  = Two, 50%.

error: no exipol block [EP106]
`
	if b.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", b.String(), want)
	}
}

// A line with a secret in it is not repeated, whatever else is said of it.
func TestTextSecret(t *testing.T) {
	var b bytes.Buffer
	secret := Diagnostic{Code: "EP105", Severity: Error, Summary: "no password here", Subject: at("a.hcl", 2, 1, 9, 10), Secret: true, Help: "into a file"}
	if err := Text(&b, append(example()[:1], secret), files()); err != nil {
		t.Fatal(err)
	}
	want := "a.hcl:2:11: error: no list is named \"freinds\" [EP104]\n  = note: b.hcl:1:1: declared here\n  = help: did you mean list.friends?\n\n" +
		"a.hcl:2:1: error: no password here [EP105]\n  = help: into a file\n"
	if b.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", b.String(), want)
	}
}

// Ranges that do not fit their file must not bring the printer down.
func TestTextOddRanges(t *testing.T) {
	for _, r := range []hcl.Range{
		at("a.hcl", 9, 9, 1<<30, 1<<30+1), at("a.hcl", 1, 1, 5, 2), at("a.hcl", 1, 1, -3, -1),
		at("a.hcl", 4, 1, len(source), len(source)+9), at("missing.hcl", 1, 1, 0, 1), {Filename: "a.hcl"},
	} {
		var b bytes.Buffer
		if err := Text(&b, List{{Code: "EP101", Severity: Error, Summary: "x", Subject: r}}, files()); err != nil || b.Len() == 0 {
			t.Errorf("%v: %q, %v", r, b.String(), err)
		}
	}
}

func TestSorted(t *testing.T) {
	l := example()
	shuffled := List{l[1], l[0], l[2], l[1], l[0]}
	got := shuffled.Sorted()
	if len(got) != 3 || got[0].Code != "EP106" || got[1].Code != "EP104" || got[2].Code != "EP201" {
		t.Errorf("sorted: %v", got)
	}
	if e, w := got.Counts(); e != 2 || w != 1 || !got.HasErrors() {
		t.Errorf("counts: %d, %d", e, w)
	}
}

func TestJSON(t *testing.T) {
	var b bytes.Buffer
	if err := JSON(&b, nil); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), `"diagnostics": []`) || !strings.Contains(b.String(), `"valid": true`) {
		t.Errorf("no diagnostics: %s", b.String())
	}
	b.Reset()
	if err := JSON(&b, example()); err != nil {
		t.Fatal(err)
	}
	var got struct {
		FormatVersion string `json:"format_version"`
		Valid         bool
		ErrorCount    int `json:"error_count"`
		WarningCount  int `json:"warning_count"`
		Diagnostics   []struct {
			Code  string
			Range *struct {
				Start struct{ Line, Column, Byte int }
			}
		}
	}
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	d := got.Diagnostics
	if got.FormatVersion != "1.0" || got.Valid || got.ErrorCount != 2 || got.WarningCount != 1 || len(d) != 3 ||
		d[0].Range.Start.Byte != 19 || d[0].Range.Start.Column != 11 || d[2].Range != nil {
		t.Errorf("got %s", b.String())
	}
}

func TestGitHub(t *testing.T) {
	var b bytes.Buffer
	if err := GitHub(&b, example()); err != nil {
		t.Fatal(err)
	}
	want := "::error file=a.hcl,line=2,col=11,endLine=2,endColumn=23,title=EP104::no list is named \"freinds\"%0Ahelp: did you mean list.friends?\n" +
		"::warning file=a.hcl,line=4,col=1,endLine=4,endColumn=5,title=EP201::slow\ufffd[2J%0AOne.%0ATwo, 50%25.\n" +
		"::error title=EP106::no exipol block\n"
	if b.String() != want {
		t.Errorf("got\n%q\nwant\n%q", b.String(), want)
	}
}

func TestSARIF(t *testing.T) {
	var b bytes.Buffer
	if err := SARIF(&b, example(), "1.2.3"); err != nil {
		t.Fatal(err)
	}
	var got sarifLog
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	run := got.Runs[0]
	if got.Version != "2.1.0" || len(run.Tool.Driver.Rules) != len(Codes) || len(run.Results) != 3 {
		t.Fatalf("got %s", b.String())
	}
	for i, r := range run.Results {
		if run.Tool.Driver.Rules[r.RuleIndex].ID != example()[i].Code || r.RuleID != example()[i].Code {
			t.Errorf("result %d names rule %d", i, r.RuleIndex)
		}
	}
	if len(run.Results[0].RelatedLocations) != 1 || run.Results[0].Locations[0].Physical.Region.StartColumn != 11 || run.Results[2].Locations != nil {
		t.Errorf("got %s", b.String())
	}
}

func TestCodesPage(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "codes.md")
	got := CodesMarkdown()
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != got {
		t.Error("docs/codes.md is not what the table of codes makes; run: UPDATE=1 go test ./generator/diag/")
	}
	for i, c := range Codes {
		if i > 0 && Codes[i-1].Code >= c.Code || !strings.HasSuffix(c.Explanation, ".") || (c.Bad == "") != (c.Good == "") {
			t.Errorf("%s: order, explanation or examples", c.Code)
		}
		if found, ok := CodeOf(c.Code); !ok || found.Title != c.Title {
			t.Errorf("CodeOf(%s)", c.Code)
		}
	}
}
