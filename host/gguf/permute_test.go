package gguf

import (
	"bytes"
	"testing"
)

// TestRowsToGGUF holds the order against reshape(heads, 2, rows/heads/2).swapaxes(1, 2), written out by hand.
func TestRowsToGGUF(t *testing.T) {
	for _, c := range []struct {
		name        string
		rows, heads int
		src, want   string // a character a row
	}{
		{"one head", 8, 1, "abcdefgh", "aebfcgdh"},
		{"two heads", 8, 2, "abcdABCD", "acbdACBD"},
		{"heads of two rows stay", 4, 2, "abAB", "abAB"},
		{"rows of two bytes", 4, 1, "a1b2c3d4", "a1c3b2d4"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := make([]byte, len(c.src))
			if err := RowsToGGUF(got, []byte(c.src), c.rows, c.heads); err != nil || string(got) != c.want {
				t.Errorf("%q, %v; want %q", got, err, c.want)
			}
			back := make([]byte, len(c.src))
			if err := RowsToHF(back, got, c.rows, c.heads); err != nil || !bytes.Equal(back, []byte(c.src)) {
				t.Errorf("back to %q, %v; want %q", back, err, c.src)
			}
		})
	}
}

func TestRowsThatAreNoHeads(t *testing.T) {
	for _, c := range []struct {
		name             string
		dst, rows, heads int
	}{
		{"no rows", 8, 0, 1},
		{"no heads", 8, 8, 0},
		{"negative heads", 8, 8, -2},
		{"rows that the heads do not share", 8, 8, 3},
		{"heads of an odd number of rows", 6, 6, 2},
		{"slices of different sizes", 4, 8, 2},
		{"bytes that are no whole rows", 8, 6, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := RowsToGGUF(make([]byte, c.dst), make([]byte, 8), c.rows, c.heads); err == nil {
				t.Error("accepted")
			}
		})
	}
}
