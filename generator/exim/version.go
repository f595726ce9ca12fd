package exim

import (
	"fmt"
	"strconv"
	"strings"
)

// Version is an Exim release, as 4.94 or 4.94.2.
type Version struct{ Major, Minor, Patch int }

// Oldest is the oldest Exim that the generated text is tested on and made for:
// 4.94 brought tainting and the readsocket of today.
var Oldest = Version{4, 94, 0}

// ParseVersion reads "4.94" or "4.94.2".
func ParseVersion(s string) (Version, error) {
	parts := strings.Split(s, ".")
	if len(parts) < 2 || len(parts) > 3 {
		return Version{}, fmt.Errorf("%q is not a version of Exim, such as 4.94 or 4.99.1", s)
	}
	var n [3]int
	for i, p := range parts {
		v, err := strconv.Atoi(p)
		if err != nil || v < 0 || p != strconv.Itoa(v) {
			return Version{}, fmt.Errorf("%q is not a version of Exim, such as 4.94 or 4.99.1", s)
		}
		n[i] = v
	}
	return Version{n[0], n[1], n[2]}, nil
}

// Less says whether v is older than w.
func (v Version) Less(w Version) bool {
	if v.Major != w.Major {
		return v.Major < w.Major
	}
	if v.Minor != w.Minor {
		return v.Minor < w.Minor
	}
	return v.Patch < w.Patch
}

func (v Version) String() string {
	if v.Patch == 0 {
		return fmt.Sprintf("%d.%d", v.Major, v.Minor)
	}
	return fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Patch)
}
