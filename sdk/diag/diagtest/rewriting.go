package diagtest

import (
	"fmt"
	"math/rand/v2"
)

// Rewriting is a way to write a target differently, so that what its numbers must do is known without knowing the numbers: stay, grow by a
// factor, or change places. A diagnostic that looks at delta W, and not at the factors that happen to make it, gives the same for each of
// SameChange. Of leaves the target it is given as it is.
type Rewriting struct {
	Name  string // for a subtest
	Of    func(Target) Target
	Peers bool // the peers' targets have to be rewritten too, as those of a weight that is transposed
}

// On rewrites every target of an adapter, and those of its peers where the rewriting needs it.
func (r Rewriting) On(adapter Adapter) Adapter {
	adapter.Targets = r.all(adapter.Targets)
	if r.Peers {
		peers := make([]Peer, len(adapter.Peers))
		for i, peer := range adapter.Peers {
			peers[i] = Peer{Name: peer.Name, Targets: r.all(peer.Targets)}
		}
		adapter.Peers = peers
	}
	return adapter
}

func (r Rewriting) all(targets []Target) []Target {
	out := make([]Target, len(targets))
	for i, target := range targets {
		out[i] = r.Of(target)
	}
	return out
}

// SameChange gives the rewritings that leave delta W and the base as they are, up to rounding in f64: other factors, other signs of the
// factors, a rank that is not used, and a part of the scale in the factors.
func SameChange() []Rewriting {
	return []Rewriting{Refactor(1), FlipSigns(), FlipSigns(0), Pad(3), Rebalance(4)}
}

// Refactor replaces B by B G and A by the inverse of G times A, for an invertible G of condition 64 that seed draws. The factors have to be
// finite: a single NaN would spread.
func Refactor(seed uint64) Rewriting {
	return Rewriting{Name: "B to BG, A to G^-1 A", Of: func(t Target) Target {
		// G = Q D P' of two random rotations and powers of two, so its inverse P D^-1 Q' is as exact as G itself.
		rng := rand.New(rand.NewPCG(seed, 0))
		left, right := rotation(rng, t.A.Rows), rotation(rng, t.A.Rows)
		size, inverse := Zeros(t.A.Rows, t.A.Rows), Zeros(t.A.Rows, t.A.Rows)
		for i := range t.A.Rows {
			d := [...]float64{8, 1. / 8, 2, 1. / 2, 1, 4, 1. / 4}[i%7]
			size.set(i, i, d)
			inverse.set(i, i, 1/d)
		}
		t.B = t.B.Times(left.Times(size).Times(right.Transposed()))
		t.A = right.Times(inverse).Times(left.Transposed()).Times(t.A)
		return t
	}}
}

// rotation is an orthogonal matrix in a random direction.
func rotation(rng *rand.Rand, n int) Matrix {
	q, _ := qr(Filled(n, n, func(values []float64) {
		for i := range values {
			values[i] = rng.NormFloat64()
		}
	}))
	return q
}

// FlipSigns negates columns of B together with the same rows of A, which cancels: those given, counted from 0, or all of them for none.
func FlipSigns(pairs ...int) Rewriting {
	name := "signs of both factors"
	if len(pairs) > 0 {
		name = fmt.Sprintf("signs of factor pairs %v", pairs)
	}
	return Rewriting{Name: name, Of: func(t Target) Target {
		if len(pairs) == 0 {
			t.A, t.B = t.A.Scaled(-1), t.B.Scaled(-1)
			return t
		}
		a := t.A.Transposed()
		t.B = t.B.Padded(t.B.Rows, t.B.Cols)
		for _, k := range pairs {
			negate(t.B, k)
			negate(a, k)
		}
		t.A = a.Transposed()
		return t
	}}
}

// Pad gives the target extra ranks that do nothing: zero columns of B and zero rows of A.
func Pad(extra int) Rewriting {
	return Rewriting{Name: fmt.Sprintf("rank padded with %d zeros", extra), Of: func(t Target) Target {
		t.A, t.B = t.A.Padded(t.A.Rows+extra, t.A.Cols), t.B.Padded(t.B.Rows, t.B.Cols+extra)
		return t
	}}
}

// Rebalance divides the scale and alpha by factor and multiplies A by it.
func Rebalance(factor float64) Rewriting {
	return Rewriting{Name: fmt.Sprintf("scale over %g in A", factor), Of: func(t Target) Target {
		t.Scale, t.Alpha, t.A = t.Scale/factor, t.Alpha/factor, t.A.Scaled(factor)
		return t
	}}
}

// Rescale multiplies the scale and alpha, and so delta W, by factor; a negative one turns the change around.
func Rescale(factor float64) Rewriting {
	return Rewriting{Name: fmt.Sprintf("scale times %g", factor), Of: func(t Target) Target {
		t.Scale, t.Alpha = t.Scale*factor, t.Alpha*factor
		return t
	}}
}

// RescaleAll multiplies delta W and the base by factor.
func RescaleAll(factor float64) Rewriting {
	return Rewriting{Name: fmt.Sprintf("delta W and W times %g", factor), Of: func(t Target) Target {
		t = Rescale(factor).Of(t)
		if t.Base.Values != nil {
			t.Base = t.Base.Scaled(factor)
		}
		return t
	}}
}

// Transpose swaps inputs and outputs: delta W and the base become their transposes.
func Transpose() Rewriting {
	return Rewriting{Name: "transposed", Peers: true, Of: func(t Target) Target {
		t.A, t.B = t.B.Transposed(), t.A.Transposed()
		if t.Base.Values != nil {
			t.Base = t.Base.Transposed()
		}
		return t
	}}
}

// StoreTransposed says that the checkpoint holds the weight as in x out. The matrices are what they were.
func StoreTransposed() Rewriting {
	return Rewriting{Name: "stored transposed", Of: func(t Target) Target {
		t.FanInFanOut = !t.FanInFanOut
		return t
	}}
}

// Swap exchanges an adapter with its one peer, which keeps the name of the peer. Bases, which a peer has no use for, go along.
func Swap(adapter Adapter) Adapter {
	if len(adapter.Peers) != 1 {
		panic("diagtest: only an adapter with one peer can be swapped with it")
	}
	adapter.Targets, adapter.Peers = adapter.Peers[0].Targets, []Peer{{Name: adapter.Peers[0].Name, Targets: adapter.Targets}}
	return adapter
}

// Delta gives delta W = Scale * B A, dense.
func (t Target) Delta() Matrix { return t.B.Times(t.A).Scaled(t.Scale) }
