package main

import (
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
)

// fault is a kind of damage that adapters come with.
type fault struct {
	kind    string
	what    string
	reasons []string                                 // codes of findings that tell a person what is wrong; any of them counts as the right reason
	harmful bool                                     // it changes what the merged model does, or makes it do nothing
	plant   func(a *adapter, random *rand.Rand) bool // false where it does not apply to a
	with    func(benign *adapter) *adapter           // the adapter to compare with; nil compares with none
	base    bool                                     // the adapter is checked against another base of the same shape
}

// What the default policy says about sizes, behaviour and unlike layers.
var (
	tooLarge = []string{"DELTA_EXCEEDS_WEIGHT", "PROBE_TASK_WORSE", "PROBE_MOVED_FAR"}
	behaves  = []string{"PROBE_TASK_WORSE", "PROBE_NO_CHANGE", "PROBE_LITTLE_GAIN", "PROBE_MOVED_FAR"}
)

// faults lists every kind, each planted into every adapter it applies to.
var faults = []fault{
	{kind: "scale-x8", what: "lora_alpha eight times too large", reasons: tooLarge, harmful: true, plant: alpha(8)},
	{kind: "scale-x64", what: "lora_alpha 64 times too large", reasons: tooLarge, harmful: true, plant: alpha(64)},
	{kind: "scale-sqrt-r", what: "alpha / sqrt(r) where alpha / r was trained", reasons: append([]string{"SCALE_SUSPICIOUS"}, tooLarge...), harmful: true,
		plant: func(a *adapter, _ *rand.Rand) bool {
			a.config["use_rslora"] = true
			return a.rank() >= 8
		}},
	{kind: "scale-div64", what: "lora_alpha 64 times too small", reasons: behaves, harmful: true, plant: alpha(1. / 64)},
	{kind: "swamped", what: "a change so small that the merge in BF16 loses it", reasons: append([]string{"MERGE_SWAMPED", "AD_NO_EFFECT"}, behaves...),
		harmful: true, plant: alpha(1. / 8192)},
	{kind: "no-op-B", what: "B is zero everywhere, as before training", reasons: []string{"AD_NO_EFFECT", "AD_ZERO"}, harmful: true, plant: fill(suffixB, 0)},
	{kind: "no-op-A", what: "A is zero everywhere", reasons: []string{"AD_NO_EFFECT", "AD_ZERO"}, harmful: true, plant: fill(suffixA, 0)},
	{kind: "half-zero", what: "B is zero in half of the layers", reasons: []string{"AD_ZERO"}, harmful: true,
		plant: func(a *adapter, _ *rand.Rand) bool {
			for _, name := range a.names(suffixB) {
				if n, _ := layer(name); n%2 == 1 {
					clear(a.tensors[name].data)
				}
			}
			return true
		}},
	{kind: "nan", what: "one NaN in one factor", reasons: []string{"AD_NONFINITE"}, harmful: true, plant: one(math.NaN())},
	{kind: "inf", what: "one infinity in one factor", reasons: []string{"AD_NONFINITE"}, harmful: true, plant: one(math.Inf(1))},
	{kind: "exponent-flip", what: "one bit of the exponent of one value flipped", reasons: append([]string{"OUTLIER", "AD_OVERFLOW_ON_MERGE"}, tooLarge...),
		harmful: true, plant: one(3e30)},
	{kind: "diverged", what: "factors of a training run that diverged: a hundred times the size, without direction",
		reasons: tooLarge, harmful: true, plant: noise(100)},
	{kind: "random", what: "B replaced by noise of the same size", reasons: behaves, harmful: true, plant: noise(1)},
	{kind: "negated", what: "B with the opposite sign", reasons: behaves, harmful: true,
		plant: func(a *adapter, _ *rand.Rand) bool { return a.eachB(func(m *matrix) { m.scale(-1) }) }},
	{kind: "layers-shifted", what: "each layer has the factors of the next", reasons: behaves, harmful: true, plant: shiftLayers},
	{kind: "rows-permuted", what: "rows of every B shuffled", reasons: behaves, harmful: true,
		plant: func(a *adapter, random *rand.Rand) bool { return a.eachB(func(m *matrix) { permuteRows(m, random) }) }},
	{kind: "columns-permuted", what: "columns of every A shuffled", reasons: behaves, harmful: true, plant: permuteColumns},
	{kind: "ranks-permuted", what: "columns of every B shuffled against the rows of A", reasons: behaves, harmful: true,
		plant: func(a *adapter, random *rand.Rand) bool {
			a.eachB(func(m *matrix) { reorderColumns(m, random.Perm(m.cols)) })
			return a.rank() >= 4
		}},
	{kind: "swapped-gate-up", what: "factors of gate_proj and up_proj swapped", reasons: behaves, harmful: true, plant: swapGateUp},
	{kind: "layers-missing", what: "the last half of the layers is missing", reasons: append([]string{"MISSING_LAYERS", "AD_TARGET_MODULES"}, behaves...), harmful: true,
		plant: drop(func(n int) bool { return n >= 3 })},
	{kind: "layer-missing", what: "one layer in the middle is missing", reasons: append([]string{"MISSING_LAYERS", "AD_TARGET_MODULES"}, behaves...), harmful: true,
		plant: drop(func(n int) bool { return n == 2 })},
	{kind: "half-pair", what: "one lora_B is missing", reasons: []string{"AD_PAIR"}, harmful: true,
		plant: func(a *adapter, _ *rand.Rand) bool { delete(a.tensors, a.names(suffixB)[0]); return true }},
	{kind: "rank-mismatch", what: "the configuration gives twice the rank of the factors", reasons: []string{"AD_RANK_MISMATCH"}, harmful: true,
		plant: func(a *adapter, _ *rand.Rand) bool { a.config["r"] = float64(2 * a.rank()); return true }},
	{kind: "truncated", what: "the file ends in the middle", reasons: []string{"ST_OFFSET_EOF"}, harmful: true,
		plant: func(a *adapter, _ *rand.Rand) bool { a.after = truncate; return true }},
	{kind: "layer-x30", what: "one layer thirty times too strong", reasons: append([]string{"OUTLIER"}, tooLarge...), harmful: true,
		plant: func(a *adapter, _ *rand.Rand) bool {
			for _, name := range a.names(suffixB) {
				if n, _ := layer(name); n == 3 {
					a.tensors[name].scale(30)
				}
			}
			return true
		}},
	{kind: "copy-paste", what: "the factors of layer 0 in every layer", reasons: append([]string{"AD_DUPLICATE"}, behaves...), harmful: true,
		plant: func(a *adapter, _ *rand.Rand) bool {
			first := map[string]*matrix{}
			for _, name := range slices.Concat(a.names(suffixA), a.names(suffixB)) {
				n, kind := layer(name)
				if n == 0 {
					first[kind] = a.tensors[name]
				}
			}
			for _, name := range slices.Concat(a.names(suffixA), a.names(suffixB)) {
				if _, kind := layer(name); first[kind] != nil {
					a.tensors[name] = first[kind].clone()
				}
			}
			return true
		}},
	{kind: "coarse", what: "factors quantized to 2 bits", reasons: behaves, harmful: false, plant: coarse},
	{kind: "wrong-base", what: "a base of the same shape with other weights", reasons: behaves, harmful: true, base: true,
		plant: func(*adapter, *rand.Rand) bool { return true }},
	{kind: "duplicate", what: "the adapter is live already, refactored and padded", reasons: []string{"NEAR_DUPLICATE", "DUPLICATE"},
		plant: func(*adapter, *rand.Rand) bool { return true }, with: refactored},
	{kind: "clash", what: "the opposite adapter is live", reasons: []string{"CLASH", "OPPOSITE"},
		plant: func(*adapter, *rand.Rand) bool { return true },
		with: func(benign *adapter) *adapter {
			out := benign.clone()
			out.eachB(func(m *matrix) { m.scale(-0.9) })
			return out
		}},
}

func (a *adapter) rank() int { return a.tensors[a.names(suffixA)[0]].rows }

func (a *adapter) eachB(f func(*matrix)) bool {
	for _, name := range a.names(suffixB) {
		f(a.tensors[name])
	}
	return true
}

func alpha(by float64) func(*adapter, *rand.Rand) bool {
	return func(a *adapter, _ *rand.Rand) bool {
		value, ok := a.config["lora_alpha"].(float64)
		a.config["lora_alpha"] = value * by
		return ok
	}
}

func fill(suffix string, value float32) func(*adapter, *rand.Rand) bool {
	return func(a *adapter, _ *rand.Rand) bool {
		for _, name := range a.names(suffix) {
			for i := range a.tensors[name].data {
				a.tensors[name].data[i] = value
			}
		}
		return true
	}
}

// one puts a value into the middle of one factor.
func one(value float64) func(*adapter, *rand.Rand) bool {
	return func(a *adapter, _ *rand.Rand) bool {
		names := a.names(suffixB)
		m := a.tensors[names[len(names)/2]]
		m.data[len(m.data)/2] = float32(value)
		return true
	}
}

// noise replaces every B by Gaussian noise of so many times its size.
func noise(times float64) func(*adapter, *rand.Rand) bool {
	return func(a *adapter, random *rand.Rand) bool {
		return a.eachB(func(m *matrix) {
			each := times * m.norm() / math.Sqrt(float64(len(m.data)))
			for i := range m.data {
				m.data[i] = float32(random.NormFloat64() * each)
			}
		})
	}
}

func shiftLayers(a *adapter, _ *rand.Rand) bool {
	byKind := map[string][]string{}
	for _, name := range slices.Concat(a.names(suffixA), a.names(suffixB)) {
		if n, kind := layer(name); n >= 0 {
			byKind[kind] = append(byKind[kind], name)
		}
	}
	for _, names := range byKind {
		first := a.tensors[names[0]]
		for i := range names[1:] {
			a.tensors[names[i]] = a.tensors[names[i+1]]
		}
		a.tensors[names[len(names)-1]] = first
	}
	return true
}

func permuteRows(m *matrix, random *rand.Rand) {
	old := m.clone()
	for i, from := range random.Perm(m.rows) {
		copy(m.data[i*m.cols:(i+1)*m.cols], old.data[from*m.cols:(from+1)*m.cols])
	}
}

func reorderColumns(m *matrix, order []int) {
	old := m.clone()
	for i := range m.rows {
		for j, from := range order {
			m.data[i*m.cols+j] = old.data[i*m.cols+from]
		}
	}
}

func permuteColumns(a *adapter, random *rand.Rand) bool {
	for _, name := range a.names(suffixA) {
		m := a.tensors[name]
		reorderColumns(m, random.Perm(m.cols))
	}
	return true
}

func swapGateUp(a *adapter, _ *rand.Rand) bool {
	swapped := false
	for _, suffix := range []string{suffixA, suffixB} {
		gates, ups := a.names(".gate_proj"+suffix), a.names(".up_proj"+suffix)
		for i := range gates {
			a.tensors[gates[i]], a.tensors[ups[i]] = a.tensors[ups[i]], a.tensors[gates[i]]
			swapped = true
		}
	}
	return swapped
}

func drop(which func(layer int) bool) func(*adapter, *rand.Rand) bool {
	return func(a *adapter, _ *rand.Rand) bool {
		for _, name := range slices.Concat(a.names(suffixA), a.names(suffixB)) {
			if n, _ := layer(name); which(n) {
				delete(a.tensors, name)
			}
		}
		return len(a.tensors) > 0
	}
}

func truncate(dir string) error {
	path := filepath.Join(dir, "adapter_model.safetensors")
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	return os.Truncate(path, info.Size()*2/3)
}

// coarse rounds every factor to four values between minus and plus its largest.
func coarse(a *adapter, _ *rand.Rand) bool {
	for _, m := range a.tensors {
		var most float64
		for _, v := range m.data {
			most = max(most, math.Abs(float64(v)))
		}
		for i, v := range m.data {
			m.data[i] = float32(most / 1.5 * (math.Round(float64(v)/most*1.5+0.5) - 0.5))
		}
	}
	return true
}

// refactored is the same change in other factors, B' = 2 B and A' = A / 2 with a row and a column of zeros added to the rank.
func refactored(benign *adapter) *adapter {
	out := benign.clone()
	r := float64(out.rank())
	value, _ := out.config["lora_alpha"].(float64)
	out.config["r"], out.config["lora_alpha"] = r+1, value/r*(r+1)
	for _, name := range out.names(suffixA) {
		m := out.tensors[name]
		m.scale(0.5)
		m.data, m.rows = append(m.data, make([]float32, m.cols)...), m.rows+1
	}
	out.eachB(func(m *matrix) {
		wide := &matrix{m.rows, m.cols + 1, make([]float32, m.rows*(m.cols+1))}
		for i := range m.rows {
			for j := range m.cols {
				wide.data[i*wide.cols+j] = 2 * m.data[i*m.cols+j]
			}
		}
		*m = *wide
	})
	return out
}
