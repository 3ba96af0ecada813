package intruders

import (
	"math"

	"github.com/tenon-ml/tenon/sdk/diag"
	"github.com/tenon-ml/tenon/wasm/modules/internal/layers"
	"github.com/tenon-ml/tenon/wasm/modules/internal/robust"
)

// spikes are the spike margins of the weights that have a layer, by kind, in the order of their first names.
type spikes struct {
	kinds  []*spikeKind
	byName map[string]*spikeKind
}

// spikeKind is the same weight in all the layers that have a margin.
type spikeKind struct {
	targets []diag.Target
	margins []float64 // natural logarithms
}

func (s *spikes) add(target diag.Target, margin float64) {
	place, ok := layers.Of(target.Name)
	log := math.Log(margin)
	if !ok || log-log != 0 {
		return
	}
	k := s.byName[place.Kind]
	if k == nil {
		k = &spikeKind{}
		s.byName[place.Kind] = k
		s.kinds = append(s.kinds, k)
	}
	k.targets, k.margins = append(k.targets, target), append(k.margins, log)
}

// report reports how far each margin lies from those of the same weight in the other layers (diagnostics B.2), by the rules of outliers:
// there is no such number for a kind with fewer than least layers, nor where half of them are equal.
func (s *spikes) report(least float64) {
	for _, k := range s.kinds {
		if float64(len(k.margins)) < least {
			continue
		}
		z, _, ok := robust.ModifiedZ(k.margins)
		if !ok {
			continue
		}
		for i, target := range k.targets {
			target.Metric("spike_margin_z", z[i])
		}
	}
}
