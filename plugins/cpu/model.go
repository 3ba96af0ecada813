package cpu

import (
	"maps"
	"slices"
	"strings"

	"github.com/tenon-ml/tenon/internal/kernel"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// model is a view of the weights one generation computes with. Matrices stay as they are stored; the norms, which are small, are widened once.
type model struct {
	*config
	embed, head matrix
	layers      []layer
	norm        []float32
}

type layer struct {
	query, key, value, output matrix
	gate, up, down            matrix
	attentionNorm, mlpNorm    []float32
}

// matrix is a stored matrix, rows x cols.
type matrix struct {
	stored
	rows, cols int
}

// times computes dst = W x for each of n vectors, one after the other, with at most workers goroutines. The result depends on neither.
func (m *matrix) times(dst, x []float32, n, workers int) {
	if n == 1 {
		kernel.ParallelMatVec(dst, m.bytes, m.dtype, m.rows, m.cols, x, workers)
		return
	}
	kernel.ParallelMatMat(dst, m.bytes, m.dtype, m.rows, m.cols, x, n, workers)
}

// newModel finds every tensor the family needs, and refuses a base that has more: a bias or a norm that is left out would make text that looks right.
func newModel(p *backendpb.ModelConfig, tensors map[string]stored) (*model, error) {
	c, err := parseConfig(p)
	if err != nil {
		return nil, err
	}
	f := &finder{tensors: tensors, used: map[string]bool{}}
	m := &model{config: c, embed: f.matrix(nameEmbed, c.vocab, c.hidden), norm: f.vector(nameNorm, c.hidden)}
	if c.tied {
		m.head = m.embed
	} else {
		m.head = f.matrix(nameHead, c.vocab, c.hidden)
	}
	queryDim, kvDim := c.heads*c.headDim, c.kvDim()
	for i := range c.layers {
		m.layers = append(m.layers, layer{
			query:         f.matrix(layerName(i, "self_attn.q_proj"), queryDim, c.hidden),
			key:           f.matrix(layerName(i, "self_attn.k_proj"), kvDim, c.hidden),
			value:         f.matrix(layerName(i, "self_attn.v_proj"), kvDim, c.hidden),
			output:        f.matrix(layerName(i, "self_attn.o_proj"), c.hidden, queryDim),
			gate:          f.matrix(layerName(i, "mlp.gate_proj"), c.intermediate, c.hidden),
			up:            f.matrix(layerName(i, "mlp.up_proj"), c.intermediate, c.hidden),
			down:          f.matrix(layerName(i, "mlp.down_proj"), c.hidden, c.intermediate),
			attentionNorm: f.vector(layerName(i, "input_layernorm"), c.hidden),
			mlpNorm:       f.vector(layerName(i, "post_attention_layernorm"), c.hidden),
		})
		if f.err != nil {
			return nil, f.err // before a layer count nobody has tensors for costs anything
		}
	}
	for _, name := range slices.Sorted(maps.Keys(tensors)) {
		if f.err == nil && !f.used[name] && strings.HasPrefix(name, "model.") && !strings.HasSuffix(name, ".rotary_emb.inv_freq") {
			f.err = invalid("tensor %q has no part in a %s forward pass of %d layers", name, architectureLlama, c.layers)
		}
	}
	return m, f.err
}

// with returns the view in which the named matrices have other bytes, of the same shapes. Only matrices are ever merged into.
func (m *model) with(changed map[string]stored) *model {
	next := *m
	next.layers = slices.Clone(m.layers)
	replace := func(w *matrix) {
		if other, ok := changed[w.name]; ok {
			w.stored = other
		}
	}
	replace(&next.embed)
	replace(&next.head)
	for i := range next.layers {
		l := &next.layers[i]
		for _, w := range []*matrix{&l.query, &l.key, &l.value, &l.output, &l.gate, &l.up, &l.down} {
			replace(w)
		}
	}
	return &next
}

// finder looks tensors up and keeps the first thing that is wrong.
type finder struct {
	tensors map[string]stored
	used    map[string]bool
	err     error
}

func (f *finder) tensor(name string, shape ...int) (stored, bool) {
	f.used[name] = true
	t, ok := f.tensors[name]
	switch {
	case f.err != nil:
		return stored{}, false
	case !ok:
		f.err = invalid("the base has no tensor %q, which a %s needs", name, architectureLlama)
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
