// Package anomaly is the diagnostic that answers "is it unlike the adapters you know?": features of the change of every weight, held
// against those of the adapters in the operator's bank. It says how unusual an adapter is among them, and nothing about whether it is safe.
package anomaly

import (
	"errors"
	"math"
	"strings"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/diag"
	"github.com/tenon-ml/tenon/wasm/modules/internal/layers"
	"github.com/tenon-ml/tenon/wasm/modules/internal/places"
	"github.com/tenon-ml/tenon/wasm/modules/internal/spread"
)

// features is how many numbers describe one changed weight (diagnostics B.9).
const features = 5

// The features, in the order of the grid.
const (
	sigma1         = iota // the largest singular value of delta W
	deltaNorm             // its Frobenius norm
	concentration         // the share of the first direction in all energy
	entropyL1             // of the singular values' shares, in nats
	excessKurtosis        // of its entries, beyond what singular vectors like normal noise give
)

// vector is the features of one weight.
type vector [features]float64

// subject is a weight of this adapter that has features.
type subject struct {
	target diag.Target
	kind   string
	own    vector
	bank   []vector // by adapter of the bank; NaN where it has none
}

// Diagnose looks at one adapter, if there is a bank to hold it against; otherwise it costs nothing.
func Diagnose(run *diag.Run) error {
	names, ok := run.BankNames()
	if !ok {
		return nil
	}
	entries := run.Param("kurtosis_entries")
	var subjects []subject
	var without places.Places
	for _, target := range run.Targets() {
		own, ok, err := measure(target, entries)
		if err != nil {
			return err
		}
		if !ok {
			without.Add(target.Name)
			continue
		}
		target.Grid("features", 1, features, own[:])
		target.Metric("excess_kurtosis", own[excessKurtosis])
		place, _ := layers.Of(target.Name)
		s := subject{target: target, kind: place.Kind, own: own}
		if s.bank, err = stored(target, len(names)); err != nil {
			return err
		}
		subjects = append(subjects, s)
	}
	return judge(run, subjects, without, others(run, names))
}

// measure gives the features of one delta W; false where it is zero or not finite, or all its entries are equal.
func measure(target diag.Target, entries float64) (vector, bool, error) {
	singular, err := target.DeltaValues()
	if errors.Is(err, abi.Numeric) {
		return vector{}, false, nil
	}
	if err != nil {
		return vector{}, false, err
	}
	s, ok := spread.Of(singular)
	if !ok || math.IsInf(s.Norm, 0) {
		return vector{}, false, nil
	}
	kurtosis, ok, err := kurtosis(target, s.Norm, entries)
	if err != nil || !ok {
		return vector{}, false, err
	}
	return vector{s.Sigma1, s.Norm, 1 / s.Stable, s.EntropyL1, kurtosis - 3 - 6/s.Participation}, true, nil
}

// stored gives the features of this weight for each of n adapters of the bank. A table of another form, from another version, is none.
func stored(target diag.Target, n int) ([]vector, error) {
	out := make([]vector, n)
	for i := range out {
		out[i][0] = math.NaN()
	}
	table, ok := target.BankFeatures()
	if !ok {
		return out, nil
	}
	defer table.Drop()
	rows, cols, err := table.Shape()
	if err != nil || rows != n || cols != features {
		return out, err
	}
	values, err := table.Values()
	if err != nil {
		return nil, err
	}
	for i := range out {
		copy(out[i][:], values[i*features:])
	}
	return out, nil
}

// others gives the positions in the bank of adapters other than this one: it is not held against itself.
func others(run *diag.Run, names []string) []int {
	own, _ := run.Attr("adapter.digest")
	own = strings.TrimPrefix(own, "sha256:")
	var out []int
	for i, name := range names {
		if own == "" || strings.TrimPrefix(name, "sha256:") != own {
			out = append(out, i)
		}
	}
	return out
}
