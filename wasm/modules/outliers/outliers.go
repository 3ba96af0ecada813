// Package outliers is the diagnostic that answers "is one layer unlike the others?": weights whose change is much larger or much smaller
// than that of the same weight in the other layers, and layers that the adapter leaves out.
package outliers

import (
	"errors"
	"math"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/diag"
	"github.com/tenon-ml/tenon/wasm/modules/internal/layers"
)

// Diagnose looks at one adapter.
func Diagnose(run *diag.Run) error {
	groups, err := gather(run)
	if err != nil {
		return err
	}
	limits := limits{flag: run.Param("limit"), layers: run.Param("min_layers")}
	var unscored unscored
	for _, group := range groups {
		group.score(limits, &unscored)
	}
	unscored.report(run, limits)
	reportMissing(run)
	return nil
}

// member is one weight whose change has a size.
type member struct {
	target   diag.Target
	layer    int
	delta    float64 // the norm of delta W
	base     float64 // the norm of W
	relative bool    // base is known, finite and above 0
}

// group is the same weight in all the layers that adapt it.
type group struct {
	kind    layers.Place // of the first; its Layer says nothing of the others
	members []member
}

// gather measures every weight that has a layer, once each, and groups them by kind, in the order of their first names. A weight whose
// delta is zero or not finite has no size to compare, and hygiene says so.
func gather(run *diag.Run) ([]*group, error) {
	var groups []*group
	byKind := map[string]*group{}
	for _, target := range run.Targets() {
		place, ok := layers.Of(target.Name)
		if !ok {
			continue
		}
		m, ok, err := measure(target)
		if err != nil {
			return nil, err
		}
		g := byKind[place.Kind]
		if g == nil {
			g = &group{kind: place}
			byKind[place.Kind] = g
			groups = append(groups, g)
		}
		if ok {
			m.layer = place.Layer
			g.members = append(g.members, m)
		}
	}
	return groups, nil
}

// measure gives the norms of one delta W and of its W, the latter in one pass where the operator granted the base.
func measure(target diag.Target) (member, bool, error) {
	singular, err := target.DeltaValues()
	if errors.Is(err, abi.Numeric) {
		return member{}, false, nil
	}
	if err != nil {
		return member{}, false, err
	}
	m := member{target: target}
	for _, s := range singular {
		m.delta = math.Hypot(m.delta, s)
	}
	if m.delta == 0 || math.IsInf(m.delta, 0) {
		return member{}, false, nil
	}
	base, granted := target.Base()
	if !granted {
		return m, true, nil
	}
	stats, err := base.Stats()
	if err != nil {
		return member{}, false, err
	}
	m.base = math.Sqrt(stats.SumSquares)
	m.relative = stats.NaN+stats.Inf == 0 && m.base > 0 && !math.IsInf(m.base, 0)
	return m, true, nil
}
