package emit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"exipol/generator/plan"
)

// Manifest is what manifest.json says: which policies, by which version, made
// which outputs. `exipol build --check` tells an edited output from a stale one by it.
type Manifest struct {
	Format  int      `json:"format"`  // of this file
	Exipol  string   `json:"exipol"`  // version of the generator
	Exim    string   `json:"exim"`    // oldest Exim that the text is for
	Plan    string   `json:"plan"`    // plan id
	Inputs  []Digest `json:"inputs"`  // sorted by name
	Outputs []Digest `json:"outputs"` // sorted by name, without the manifest itself
}

// Digest is a file's name and the SHA-256 of its bytes, in hex.
type Digest struct {
	Name   string `json:"name"`
	SHA256 string `json:"sha256"`
}

// ManifestFormat is the version of manifest.json that this package writes and reads.
const ManifestFormat = 1

// ReadManifest reads the bytes of a manifest.json.
func ReadManifest(data []byte) (Manifest, error) {
	var m Manifest
	if err := json.Unmarshal(data, &m); err != nil {
		return Manifest{}, fmt.Errorf("read manifest: %w", err)
	}
	if m.Format != ManifestFormat {
		return Manifest{}, fmt.Errorf("manifest format %d: this version reads format %d", m.Format, ManifestFormat)
	}
	return m, nil
}

// Output is the recorded SHA-256 of an output, "" for one that the manifest does
// not know.
func (m Manifest) Output(name string) string {
	for _, d := range m.Outputs {
		if d.Name == name {
			return d.SHA256
		}
	}
	return ""
}

// Sum is the SHA-256 of data in hex, as a manifest has it.
func Sum(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// manifestText is manifest.json for these outputs.
func manifestText(p *plan.Plan, sources []Source, files []File, version string) ([]byte, error) {
	m := Manifest{
		Format: ManifestFormat, Exipol: version, Exim: p.Exim, Plan: p.ID,
		Inputs: []Digest{}, Outputs: []Digest{},
	}
	for _, s := range sources {
		m.Inputs = append(m.Inputs, Digest(s))
	}
	for _, f := range files {
		m.Outputs = append(m.Outputs, Digest{f.Name, Sum(f.Data)})
	}
	byName := func(a, b Digest) int {
		return strings.Compare(a.Name+"\x00"+a.SHA256, b.Name+"\x00"+b.SHA256)
	}
	slices.SortFunc(m.Inputs, byName)
	slices.SortFunc(m.Outputs, byName)

	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(m); err != nil {
		return nil, fmt.Errorf("encode manifest: %w", err)
	}
	return b.Bytes(), nil
}
