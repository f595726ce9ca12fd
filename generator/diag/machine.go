package diag

import (
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// JSONFormatVersion is the version of the JSON form. Its first number changes
// when something is taken away or means something else, the second when
// something is added.
const JSONFormatVersion = "1.0"

type jsonReport struct {
	FormatVersion string           `json:"format_version"`
	Valid         bool             `json:"valid"`
	ErrorCount    int              `json:"error_count"`
	WarningCount  int              `json:"warning_count"`
	Diagnostics   []jsonDiagnostic `json:"diagnostics"`
}

type jsonDiagnostic struct {
	Code     string     `json:"code"`
	Severity Severity   `json:"severity"`
	Summary  string     `json:"summary"`
	Detail   string     `json:"detail,omitempty"`
	Range    *jsonRange `json:"range,omitempty"`
	Notes    []jsonNote `json:"notes,omitempty"`
	Help     string     `json:"help,omitempty"`
}

type jsonNote struct {
	Text  string     `json:"text"`
	Range *jsonRange `json:"range,omitempty"`
}

type jsonRange struct {
	Filename string  `json:"filename"`
	Start    jsonPos `json:"start"`
	End      jsonPos `json:"end"`
}

// jsonPos counts lines and columns (in characters) from 1, bytes from 0.
type jsonPos struct {
	Line   int `json:"line"`
	Column int `json:"column"`
	Byte   int `json:"byte"`
}

func jsonRangeOf(r hcl.Range) *jsonRange {
	if r.Filename == "" {
		return nil
	}
	pos := func(p hcl.Pos) jsonPos { return jsonPos{p.Line, p.Column, p.Byte} }
	return &jsonRange{r.Filename, pos(r.Start), pos(r.End)}
}

// JSON prints the list for programs.
func JSON(w io.Writer, l List) error {
	report := jsonReport{FormatVersion: JSONFormatVersion, Valid: !l.HasErrors(), Diagnostics: []jsonDiagnostic{}}
	report.ErrorCount, report.WarningCount = l.Counts()
	for _, d := range l {
		j := jsonDiagnostic{Code: d.Code, Severity: d.Severity, Summary: d.Summary, Detail: d.Detail, Range: jsonRangeOf(d.Subject), Help: d.Help}
		for _, n := range d.Notes {
			j.Notes = append(j.Notes, jsonNote{n.Text, jsonRangeOf(n.Range)})
		}
		report.Diagnostics = append(report.Diagnostics, j)
	}
	return encode(w, report)
}

func encode(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// GitHub prints the list as workflow commands, which GitHub Actions shows beside
// the changed lines.
func GitHub(w io.Writer, l List) error {
	data := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	property := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
	var b strings.Builder
	for _, d := range l {
		fmt.Fprintf(&b, "::%s ", d.Severity)
		if d.Subject.Filename != "" {
			fmt.Fprintf(&b, "file=%s,", property.Replace(filepath.ToSlash(d.Subject.Filename)))
		}
		if placed(d.Subject) {
			fmt.Fprintf(&b, "line=%d,col=%d,endLine=%d,", d.Subject.Start.Line, d.Subject.Start.Column, d.Subject.End.Line)
			if d.Subject.End.Line == d.Subject.Start.Line {
				fmt.Fprintf(&b, "endColumn=%d,", d.Subject.End.Column)
			}
		}
		fmt.Fprintf(&b, "title=%s::%s\n", d.Code, data.Replace(strings.Join(lines(prose(d)), "\n")))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// prose is a diagnostic's words without its place.
func prose(d Diagnostic) string {
	text := d.Summary
	if d.Detail != "" {
		text += "\n" + d.Detail
	}
	if d.Help != "" {
		text += "\nhelp: " + d.Help
	}
	return text
}

// The part of SARIF 2.1.0 (OASIS) that is used here.
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool       sarifTool     `json:"tool"`
		ColumnKind string        `json:"columnKind"`
		Results    []sarifResult `json:"results"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name    string      `json:"name"`
		Version string      `json:"version,omitempty"`
		Rules   []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID               string       `json:"id"`
		ShortDescription sarifMessage `json:"shortDescription"`
		FullDescription  sarifMessage `json:"fullDescription"`
	}
	sarifMessage struct {
		Text string `json:"text"`
	}
	sarifResult struct {
		RuleID           string          `json:"ruleId"`
		RuleIndex        int             `json:"ruleIndex"`
		Level            Severity        `json:"level"`
		Message          sarifMessage    `json:"message"`
		Locations        []sarifLocation `json:"locations,omitempty"`
		RelatedLocations []sarifLocation `json:"relatedLocations,omitempty"`
	}
	sarifLocation struct {
		ID       *int          `json:"id,omitempty"`
		Physical sarifPhysical `json:"physicalLocation"`
		Message  *sarifMessage `json:"message,omitempty"`
	}
	sarifPhysical struct {
		Artifact sarifArtifact `json:"artifactLocation"`
		Region   *sarifRegion  `json:"region,omitempty"`
	}
	sarifArtifact struct {
		URI string `json:"uri"`
	}
	sarifRegion struct {
		StartLine   int `json:"startLine"`
		StartColumn int `json:"startColumn"`
		EndLine     int `json:"endLine"`
		EndColumn   int `json:"endColumn"`
	}
)

func sarifPlace(r hcl.Range) sarifLocation {
	name := filepath.ToSlash(r.Filename)
	loc := sarifLocation{Physical: sarifPhysical{Artifact: sarifArtifact{URI: (&url.URL{Path: name}).String()}}}
	if placed(r) {
		loc.Physical.Region = &sarifRegion{r.Start.Line, r.Start.Column, r.End.Line, r.End.Column}
	}
	return loc
}

// SARIF prints the list as SARIF 2.1.0, for code scanning services. Version is
// this program's, "" for none.
func SARIF(w io.Writer, l List, version string) error {
	run := sarifRun{
		Tool:       sarifTool{sarifDriver{Name: "exipol", Version: version, Rules: []sarifRule{}}},
		ColumnKind: "unicodeCodePoints",
		Results:    []sarifResult{},
	}
	index := map[string]int{}
	for i, c := range Codes {
		index[c.Code] = i
		run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, sarifRule{c.Code, sarifMessage{c.Title}, sarifMessage{c.Explanation}})
	}
	for _, d := range l {
		r := sarifResult{RuleID: d.Code, RuleIndex: index[d.Code], Level: d.Severity, Message: sarifMessage{prose(d)}}
		if d.Subject.Filename != "" {
			r.Locations = []sarifLocation{sarifPlace(d.Subject)}
		}
		for i, n := range d.Notes {
			if n.Range.Filename == "" {
				continue
			}
			loc := sarifPlace(n.Range)
			loc.ID, loc.Message = &i, &sarifMessage{n.Text}
			r.RelatedLocations = append(r.RelatedLocations, loc)
		}
		run.Results = append(run.Results, r)
	}
	return encode(w, sarifLog{
		Schema:  "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
		Version: "2.1.0",
		Runs:    []sarifRun{run},
	})
}
