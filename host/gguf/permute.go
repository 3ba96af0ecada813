package gguf

import "fmt"

// RowsToGGUF copies the rows of a query or key weight, or of anything else with a row for each of its outputs, from the order of Hugging Face to
// that of llama.cpp. A head's rows are two halves in Hugging Face, because its rotary embedding turns entry i of the head together with entry
// i + half; ggml turns neighbours, so there the halves alternate: row 2i is row i of the first half, row 2i+1 row i of the second.
//
// Both slices hold the rows one after the other, each of the same size, and must not overlap.
func RowsToGGUF(dst, src []byte, rows, heads int) error {
	return eachRow(len(dst), len(src), rows, heads, func(split, alternating, size int) {
		copy(dst[alternating*size:(alternating+1)*size], src[split*size:])
	})
}

// RowsToHF is the inverse of RowsToGGUF.
func RowsToHF(dst, src []byte, rows, heads int) error {
	return eachRow(len(dst), len(src), rows, heads, func(split, alternating, size int) {
		copy(dst[split*size:(split+1)*size], src[alternating*size:])
	})
}

// eachRow calls move with every row's place among the halves of Hugging Face and among the alternating rows of ggml, and the bytes of a row.
func eachRow(dst, src, rows, heads int, move func(split, alternating, size int)) error {
	switch {
	case rows <= 0 || heads <= 0 || rows%heads != 0 || rows/heads%2 != 0:
		return fmt.Errorf("%d rows are not %d heads of two halves", rows, heads)
	case dst != src || src%rows != 0:
		return fmt.Errorf("%d bytes into %d are not %d rows", src, dst, rows)
	}
	size, half := src/rows, rows/heads/2
	for head := range heads {
		for part := range 2 {
			for i := range half {
				start := head * 2 * half
				move(start+part*half+i, start+2*i+part, size)
			}
		}
	}
	return nil
}
