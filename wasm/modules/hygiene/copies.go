package hygiene

import (
	"slices"
	"strconv"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/diag"
	"github.com/tenon-ml/tenon/wasm/modules/internal/layers"
)

// look is what two equal factors have in common without being read again.
type look struct {
	rows, cols int
	stats      abi.Stats
}

// maxLike bounds the factors that look alike and differ: a file made to be slow is not read again and again.
const maxLike = 4

// classes numbers factors so that equal ones, and only they, have the same number.
type classes struct {
	firsts map[look][]int // positions of factors that look alike and differ
	of     []int          // by position
}

// add takes the next factor. Those before it are asked for by position.
func (c *classes) add(own diag.Tensor, seen look, factor func(position int) diag.Tensor) error {
	position := len(c.of)
	for _, first := range c.firsts[seen] {
		same, err := equal(own, factor(first), seen.rows*seen.cols)
		if err != nil {
			return err
		}
		if same {
			c.of = append(c.of, first)
			return nil
		}
	}
	if len(c.firsts[seen]) < maxLike {
		c.firsts[seen] = append(c.firsts[seen], position)
	}
	c.of = append(c.of, position)
	return nil
}

func equal(x, y diag.Tensor, n int) (bool, error) {
	left, right := make([]float64, min(n, chunk)), make([]float64, min(n, chunk))
	for first := 0; first < n; first += chunk {
		part := min(chunk, n-first)
		if err := x.Read64(left[:part], first); err != nil {
			return false, err
		}
		if err := y.Read64(right[:part], first); err != nil {
			return false, err
		}
		if !slices.Equal(left[:part], right[:part]) {
			return false, nil
		}
	}
	return true, nil
}

// reportCopies tells of factors that occur more than once. Both factors of two weights, or B alone, cannot come out of training alike: the
// file was put together wrongly. One A for weights that read the same input is a design, as after a fused projection was split; one A for
// several layers is a design too, but a rare one.
func reportCopies(run *diag.Run, weights []weight) error {
	a, b := classes{firsts: map[look][]int{}}, classes{firsts: map[look][]int{}}
	for _, w := range weights {
		t := w.target
		err := a.add(t.A(), look{t.Rank, t.In, w.a}, func(i int) diag.Tensor { return weights[i].target.A() })
		if err != nil {
			return err
		}
		if err := b.add(t.B(), look{t.Out, t.Rank, w.b}, func(i int) diag.Tensor { return weights[i].target.B() }); err != nil {
			return err
		}
	}
	var both, onlyB, onlyA pairs
	deltas := map[[2]int]int{}
	for i := range weights {
		// The first weight with the same A need not be the first with the same B.
		if first, ok := deltas[[2]int{a.of[i], b.of[i]}]; ok {
			both.add(weights[first], weights[i])
			continue
		}
		deltas[[2]int{a.of[i], b.of[i]}] = i
		if b.of[i] != i {
			onlyB.add(weights[b.of[i]], weights[i])
		}
		if j := a.of[i]; j != i && !sameLayer(weights[j], weights[i]) {
			onlyA.add(weights[j], weights[i])
		}
	}
	both.report(run, diag.Warn, "AD_DUPLICATE", "both factors of", "export the adapter again: tensors were written under a second name")
	onlyB.report(run, diag.Warn, "AD_SHARED_B", "factor B of", "check the export: training does not give two weights the same B")
	onlyA.report(run, diag.Info, "AD_SHARED_A", "factor A of",
		"nothing to do if the method shares A between layers; otherwise check the export")
	return nil
}

// sameLayer reports whether both weights stand in one layer, where they may read the same input.
func sameLayer(v, w weight) bool {
	p, ok := layers.Of(v.target.Name)
	q, also := layers.Of(w.target.Name)
	return ok && also && p.Stack == q.Stack && p.Layer == q.Layer
}

// pairs counts copies and keeps the first.
type pairs struct {
	count        int
	first, again string
}

func (p *pairs) add(first, again weight) {
	if p.count == 0 {
		p.first, p.again = first.target.Name, again.target.Name
	}
	p.count++
}

func (p *pairs) report(run *diag.Run, severity abi.Severity, code, what, hint string) {
	if p.count == 0 {
		return
	}
	run.Finding(severity, code, what+" "+strconv.Itoa(p.count)+" weights are those of another weight, value by value: for one "+p.again+
		" has those of "+p.first, hint, float64(p.count), 0)
}
