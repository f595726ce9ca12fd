// Package version is the version that both programs give as theirs, and that the
// manifest names.
package version

import "runtime/debug"

// Number is the release. It is a constant, and not taken from how the program was
// built, so that two builds of one release write the same manifest.
const Number = "0.1.0"

// Build says how this program was built: the compiler, and the commit where it is
// known.
type Build struct {
	Version  string `json:"version"`
	Go       string `json:"go"`
	Revision string `json:"revision,omitempty"`
	Modified bool   `json:"modified,omitempty"`
}

// Current is the running program's build.
func Current() Build {
	b := Build{Version: Number}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	b.Go = info.GoVersion
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}
