package cpu

import (
	"maps"
	"slices"
)

// model is a view of the weights one generation computes with. Matrices stay as they are stored; norms and biases, which are small, are widened once.
// What families differ in is data here, and forward.go is one for all of them.
type model struct {
	*config
	tensors  map[string]stored // that it was made of, and others of its base
	embed    matrix
	places   matrix    // learned positions, which are added to the embedding; no rows: there are none
	rotary   []float64 // angles of each pair of a head from one position to the next; nil: queries and keys are not turned
	layers   []layer
	activate activation
	norm     norm
	head     linear
}

// layer is one layer's weights.
type layer struct {
	attentionNorm, mlpNorm norm
	query, key, value      linear
	joined                 linear // in place of these three: their rows one after the other; no rows: there is none
	queryNorm, keyNorm     norm   // of each head; nil: there is none
	window                 int    // how many positions a token sees, its own included; 0: all
	output                 linear
	gate, up, down         linear // gate has no rows where the MLP has none
}

// matrix is a stored matrix, rows x cols.
type matrix struct {
	stored
	rows, cols int
	transposed bool // it is stored as cols x rows
}

// with returns the model in which the named tensors have other bytes, of the same dtypes and shapes. Its norms and biases are widened anew.
func (m *model) with(changed map[string]stored) (*model, error) {
	tensors := maps.Clone(m.tensors)
	maps.Copy(tensors, changed)
	return assemble(m.config, tensors)
}

// beside returns the view in which the named matrices have factors beside them.
func (m *model) beside(patches map[string]*factors) *model {
	next := m.clone()
	next.eachLinear(func(l *linear) { l.factors = patches[l.name] })
	return next
}

func (m *model) clone() *model {
	next := *m
	next.layers = slices.Clone(m.layers)
	return &next
}

// eachLinear visits every matrix that is multiplied with. A layer has only some of them; those without a name it does not have.
func (m *model) eachLinear(visit func(*linear)) {
	for i := range m.layers {
		l := &m.layers[i]
		for _, w := range []*linear{&l.query, &l.key, &l.value, &l.joined, &l.output, &l.gate, &l.up, &l.down} {
			visit(w)
		}
	}
	visit(&m.head)
}
