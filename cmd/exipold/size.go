package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// size is a flag's number of bytes, as in 512MiB or 4G.
type size int64

// defaultMaxStore is some twenty million keys, and less than the disk of a mail server
// has to spare.
const defaultMaxStore size = 4 << 30

// minStore is the least that a store with anything in it needs.
const minStore size = 1 << 20

// Set reads a size; K, M and G are powers of 1024.
func (s *size) Set(text string) error {
	digits := strings.TrimRight(text, "KMGiB")
	n, err := strconv.ParseInt(digits, 10, 64)
	shift, ok := map[string]int{"": 0, "B": 0, "K": 10, "KiB": 10, "M": 20, "MiB": 20, "G": 30, "GiB": 30}[text[len(digits):]]
	switch {
	case err != nil || !ok || n < 0 || n > math.MaxInt64>>shift:
		return fmt.Errorf("a size as in 512MiB or 4GiB belongs there")
	case n > 0 && size(n<<shift) < minStore:
		return fmt.Errorf("less than %s is too little", minStore)
	}
	*s = size(n << shift)
	return nil
}

func (s size) String() string {
	for _, unit := range []struct {
		shift int
		name  string
	}{{30, "GiB"}, {20, "MiB"}, {10, "KiB"}} {
		if s > 0 && s%(1<<unit.shift) == 0 {
			return strconv.FormatInt(int64(s>>unit.shift), 10) + unit.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// Type is what the help shows as the flag's value.
func (size) Type() string { return "SIZE" }
