package main

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/host/report"
)

// pairMetrics are what module interference reports of two adapters, with one entry for each weight that both adapt.
type pairMetrics struct {
	cosine, z       float64 // of all weights
	cosines         []float64
	inputs, outputs float64 // z of the overlaps of each
	ratio           float64 // of the norms; 0 is 1
	clashes         float64
}

func (p pairMetrics) metrics() []report.Metric {
	ratio := max(p.ratio, 1)
	blowup := math.Sqrt(1 + 2*p.cosine*ratio/(1+ratio*ratio))
	var all []report.Metric
	add := func(target, name string, v float64) {
		all = append(all, report.Metric{Module: "interference", Target: target, Name: name, With: "sha256:peer", Value: report.Number(v)})
	}
	for i, c := range p.cosines {
		target := fmt.Sprintf("layers.%d.weight", i)
		add(target, "cosine", c)
		add(target, "cosine_z", c*p.z)
		add(target, "overlap_left_z", p.outputs)
		add(target, "overlap_right_z", p.inputs)
	}
	add("", "shared_targets", float64(len(p.cosines)))
	add("", "cosine", p.cosine)
	add("", "norm_blowup", blowup)
	add("", "clashes", p.clashes)
	return append(all, report.Metric{Module: "similarity", Target: "layers.0.weight", Name: "cosine", With: "sha256:peer", Value: 0.3},
		report.Metric{Module: "interference", Name: "norm_blowup_all", Value: 3})
}

func TestRelation(t *testing.T) {
	for _, c := range []struct {
		code       string
		pair       pairMetrics
		own, other int
		says       string
	}{
		{"SAME", pairMetrics{cosine: 0.999, z: 1000, cosines: []float64{1, 1}, inputs: 50, outputs: 50}, 2, 2, "with equal strength"},
		{"SAME", pairMetrics{cosine: 1, z: 1000, cosines: []float64{1, 1}, ratio: 3}, 2, 5, "3.00 times as strong"},
		{"OPPOSITE", pairMetrics{cosine: -0.99, z: 1000, cosines: []float64{-1, -1}, ratio: 1.5, clashes: 2}, 2, 2, "1.50 times as strong"},
		{"OPPOSE", pairMetrics{cosine: -0.2, z: 1000, cosines: []float64{-0.2, -0.2}, inputs: 9, outputs: 9}, 2, 2, "in 2 of the 2 weights"},
		{"OPPOSE", pairMetrics{cosine: 0, z: 1000, cosines: []float64{0, 0, 0, 0}, inputs: 9, outputs: 9, clashes: 1}, 4, 4, "in 1 of the 4"},
		{"AGREE", pairMetrics{cosine: 0.3, z: 1000, cosines: []float64{0.3, 0.3}}, 2, 2, "overlap and agree"},
		{"MIXED", pairMetrics{cosine: 0, z: 1000, cosines: []float64{0.5, -0.5}}, 2, 2, "oppose each other in 1"},
		{"SAME_DIRECTIONS", pairMetrics{cosine: 0.01, z: 1000, cosines: []float64{0.01, 0.01}, inputs: 9, outputs: 9}, 2, 2, "different things"},
		{"SAME_INPUTS", pairMetrics{cosine: 0.01, z: 1000, cosines: []float64{0.01, 0.01}, inputs: 9, outputs: 1}, 2, 2, "write elsewhere"},
		{"SAME_OUTPUTS", pairMetrics{cosine: 0.01, z: 1000, cosines: []float64{0.01, 0.01}, inputs: 1, outputs: 9}, 2, 2, "other inputs"},
		{"UNRELATED", pairMetrics{cosine: -0.001, z: 100, cosines: []float64{0.2, -0.01, 0.01, 0}, inputs: 1, outputs: 1}, 4, 4,
			"they are mostly unrelated: in 3 of the 4 weights"},
		{"UNRELATED", pairMetrics{cosine: 0.001, z: 100, cosines: []float64{0.01, 0}, inputs: 1, outputs: 1}, 2, 2, "they are unrelated: in 2 of the 2"},
		{"LITTLE_IN_COMMON", pairMetrics{cosine: 0.045, z: 4096, cosines: []float64{0.045, 0.045}, inputs: 1, outputs: 1}, 2, 2,
			"beyond chance in 2 of the 2"},
		{"LITTLE_IN_COMMON", pairMetrics{cosine: -0.045, z: 4096, cosines: []float64{-0.045, -0.045, 0}}, 3, 3, "beyond chance in 2 of the 3"},
		{"NOTHING_SHARED", pairMetrics{}, 4, 3, "no weight is adapted by both (4 by one, 3 by the other)"},
	} {
		t.Run(c.code, func(t *testing.T) {
			f := newRelation(c.pair.metrics(), c.own, c.other).finding()
			if f.Code != c.code || !strings.Contains(f.Message, c.says) || f.Hint == "" || f.Severity != report.Info {
				t.Errorf("%+v", f)
			}
			if strings.Contains(f.Message, "nothing to do with") { // changes in different weights can work against each other unseen
				t.Errorf("more than the weights tell: %s", f.Message)
			}
			if swapped := newRelation(c.pair.metrics(), c.other, c.own).finding(); swapped.Code != f.Code {
				t.Errorf("the other way round it is %s", swapped.Code)
			}
		})
	}
	if f := newRelation([]report.Metric{{Module: "interference", Name: "shared_targets", With: "x", Value: 3}}, 3, 3).finding(); f.Code != "NO_CHANGE" {
		t.Errorf("%+v", f)
	}
}
