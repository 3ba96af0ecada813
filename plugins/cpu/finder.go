package cpu

import (
	"slices"

	"github.com/tenon-ml/tenon/sdk/tensor"
)

// finder looks tensors up and keeps the first thing that is wrong.
type finder struct {
	architecture string
	tensors      map[string]stored
	used         map[string]bool
	err          error
}

func (f *finder) tensor(name string, shape ...int) (stored, bool) {
	f.used[name] = true
	t, ok := f.tensors[name]
	switch {
	case f.err != nil:
		return stored{}, false
	case !ok:
		f.err = invalid("the base has no tensor %q, which a %s needs", name, f.architecture)
	case !slices.Equal(t.shape, shape):
		f.err = invalid("tensor %q has shape %v, the configuration asks for %v", name, t.shape, shape)
	case !t.dtype.IsWeight():
		f.err = invalid("tensor %q is %v, which cannot be computed with", name, t.dtype)
	}
	return t, f.err == nil
}

func (f *finder) matrix(name string, rows, cols int) matrix {
	t, _ := f.tensor(name, rows, cols)
	return matrix{stored: t, rows: rows, cols: cols}
}

// linear finds a module's matrix and, where it has one, its bias.
func (f *finder) linear(module string, rows, cols int, biased bool) linear {
	l := linear{matrix: f.matrix(module+".weight", rows, cols)}
	if biased {
		l.bias = f.vector(module+".bias", rows)
	}
	return l
}

// conv1D finds a module whose matrix is stored transposed, as GPT-2 has them, and its bias.
func (f *finder) conv1D(module string, rows, cols int) linear {
	t, _ := f.tensor(module+".weight", cols, rows)
	return linear{matrix: matrix{stored: t, rows: rows, cols: cols, transposed: true}, bias: f.vector(module+".bias", rows)}
}

// head finds the matrix that predicts, which may be the embedding.
func (f *finder) head(embed matrix, c *config) linear {
	if c.tied {
		return linear{matrix: embed}
	}
	return linear{matrix: f.matrix(nameHead, c.vocab, c.hidden)}
}

func (f *finder) vector(name string, n int) []float32 {
	t, ok := f.tensor(name, n)
	if !ok {
		return nil
	}
	v := make([]float32, n)
	if err := tensor.ToF32(v, t.bytes, t.dtype); err != nil {
		f.err = invalid("tensor %q: %v", name, err)
	}
	return v
}
