package interference

import (
	"math"

	"github.com/tenon-ml/tenon/sdk/diag"
)

// conflict counts, over the rows of two trimmed deltas, the entries that both keep with opposite signs: of these the sum keeps neither as
// it was. It is the interference that TIES removes (diagnostics B.5). With two adapters an elected sign disagrees with exactly one of the
// two entries of such a position.
type conflict struct {
	opposed, disagreed, conflicting ratio // of positions that both keep, of kept entries, of positions that either keeps
}

func newConflict(rows, all int) conflict {
	r := ratio{rows: rows, all: all}
	return conflict{r, r, r}
}

// add counts one row. There is no branch in it: which entries are kept cannot be foreseen.
func (c *conflict) add(own, theirs trimmed) {
	var kept, both, opposite uint64
	others := theirs.words[:len(own.words)]
	flip := own.flip ^ theirs.flip
	for i, x := range own.words {
		y := others[i]
		keepsX, keepsY := reaches(x, own.least), reaches(y, theirs.least)
		together := keepsX & keepsY
		kept += ones(keepsX) + ones(keepsY)
		both += ones(together)
		opposite += ones(together & (x ^ y ^ flip))
	}
	c.opposed.add(int(opposite), int(both))
	c.disagreed.add(int(opposite), int(kept))
	c.conflicting.add(int(opposite), int(kept-both))
}

// report gives the shares with what random signs would give at the same positions: half of the positions that both keep. Where rows were
// drawn, each share has its standard error.
func (c conflict) report(pair diag.Target) {
	c.shares(func(name string, share, null, deviation float64) {
		pair.Metric(name, share)
		pair.Metric(name+"_null", null)
		if deviation > 0 {
			pair.Metric(name+"_se", deviation)
		}
	})
	pair.Metric("contested", c.opposed.total())
}

// shares calls report for each share that is defined.
func (c conflict) shares(report func(name string, share, null, deviation float64)) {
	each(report, []conflict{c})
}

// each is shares over several weights together.
func each(report func(name string, share, null, deviation float64), all []conflict) {
	for _, s := range []struct {
		name string
		of   func(conflict) ratio
	}{
		{"sign_opposed", func(c conflict) ratio { return c.opposed }},
		{"sign_disagreement", func(c conflict) ratio { return c.disagreed }},
		{"sign_conflict", func(c conflict) ratio { return c.conflicting }},
	} {
		ratios := make([]ratio, len(all))
		var both, of float64
		for i, c := range all {
			ratios[i] = s.of(c)
			both += c.opposed.scaled(c.opposed.y)
			of += ratios[i].scaled(ratios[i].y)
		}
		if of > 0 {
			share, deviation := estimate(ratios)
			report(s.name, share, 0.5*both/of, deviation)
		}
	}
}

// ratio estimates a sum of x over a sum of y over all rows of a weight from some of them.
type ratio struct {
	rows, all        int
	x, y, xx, xy, yy float64 // sums over the rows looked at
}

func (r *ratio) add(x, y int) {
	u, v := float64(x), float64(y)
	r.x += u
	r.y += v
	r.xx += u * u
	r.xy += u * v
	r.yy += v * v
}

// scaled makes a sum over the rows looked at one over all rows.
func (r ratio) scaled(sum float64) float64 { return sum * float64(r.all) / float64(r.rows) }

// total estimates the sum of x over all rows.
func (r ratio) total() float64 { return r.scaled(r.x) }

// estimate gives the ratio of the sums over several weights, and its standard error by linearisation: of the residuals x - p y over rows
// drawn without putting back. It is 0 where all rows were looked at, and where one row says nothing of the error.
func estimate(ratios []ratio) (p, deviation float64) {
	var x, y float64
	for _, r := range ratios {
		x += r.total()
		y += r.scaled(r.y)
	}
	p = x / y
	var variance float64
	for _, r := range ratios {
		if r.rows < 2 || r.rows == r.all {
			continue
		}
		n, all := float64(r.rows), float64(r.all)
		mean := (r.x - p*r.y) / n
		squares := r.xx - 2*p*r.xy + p*p*r.yy - n*mean*mean
		variance += all * all * (1 - n/all) / n * max(squares, 0) / (n - 1)
	}
	return p, math.Sqrt(variance) / y
}
