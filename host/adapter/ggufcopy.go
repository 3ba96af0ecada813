package adapter

import (
	"io"

	"github.com/tenon-ml/tenon/host/gguf"
	"github.com/tenon-ml/tenon/host/safetensors"
)

// copyFactors makes the file that a GGUF adapter's tensors are read from, in the order of the original: F32, F16 and BF16 as they are, Q8_0
// widened to F32, which is exact. What is refused already is left out.
func (r *ggufReader) copyFactors(f io.ReaderAt, h *gguf.Header, tensors []Tensor) (*safetensors.File, error) {
	known := map[string]Tensor{}
	for _, t := range tensors {
		known[t.Name] = t
	}
	var sources []gguf.Tensor
	var entries []safetensors.Entry
	for _, stored := range h.Tensors {
		t := known[stored.Name]
		if t.Refused != "" || t.DType.Bits() == 0 {
			continue
		}
		sources = append(sources, stored)
		entries = append(entries, safetensors.Entry{Name: t.Name, DType: t.DType, Shape: t.Shape})
	}
	return safetensors.Derive(r.file, entries, nil, func(w io.Writer) error {
		for i, stored := range sources {
			width := entries[i].DType.Bits() / 8
			var values io.ReaderAt = io.NewSectionReader(f, stored.Offset, stored.Length)
			if stored.Type == gguf.Q8_0 {
				values = gguf.Floats(f, stored)
			}
			var err error
			if target, part := factorOf(stored.Name); target == tokenEmbedding && part == FactorA {
				err = transpose(w, values, entries[i].Shape, width)
			} else {
				_, err = io.CopyBuffer(w, io.NewSectionReader(values, 0, int64(stored.Elements()*width)), make([]byte, copyBytes))
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// copyBytes is how much of a tensor is in memory at a time, and bandBytes how much of one that is transposed.
const (
	copyBytes = 1 << 20
	bandBytes = 32 << 20
)

// transpose writes a matrix of the given shape whose transpose r holds: values of width bytes, row-major. It makes a band of rows at a time
// and reads r once for each.
func transpose(w io.Writer, r io.ReaderAt, shape []int, width int) error {
	rows, cols := shape[0], shape[1]
	line := rows * width // of r
	lines := max(1, copyBytes/line)
	source := make([]byte, lines*line)
	height := min(rows, max(1, bandBytes/(cols*width)))
	band := make([]byte, height*cols*width)
	for top := 0; top < rows; top += height {
		height = min(height, rows-top)
		for first := 0; first < cols; first += lines {
			count := min(lines, cols-first)
			if n, err := r.ReadAt(source[:count*line], int64(first)*int64(line)); n < count*line {
				return err
			}
			for i := range height {
				for j := range count {
					to, from := (i*cols+first+j)*width, j*line+(top+i)*width
					copy(band[to:to+width], source[from:from+width])
				}
			}
		}
		if _, err := w.Write(band[:height*cols*width]); err != nil {
			return err
		}
	}
	return nil
}
