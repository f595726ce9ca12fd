package pools

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/google/renameio/v2"
)

// formatVersion is that of the file. A reader refuses any other.
const formatVersion = 1

// mostFile is how long a file may be, in bytes: all pools that one could want.
const mostFile = 64 << 20

// Networks is what is known of one pool.
type Networks struct {
	Name     string         `json:"name"`
	Networks []netip.Prefix `json:"networks"`          // sorted, none within another
	Notes    []string       `json:"notes,omitempty"`   // what of its records is not a network, see Resolve
	Resolved time.Time      `json:"resolved,omitzero"` // when DNS said so; in a pinned file left out, so that it only changes where networks do

	SPF  []string    `json:"spf,omitempty"`         // the domains whose records said so, sorted; none: nobody wrote them down
	Last *LastChange `json:"last_change,omitempty"` // nil: none since it was first resolved; not in a pinned file
}

// LastChange is what the last refresh of a pool that changed anything did to it.
type LastChange struct {
	At      time.Time      `json:"at"`
	Added   []netip.Prefix `json:"added,omitempty"` // sorted
	Removed []netip.Prefix `json:"removed,omitempty"`
}

// file is what Write writes.
type file struct {
	FormatVersion int        `json:"format_version"`
	Pools         []Networks `json:"pools"` // sorted by name
}

// Read reads a file of pools; an error of a missing file is fs.ErrNotExist's. Networks
// that Resolve would not give are an error, too: a file may be older than its checks.
func Read(path string) ([]Networks, error) {
	// Opening a named pipe waits until somebody writes into it.
	if st, err := os.Stat(path); err == nil && !st.Mode().IsRegular() {
		return nil, fmt.Errorf("reading pools: %s is no regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading pools: %w", err)
	}
	defer func() { _ = f.Close() }()
	all, err := decode(io.LimitReader(f, mostFile))
	if err != nil {
		return nil, fmt.Errorf("reading pools from %s: %w", path, err)
	}
	return all, nil
}

func decode(r io.Reader) ([]Networks, error) {
	d := json.NewDecoder(r)
	d.DisallowUnknownFields()
	var w written
	if err := d.Decode(&w); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one value")
	}
	if w.FormatVersion != formatVersion {
		return nil, fmt.Errorf("format_version %d, not %d", w.FormatVersion, formatVersion)
	}
	f, err := w.file()
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for _, n := range f.Pools {
		switch {
		case n.Name == "":
			return nil, errors.New("a pool without a name")
		case seen[n.Name]:
			return nil, fmt.Errorf("pool %s stands there twice", n.Name)
		}
		seen[n.Name] = true
		for _, p := range n.Networks {
			if !p.IsValid() || p.Addr().Is4In6() {
				return nil, fmt.Errorf("pool %s: %q is not a network", n.Name, p)
			}
		}
	}
	all := canonical(f.Pools)
	for _, n := range all {
		if err := check(n.Networks); err != nil {
			return nil, fmt.Errorf("pool %s: %w", n.Name, err)
		}
	}
	return all, nil
}

// canonical is the form in which pools are kept: sorted, merged.
func canonical(all []Networks) []Networks {
	all = slices.Clone(all)
	for i := range all {
		all[i].Networks = Merge(all[i].Networks)
		if all[i].Networks == nil {
			all[i].Networks = []netip.Prefix{} // an empty list rather than null
		}
	}
	slices.SortFunc(all, func(a, b Networks) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// Write writes a file of pools that is the same for the same pools, all of it or
// nothing.
func Write(path string, all []Networks) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	f := file{formatVersion, canonical(all)}
	if f.Pools == nil {
		f.Pools = []Networks{}
	}
	err := e.Encode(f)
	if err == nil {
		err = renameio.WriteFile(path, b.Bytes(), 0o644, renameio.WithStaticPermissions(0o644))
	}
	if err != nil {
		return fmt.Errorf("writing pools to %s: %w", path, err)
	}
	return nil
}

// Change is what became of one pool.
type Change struct {
	Name    string         `json:"name"`
	Added   []netip.Prefix `json:"added,omitempty"` // sorted
	Removed []netip.Prefix `json:"removed,omitempty"`
}

// Diff says what differs between two states, sorted by name; none where nothing does. A
// pool that is only in one of them has all its networks added, or removed.
func Diff(before, after []Networks) []Change {
	olds, news := byName(before), byName(after)
	var changes []Change
	for name := range news {
		if _, ok := olds[name]; !ok {
			olds[name] = nil
		}
	}
	for name, old := range olds {
		c := Change{Name: name, Added: without(news[name], old), Removed: without(old, news[name])}
		if len(c.Added)+len(c.Removed) > 0 {
			changes = append(changes, c)
		}
	}
	slices.SortFunc(changes, func(a, b Change) int { return strings.Compare(a.Name, b.Name) })
	return changes
}

func byName(all []Networks) map[string][]netip.Prefix {
	m := map[string][]netip.Prefix{}
	for _, n := range all {
		m[n.Name] = Merge(n.Networks)
	}
	return m
}

// without are the networks of a that are not in b.
func without(a, b []netip.Prefix) []netip.Prefix {
	return slices.DeleteFunc(slices.Clone(a), func(p netip.Prefix) bool {
		_, found := slices.BinarySearchFunc(b, p, compare)
		return found
	})
}
