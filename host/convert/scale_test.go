package convert

import (
	"math"
	"slices"
	"testing"
)

func TestChooseAlpha(t *testing.T) {
	for _, c := range []struct {
		name    string
		weights []scaled
		alpha   float64
		folds   []float64
	}{
		{"one scale", []scaled{{8, 2, 16}, {8, 2, 16}}, 16, []float64{1, 1}},
		{"ranks of one alpha", []scaled{{8, 2, 16}, {4, 4, 16}}, 16, []float64{1, 1}},
		{"the majority's alpha", []scaled{{8, 4, 32}, {8, 2, 16}, {8, 2, 16}}, 16, []float64{2, 1, 1}},
		{"the smallest of equals", []scaled{{8, 4, 32}, {8, 2, 16}}, 16, []float64{2, 1}},
		{"a square root that is whole", []scaled{{16, 2, 8}}, 32, []float64{1}},
		{"a square root that is not", []scaled{{8, 16 / math.Sqrt(8), 16}}, 8, []float64{16 / math.Sqrt(8)}},
		{"the most common rank", []scaled{{8, 1.1, 0}, {4, 1.1, 0}, {4, 1.1, 0}}, 4, []float64{1.1 / 0.5, 1.1, 1.1}},
		{"zero is no alpha", []scaled{{8, 0, 0}}, 8, []float64{0}},
		{"zero beside another", []scaled{{8, 0, 0}, {8, 2, 16}}, 16, []float64{0, 1}},
		{"negative", []scaled{{8, -2, -16}}, -16, []float64{1}},
		{"an alpha that rounding made", []scaled{{3, 1.0 / 3, 1}}, 1, []float64{1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			alpha := chooseAlpha(c.weights)
			var folds []float64
			for _, w := range c.weights {
				folds = append(folds, w.fold(alpha))
			}
			if alpha != c.alpha || !slices.Equal(folds, c.folds) {
				t.Errorf("alpha %v, folds %v; want %v, %v", alpha, folds, c.alpha, c.folds)
			}
		})
	}
}

func TestTargetModules(t *testing.T) {
	all := []string{"a.0.attn.c_proj", "a.0.mlp.c_proj", "a.0.mlp.c_fc", "a.1.mlp.c_fc", "lm_head"}
	for _, c := range []struct {
		name          string
		adapted, want []string
	}{
		{"everywhere", []string{"a.0.mlp.c_fc", "a.1.mlp.c_fc"}, []string{"c_fc"}},
		{"in one layer", []string{"a.1.mlp.c_fc"}, []string{"a.1.mlp.c_fc"}},
		{"a name that two kinds share", []string{"a.0.mlp.c_proj"}, []string{"a.0.mlp.c_proj"}},
		{"both kinds", []string{"a.0.mlp.c_proj", "a.0.attn.c_proj", "lm_head"}, []string{"c_proj", "lm_head"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := targetModules(c.adapted, all); !slices.Equal(got, c.want) {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}
