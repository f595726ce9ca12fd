package verify

import (
	"bytes"
	"maps"
	"testing"

	"exipol/policies"
)

// TestReadyMade has the real Exim run the text of every ready-made policy, beside the starter set as
// exipol init puts it, and of all of them together, also where the site observes.
func TestReadyMade(t *testing.T) {
	files, err := policies.Starter()
	if err != nil {
		t.Fatal(err)
	}
	starter := map[string][]byte{}
	add := func(set map[string][]byte, more []policies.File) {
		for _, f := range more {
			set[f.Name] = f.Text
		}
	}
	add(starter, files)
	sets, all := map[string]map[string][]byte{"starter": starter}, maps.Clone(starter)
	for _, name := range policies.Names() {
		files, err := policies.With(name)
		if err != nil {
			t.Fatal(err)
		}
		add(all, files)
		if starter[name+".hcl"] == nil {
			sets[name] = maps.Clone(starter)
			add(sets[name], files)
		}
	}
	observe := maps.Clone(all)
	observe["exipol.hcl"] = bytes.Replace(all["exipol.hcl"], []byte(`mode = "enforce"`), []byte(`mode = "observe"`), 1)
	sets["all"], sets["all, observing"] = all, observe
	for name, set := range sets {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			runs(t, "exim4", set)
		})
	}
}
