package helper

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/renameio/v2"

	"exipol/generator/plan"
	"exipol/helper/engine"
	"exipol/helper/owner"
)

// knownFormat is the version of the file. A reader refuses any other.
const knownFormat = 1

// The file is lines of JSON: a head, a standing each, and a hash of all that.
type (
	knownHead struct {
		FormatVersion int           `json:"format_version"`
		AsOf          time.Time     `json:"as_of"` // by the store's clock
		Store         knownStore    `json:"store"`
		Allowances    []knownAllow  `json:"allow,omitempty"`
		Off           []knownSwitch `json:"off,omitempty"`
		Standings     int           `json:"standings"`
	}
	knownStore struct {
		Kind     string   `json:"kind"`
		Path     string   `json:"path,omitempty"`
		Hosts    []string `json:"hosts,omitempty"`
		Database string   `json:"database,omitempty"`
	}
	knownAllow struct {
		ID      int64   `json:"id"`
		Policy  string  `json:"policy,omitempty"`
		Field   string  `json:"field"`
		Pattern anyText `json:"pattern"`
		Owner   anyText `json:"owner"`
		Why     anyText `json:"why"`
		Made    int64   `json:"made"`
		Until   int64   `json:"until,omitempty"`
	}
	knownSwitch struct {
		Policy string  `json:"policy"`
		Owner  anyText `json:"owner"`
		Why    anyText `json:"why"`
		Made   int64   `json:"made"`
		Until  int64   `json:"until,omitempty"`
	}
	knownStanding struct {
		Policy    string  `json:"policy"`
		Key       anyText `json:"key"`
		Case      int64   `json:"case"`
		Tier      string  `json:"tier"`
		Rank      int     `json:"rank"`
		Blocks    bool    `json:"blocks,omitempty"`
		Since     int64   `json:"since"`
		Until     int64   `json:"until,omitempty"`
		Released  int64   `json:"released,omitempty"`
		Cleared   int64   `json:"cleared,omitempty"`
		Probation int64   `json:"probation,omitempty"`
	}
	knownHash struct {
		SHA256 string `json:"sha256"`
	}
)

// anyText is a text in JSON that may hold any bytes: keys are what clients chose.
type anyText string

const inBase64 = "base64:"

// MarshalText implements encoding.TextMarshaler.
func (a anyText) MarshalText() ([]byte, error) {
	if utf8.ValidString(string(a)) && !strings.HasPrefix(string(a), inBase64) {
		return []byte(a), nil
	}
	return []byte(inBase64 + base64.StdEncoding.EncodeToString([]byte(a))), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (a *anyText) UnmarshalText(b []byte) error {
	coded, is := bytes.CutPrefix(b, []byte(inBase64))
	if !is {
		*a = anyText(b)
		return nil
	}
	text, err := base64.StdEncoding.DecodeString(string(coded))
	*a = anyText(text)
	return err
}

// writeKnown replaces the file.
func writeKnown(file string, s plan.Store, r *engine.Runtime, now time.Time) error {
	t, err := renameio.NewPendingFile(file, renameio.WithStaticPermissions(0o640))
	if err != nil {
		return err
	}
	defer func() { _ = t.Cleanup() }() // nothing is left to clean up where all went well
	owner.Inherit(t.Name())
	sum := sha256.New()
	w := bufio.NewWriterSize(io.MultiWriter(t, sum), 64<<10)
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	head := knownHead{
		FormatVersion: knownFormat, AsOf: now.UTC(), Store: knownStore{s.Kind, s.Path, s.Hosts, s.Database}, Standings: r.Standings.Len(),
	}
	for _, a := range r.Allowances {
		head.Allowances = append(head.Allowances, knownAllow{a.ID, a.Policy, a.Field, anyText(a.Pattern), anyText(a.Owner), anyText(a.Why), a.Made, a.Until})
	}
	for _, o := range r.Off {
		head.Off = append(head.Off, knownSwitch{o.Policy, anyText(o.Owner), anyText(o.Why), o.Made, o.Until})
	}
	err = e.Encode(head)
	for st := range r.Standings.All() {
		if err != nil {
			return err
		}
		err = e.Encode(knownStanding{
			st.Policy, anyText(st.Key), st.Case, st.Tier, st.Rank, st.Blocks, st.Since, st.Until, st.Released, st.Cleared, st.Probation,
		})
	}
	if err = errors.Join(err, w.Flush()); err != nil {
		return err
	}
	if err := json.NewEncoder(t).Encode(knownHash{hex.EncodeToString(sum.Sum(nil))}); err != nil {
		return err
	}
	return t.CloseAtomicallyReplace()
}

// readKnown reads the file; an error of a missing one is fs.ErrNotExist's. A copy of another store's is
// an error, too.
func readKnown(file string, s plan.Store) (r engine.Runtime, asOf time.Time, err error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return r, asOf, err
	}
	refuse := func(why string, args ...any) (engine.Runtime, time.Time, error) {
		return engine.Runtime{}, time.Time{}, fmt.Errorf("%s: %s", file, fmt.Sprintf(why, args...))
	}
	end := bytes.LastIndexByte(bytes.TrimSuffix(b, []byte("\n")), '\n') + 1
	var hash knownHash
	sum := sha256.Sum256(b[:end])
	if err := json.Unmarshal(b[end:], &hash); err != nil || hash.SHA256 != hex.EncodeToString(sum[:]) {
		return refuse("it is damaged")
	}
	d := json.NewDecoder(bytes.NewReader(b[:end]))
	var head knownHead
	if err := d.Decode(&head); err != nil {
		return refuse("%v", err)
	}
	switch {
	case head.FormatVersion != knownFormat:
		return refuse("format_version %d, not %d", head.FormatVersion, knownFormat)
	case !head.Store.is(s):
		return refuse("it is of another store than %s", s)
	}
	for _, a := range head.Allowances {
		r.Allowances = append(r.Allowances, engine.Allowance{
			ID: a.ID, Policy: a.Policy, Field: a.Field, Pattern: string(a.Pattern), Owner: string(a.Owner), Why: string(a.Why), Made: a.Made, Until: a.Until,
		})
	}
	for _, o := range head.Off {
		r.Off = append(r.Off, engine.Switch{Policy: o.Policy, Owner: string(o.Owner), Why: string(o.Why), Made: o.Made, Until: o.Until})
	}
	all := make([]engine.Standing, 0, head.Standings)
	for range head.Standings {
		var st knownStanding
		if err := d.Decode(&st); err != nil {
			return refuse("%v", err)
		}
		all = append(all, engine.Standing{
			Policy: st.Policy, Key: string(st.Key), Case: st.Case, Tier: st.Tier, Rank: st.Rank, Blocks: st.Blocks,
			Since: st.Since, Until: st.Until, Released: st.Released, Cleared: st.Cleared, Probation: st.Probation,
		})
	}
	r.Standings = new(engine.Standings).With(all)
	return r, head.AsOf, nil
}

// is says whether it is this store: the same data, though it may have got hosts more, or lost some.
func (k knownStore) is(s plan.Store) bool {
	return k.Kind == s.Kind && k.Path == s.Path && k.Database == s.Database &&
		(len(k.Hosts) == 0 && len(s.Hosts) == 0 || slices.ContainsFunc(k.Hosts, func(host string) bool { return slices.Contains(s.Hosts, host) }))
}
