package language

// Hint is what to say to somebody who writes a name that is not there.
type Hint struct {
	Name   string
	Help   string
	Secret bool // what it is given does not belong into a log
}

// Words are all that the block's label may be; nil where it is a name of the
// administrator's.
func (b *Block) Words() []string {
	var words []string
	for i := range b.Kinds {
		words = append(words, b.Kinds[i].Kind)
	}
	return words
}

// Of finds the block with a label that is one of Words; nil where it is none of them.
func (b *Block) Of(kind string) *Block {
	for i := range b.Kinds {
		if b.Kinds[i].Kind == kind {
			return &b.Kinds[i]
		}
	}
	return nil
}

// Title is the block in messages: site, store "mysql".
func (b *Block) Title() string {
	if b.Kind != "" {
		return b.Name + ` "` + b.Kind + `"`
	}
	return b.Name
}

// Hint is what to say to somebody who writes this name here; empty where that is not known.
func (b *Block) Hint(name string) Hint {
	for _, h := range b.Hints {
		if h.Name == name {
			return h
		}
	}
	return Hint{}
}
