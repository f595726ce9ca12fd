package normalize

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
)

// KeyLength is the most bytes of a key, as wide as the column that holds it.
const KeyLength = 255

// hashMark stands before the hash of a long key. No short key has these two bytes:
// there a backslash is followed by another, or by a separator, or by nothing.
const hashMark = `\#`

// Key joins the components of a key: "192.0.2.0/24|alice@example.org|bob@example.com".
// Two different lists of components never make the same key: a separator or a
// backslash inside a component has a backslash before it, and the list of one empty
// component is a lone backslash. A key longer than KeyLength keeps its beginning, so
// that it can be read, and ends in the SHA-256 of all of it.
func Key(parts []string) string {
	key := join(parts)
	if len(key) <= KeyLength {
		return key
	}
	sum := sha256.Sum256([]byte(key))
	keep := key[:KeyLength-len(hashMark)-hex.EncodedLen(len(sum))]
	// An odd number of backslashes at the cut is half an escape, which would swallow
	// the mark's own.
	if trailing := len(keep) - len(strings.TrimRight(keep, `\`)); trailing%2 == 1 {
		keep = keep[:len(keep)-1]
	}
	return keep + hashMark + hex.EncodeToString(sum[:])
}

func join(parts []string) string {
	if len(parts) == 1 && parts[0] == "" {
		return `\`
	}
	size := len(parts)
	for _, p := range parts {
		size += len(p)
	}
	var b strings.Builder
	b.Grow(size)
	for i, part := range parts {
		if i > 0 {
			b.WriteByte('|')
		}
		for {
			special := strings.IndexAny(part, `\|`)
			if special < 0 {
				break
			}
			b.WriteString(part[:special])
			b.WriteByte('\\')
			b.WriteByte(part[special])
			part = part[special+1:]
		}
		b.WriteString(part)
	}
	return b.String()
}

// Split is the components that a key was made of. whole is false for a key that was too
// long for all of them: the last one that is there is then cut off.
func Split(key string) (parts []string, whole bool) {
	if key == `\` {
		return []string{""}, true
	}
	var b strings.Builder
	for i := 0; i < len(key); i++ {
		switch {
		case strings.HasPrefix(key[i:], hashMark):
			return append(parts, b.String()), false
		case key[i] == '\\' && i+1 < len(key):
			i++
			b.WriteByte(key[i])
		case key[i] == '|':
			parts = append(parts, b.String())
			b.Reset()
		default:
			b.WriteByte(key[i])
		}
	}
	return append(parts, b.String()), true
}

// sinceMark stands before the time from which a key counts anew. No key has these two bytes, as with hashMark.
const sinceMark = `\@`

// Since is a key of its own for what concerns a key from some time on (Unix milliseconds).
func Since(key string, ms int64) string {
	since := sinceMark + strconv.FormatInt(ms, 10)
	if key == `\` {
		return since
	}
	if len(key)+len(since) <= KeyLength {
		return key + since
	}
	return Key([]string{key + since})
}

// CutSince takes a key of Since's apart; ms is 0 where it is none, or too long.
func CutSince(key string) (plain string, ms int64) {
	// Before the mark stands an even number of backslashes: an odd one would be half of an escape.
	i := strings.LastIndex(key, sinceMark)
	if i < 0 || (i-len(strings.TrimRight(key[:i], `\`)))%2 == 1 {
		return key, 0
	}
	ms, err := strconv.ParseInt(key[i+len(sinceMark):], 10, 64)
	if err != nil {
		return key, 0
	}
	if i == 0 {
		return `\`, ms
	}
	return key[:i], ms
}
