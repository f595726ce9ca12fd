package plan

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
)

// canonical is the JSON that the ID is the hash of: one fixed order of fields,
// the ID itself empty.
func (p *Plan) canonical() ([]byte, error) {
	c := *p
	c.ID = ""
	return json.Marshal(&c)
}

// idLen is the number of hex digits in an ID: 96 bits name a plan for sure and
// keep the question short.
const idLen = 24

// Seal computes the plan's ID and sets it.
func (p *Plan) Seal() error {
	p.Format = Format
	b, err := p.canonical()
	if err != nil {
		return err
	}
	sum := sha256.Sum256(b)
	p.ID = hex.EncodeToString(sum[:])[:idLen]
	return nil
}

// Encode is the plan as the bytes of plan.json: indented, with a final newline,
// always the same for the same plan.
func (p *Plan) Encode() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(p); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// Decode reads plan.json and proves it whole: known format, no unknown fields,
// nothing after it, and the ID is the hash of the rest. An edited or cut-off
// plan is an error.
func Decode(r io.Reader) (*Plan, error) {
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("read plan: %w", err)
	}
	// One of another format may have other fields: that it is one is the better word.
	var only struct{ Format *int }
	if json.NewDecoder(bytes.NewReader(text)).Decode(&only) == nil && only.Format != nil && *only.Format != Format {
		return nil, fmt.Errorf("plan format %d: this version reads format %d; build the policies again with the exipol of the same version", *only.Format, Format)
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	var p Plan
	if err := dec.Decode(&p); err != nil {
		return nil, fmt.Errorf("read plan: %w", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, fmt.Errorf("read plan: text after its end")
	}
	if only.Format == nil {
		return nil, fmt.Errorf("read plan: it says no format")
	}
	id := p.ID
	if err := p.Seal(); err != nil {
		return nil, err
	}
	if id != p.ID {
		return nil, fmt.Errorf("plan id %s does not fit its content (which makes %s): the file was edited or damaged; build it again", id, p.ID)
	}
	return &p, nil
}

// Stage finds a stage by name; ok is false where no policy needs it.
func (p *Plan) Stage(name string) (s Stage, ok bool) {
	for _, s := range p.Stages {
		if s.Name == name {
			return s, true
		}
	}
	return Stage{}, false
}
