package oldverbs

import (
	"testing"

	"exipol/generator/plan"
	"exipol/helper/testplan"
)

// FuzzParse: whatever is asked, there is a question that the engine can be asked, or
// a safe answer.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"TARLIST 192.0.2.1", "--grey 192.0.2.1 a@b c@d", "check --white 192.0.2.0/24 a@b c@d", "update ::1  c@d",
		"--grey 192.0.2.1 c@d, e@f", "", "--", "check", "BOUNCELIST x", "--grey 1.2.3.4.5.6.7.8/64 a b c",
	} {
		f.Add([]byte(s))
	}
	v, err := New(testplan.New("/nowhere"))
	if err != nil {
		f.Fatal(err)
	}
	empty, err := New(&plan.Plan{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		ask, ok := v.Parse(line)
		if ask.Failed == "" {
			t.Errorf("%q has no safe answer", line)
		}
		if ok && (ask.Engine == nil || ask.Answer == nil || !ask.Question.Client.IsValid() || len(ask.Question.Events) != 1) {
			t.Errorf("%q: half a question: %+v", line, ask.Question)
		}
		if ask, ok := empty.Parse(line); ok || ask.Failed == "" {
			t.Errorf("%q: a plan without policies has something to say", line)
		}
	})
}
