package cli

import "slices"

// Nearest is the candidate that a mistyped word most likely stands for, "" where none is
// near. The order of the candidates does not matter.
func Nearest(word string, candidates []string) string {
	const most = 100 // a longer word is no typing error, and takes long to compare
	sorted := slices.Sorted(slices.Values(candidates))
	best, found := len(word)/4+2, ""
	if len(word) > most {
		return ""
	}
	for _, c := range sorted {
		if d := edits(word, c); d < best {
			best, found = d, c
		}
	}
	return found
}

// edits counts the letters to insert, to delete, to replace or to swap with their
// neighbour that make b of a: grid[i][j] is for the first i and j letters.
func edits(a, b string) int {
	grid := make([][]int, len(a)+1)
	for i := range grid {
		grid[i] = make([]int, len(b)+1)
		grid[i][0] = i
	}
	for j := range grid[0] {
		grid[0][j] = j
	}
	for i := range len(a) {
		for j := range len(b) {
			n := grid[i][j]
			if a[i] != b[j] {
				n++
			}
			n = min(n, grid[i][j+1]+1, grid[i+1][j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				n = min(n, grid[i-1][j-1]+1)
			}
			grid[i+1][j+1] = n
		}
	}
	return grid[len(a)][len(b)]
}
