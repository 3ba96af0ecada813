package main

import (
	"errors"
	"math"

	"github.com/tenon-ml/tenon/sdk/diag"
)

// margin is how far above the limit the z of a marked adapter must be expected before its absence says anything: a marked adapter then
// stays below the limit with a chance of at most about exp(-margin^2/2), 0.03 %.
const margin = 4

// settings are what the operator gives.
type settings struct {
	key      float64 // the secret
	strength float64 // norm of the mark relative to that of delta W, as it was made
	limit    float64 // z from which the mark is there
	wanted   bool    // it must be there; else it must not
}

func read(run *diag.Run) (settings, error) {
	s := settings{key: run.Param("key"), strength: run.Param("strength"), limit: run.Param("limit"), wanted: run.Param("expect") == 1}
	switch expect := run.Param("expect"); {
	case s.key-s.key != 0:
		return s, errors.New("the parameter key must be a number")
	case !(s.strength > 0) || !(s.limit > 0):
		return s, errors.New("the parameters strength and limit must be above 0")
	case expect != 0 && expect != 1:
		return s, errors.New("the parameter expect must be 1, the mark has to be there, or 0, it must not be there")
	}
	return s, nil
}

func diagnose(run *diag.Run) error {
	s, err := read(run)
	if err != nil {
		return err
	}
	if s.key == 0 {
		run.Finding(diag.Deny, "WATERMARK_NO_KEY", "no key was given, so no mark can be looked for",
			"set the parameter key in the policy to the secret that adapters are marked with", 0, 0)
		return nil
	}
	var total, expected float64
	seen, strengths := 0, 0.0
	for _, t := range run.Targets() {
		z, ok, err := correlate(t, s.key)
		if err != nil {
			return err
		}
		if !ok {
			continue // it changes nothing along v: no mark and no evidence
		}
		t.Metric("z", z)
		rank, out := float64(t.Rank), float64(t.Out)
		total += z
		expected += s.strength * math.Sqrt(out*rank/(1+s.strength*s.strength*rank))
		strengths += z / math.Sqrt(rank*max(out-z*z, 1))
		seen++
	}
	n := math.Sqrt(float64(max(seen, 1)))
	total, expected = total/n, expected/n
	run.Metric("targets", float64(seen))
	run.Metric("z", total)
	run.Metric("z_expected", expected)
	run.Metric("strength_seen", strengths/float64(max(seen, 1)))
	run.Metric("log10_chance", -max(total, 0)*max(total, 0)/(2*math.Ln10))
	report(run, s, total, expected)
	return nil
}

// correlate gives z = u'y / |y| with y = delta W v. It is false where y is zero. Delta W is never formed: y is s B (A v).
func correlate(t diag.Target, key float64) (float64, bool, error) {
	u, v := directions(key, t.Name, t.Out, t.In)
	direction, err := diag.Put(t.In, 1, v)
	if err != nil {
		return 0, false, err
	}
	defer direction.Drop()
	inner, err := diag.MatMul(t.A(), direction, diag.TransposeNone)
	if err != nil {
		return 0, false, err
	}
	defer inner.Drop()
	outer, err := diag.MatMul(t.B(), inner, diag.TransposeNone)
	if err != nil {
		return 0, false, err
	}
	defer outer.Drop()
	y, err := outer.Values()
	if err != nil {
		return 0, false, err
	}
	largest := 0.0
	for _, value := range y {
		if value-value != 0 {
			return 0, false, errors.New(t.Name + " has a change that is not finite: nothing can be said of it")
		}
		largest = max(largest, math.Abs(value))
	}
	if largest == 0 || t.Scale == 0 {
		return 0, false, nil
	}
	var dot, squares float64
	for i, value := range y {
		value /= largest // so that no square is lost
		dot += u[i] * value
		squares += value * value
	}
	return math.Copysign(1, t.Scale) * dot / math.Sqrt(squares), true, nil
}

// undecidable is the message of what is not seen and could not be.
const undecidable = "no mark is seen, but one of this strength could not be told from chance in so small an adapter"

func report(run *diag.Run, s settings, z, expected float64) {
	decidable := expected >= s.limit+margin
	switch {
	case s.wanted && z < s.limit && decidable:
		run.Finding(diag.Deny, "WATERMARK_MISSING", "the adapter does not carry the mark of this key",
			"ask its owner for the marked adapter, or give the key and strength that it was marked with", z, s.limit)
	case s.wanted && z < s.limit:
		run.Finding(diag.Deny, "WATERMARK_UNDECIDABLE", undecidable,
			"mark more weights or mark them more strongly", expected, s.limit+margin)
	case !s.wanted && z >= s.limit:
		run.Finding(diag.Deny, "WATERMARK_PRESENT", "the adapter carries the mark of this key",
			"find out where it was taken from before it is used", z, s.limit)
	case !s.wanted && !decidable:
		run.Finding(diag.Warn, "WATERMARK_UNDECIDABLE", undecidable,
			"absence cannot be shown here: do not rely on it", expected, s.limit+margin)
	}
}
