package kernel

import "math"

// chain is the symmetric tridiagonal matrix with zeros on its diagonal whose eigenvalues are plus and minus the singular values of a
// bidiagonal B (Golub and Kahan): the coupling of entries i and i+1 is links[i]. An eigenvector of +σ interleaves v and u, v first.
type chain struct {
	links []float64
}

func (b *bidiagonal) chain() chain {
	links := make([]float64, 0, 2*len(b.diag)-1)
	for i, d := range b.diag {
		links = append(links, d)
		if i < len(b.above) {
			links = append(links, b.above[i])
		}
	}
	return chain{links}
}

// bound is at least the largest eigenvalue (Gershgorin).
func (c chain) bound() float64 {
	var bound, before float64
	for _, link := range c.links {
		bound, before = max(bound, before+math.Abs(link)), math.Abs(link)
	}
	return bound
}

// above counts the eigenvalues greater than x: the positive pivots of the matrix less x.
func (c chain) above(x float64) int {
	count, pivot := 0, -x
	for _, link := range c.links {
		if pivot == 0 {
			pivot = -0x1p-1000
		}
		pivot = -x - float64(link*link)/pivot
		if pivot > 0 {
			count++
		}
	}
	return count
}

// largest returns the k largest eigenvalues, descending, by bisection to the last bit or two.
func (c chain) largest(k int) []float64 {
	values := make([]float64, k)
	high := float64(c.bound()*(1+0x1p-50)) + 0x1p-1000
	for i := range values {
		low := 0.0
		for {
			middle := low + float64((high-low)/2)
			if middle <= low || middle >= high || high-low <= float64(0x1p-52*high) {
				break
			}
			if c.above(middle) > i {
				low = middle
			} else {
				high = middle
			}
		}
		values[i] = low
		high = max(high, low)
	}
	return values
}

// vectors returns orthonormal eigenvectors for the eigenvalues, by inverse iteration from a fixed start.
func (c chain) vectors(values []float64) columns {
	n := len(c.links) + 1
	result := newColumns(n, len(values))
	source := splitmix(n)
	factors := newShifted(n)
	for j := range values {
		x := result.column(j)
		source.fill(x)
		factors.factorize(c, values[j])
		for range 3 {
			orthonormalize(x, result.part(0, j))
			factors.solve(x)
			// The solution is as large as the shift is close. Its size is taken off before squares overflow.
			var largest float64
			for _, v := range x {
				largest = max(largest, math.Abs(v))
			}
			for i := range x {
				x[i] /= largest
			}
		}
		orthonormalize(x, result.part(0, j))
	}
	return result
}

// shifted is the LU factorisation, with row exchanges, of a chain less a multiple of the identity.
type shifted struct {
	pivot, next, after []float64 // the rows of U: diagonal, and the two entries right of it
	factor             []float64 // what of row i was subtracted from row i+1
	exchanged          []bool    // whether rows i and i+1 were
}

func newShifted(n int) *shifted {
	return &shifted{make([]float64, n), make([]float64, n), make([]float64, n), make([]float64, n), make([]bool, n)}
}

func (s *shifted) factorize(c chain, shift float64) {
	tiny := max(float64(c.bound()*0x1p-53), 0x1p-1000) // stands for pivots that vanish
	n := len(s.pivot)
	pivot, next := -shift, 0.0
	if n > 1 {
		next = c.links[0]
	}
	for i := range n - 1 {
		below, diagonal, right := c.links[i], -shift, 0.0
		if i+1 < n-1 {
			right = c.links[i+1]
		}
		s.exchanged[i] = math.Abs(below) > math.Abs(pivot)
		if s.exchanged[i] {
			s.pivot[i], s.next[i], s.after[i] = below, diagonal, right
			s.factor[i] = pivot / below
			pivot, next = next-float64(s.factor[i]*diagonal), -float64(s.factor[i]*right)
			continue
		}
		if pivot == 0 {
			pivot = tiny
		}
		s.pivot[i], s.next[i], s.after[i] = pivot, next, 0
		s.factor[i] = below / pivot
		pivot, next = diagonal-float64(s.factor[i]*next), right
	}
	if math.Abs(pivot) < tiny {
		pivot = tiny
	}
	s.pivot[n-1] = pivot
}

// solve replaces x by the solution for the right side x.
func (s *shifted) solve(x []float64) {
	n := len(s.pivot)
	for i := range n - 1 {
		if s.exchanged[i] {
			x[i], x[i+1] = x[i+1], x[i]
		}
		x[i+1] -= float64(s.factor[i] * x[i])
	}
	for i := n - 1; i >= 0; i-- {
		v := x[i]
		if i+1 < n {
			v -= float64(s.next[i] * x[i+1])
		}
		if i+2 < n {
			v -= float64(s.after[i] * x[i+2])
		}
		x[i] = v / s.pivot[i]
	}
}
