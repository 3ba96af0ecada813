package main

import (
	"math"
	"math/rand/v2"
	"slices"
)

// fault is a kind of damage that adapters come with.
type fault struct {
	kind    string
	what    string
	reasons []string // codes of findings about the weights that tell a person what is wrong; each is a right reason, and so is each of behaves
	// plant makes the damage, in an adapter of its own; false where it does not apply to it.
	plant func(a *lora, random *rand.Rand) bool
	with  func(benign *lora) *lora // the adapter to compare with, for a fault of two; nil compares with none
	base  bool                     // the adapter is checked against another base of the same shape
}

// behaves are the codes of findings about what the merged model says. Nothing but a change of behaviour gives them, so they are a right
// reason for every fault that is one.
var behaves = []string{"PROBE_TASK_WORSE", "PROBE_LITTLE_GAIN", "PROBE_UNEXPECTED", "PROBE_COMPLETION", "PROBE_NONFINITE"}

// What the default policy and the diagnostics say of sizes and of what is missing.
var (
	tooLarge = []string{"DELTA_EXCEEDS_WEIGHT", "DELTA_DWARFS_WEIGHT", "ADAPTER_DWARFS_BASE"}
	tooSmall = []string{"MERGE_SWAMPED", "AD_NO_EFFECT"}
	missing  = []string{"MISSING_LAYERS", "AD_TARGET_MODULES"}
	damaged  = slices.Concat([]string{"AD_NONFINITE", "OUTLIER", "AD_OVERFLOW_ON_MERGE"}, tooLarge)
)

// faults lists every kind, each planted into every adapter it applies to.
var faults = []fault{
	{kind: "scale-x8", what: "`lora_alpha` eight times too large", reasons: tooLarge, plant: alpha(8)},
	{kind: "scale-x64", what: "`lora_alpha` 64 times too large", reasons: damaged, plant: alpha(64)},
	{kind: "scale-sqrt-r", what: "alpha / √r where alpha / r was trained (rank 4 and more)", reasons: tooLarge, plant: rootRank},
	{kind: "scale-div64", what: "`lora_alpha` 64 times too small", reasons: tooSmall, plant: alpha(1. / 64)},
	{kind: "swamped", what: "so small that a merge in BF16 loses it", reasons: tooSmall, plant: alpha(1. / 8192)},
	{kind: "no-op-B", what: "B is zero everywhere, as before training", reasons: []string{"AD_NO_EFFECT", "AD_ZERO"}, plant: zero(suffixB)},
	{kind: "no-op-A", what: "A is zero everywhere", reasons: []string{"AD_NO_EFFECT", "AD_ZERO"}, plant: zero(suffixA)},
	{kind: "half-zero", what: "B is zero in every other layer", reasons: []string{"AD_ZERO"}, plant: zeroEveryOther},
	{kind: "nan", what: "one NaN in one factor", reasons: []string{"AD_NONFINITE"}, plant: one(math.NaN())},
	{kind: "inf", what: "one infinity in one factor", reasons: []string{"AD_NONFINITE"}, plant: one(math.Inf(1))},
	{kind: "exponent-flip", what: "one value of 3e30, as by a flipped bit", reasons: damaged, plant: one(3e30)},
	{kind: "bits-flipped", what: "one bit flipped in one value of a thousand", reasons: damaged, plant: flipBits},
	{kind: "diverged", what: "B is noise of a hundred times its size, as after a run that diverged", reasons: damaged, plant: noise(100)},
	{kind: "random", what: "B is noise of its own size", plant: noise(1)},
	{kind: "negated", what: "B with the opposite sign", plant: func(a *lora, _ *rand.Rand) bool {
		return a.eachB(func(m *matrix) { m.scale(-1) })
	}},
	{kind: "layer-negated", what: "the same in the middle layer only", plant: inMiddle(func(m *matrix) { m.scale(-1) })},
	{kind: "layer-x30", what: "the middle layer thirty times too strong", reasons: damaged, plant: inMiddle(func(m *matrix) { m.scale(30) })},
	{kind: "layers-shifted", what: "each layer has the factors of the next", plant: shiftLayers},
	{kind: "copy-paste", what: "every layer has the factors of the first", reasons: []string{"AD_DUPLICATE"}, plant: copyFirst},
	{kind: "rows-permuted", what: "rows of every B shuffled", plant: permuteRows},
	{kind: "columns-permuted", what: "columns of every A shuffled", plant: permuteColumns},
	{kind: "ranks-permuted", what: "columns of every B shuffled against the rows of A (rank 4 and more)", plant: permuteRanks},
	{kind: "wrong-order", what: "every A written column by column and read row by row (rank 2 and more)", plant: wrongOrder},
	{kind: "swapped-gate-up", what: "factors of `gate_proj` and `up_proj` swapped", plant: swapGateUp},
	{kind: "layers-missing", what: "the last half of the layers is missing", reasons: missing, plant: dropLastHalf},
	{kind: "layer-missing", what: "the middle layer is missing", reasons: missing, plant: dropMiddle},
	{kind: "half-pair", what: "one `lora_B` is missing", reasons: []string{"AD_PAIR"}, plant: halfPair},
	{kind: "rank-mismatch", what: "the configuration gives twice the rank of the factors", reasons: []string{"AD_RANK_MISMATCH"},
		plant: func(a *lora, _ *rand.Rand) bool { a.config["r"] = float64(2 * a.rank()); return true }},
	{kind: "row-missing", what: "one B has a row too few", reasons: []string{"AD_SHAPE"}, plant: dropRow},
	{kind: "truncated", what: "the file ends in the middle", reasons: []string{"ST_OFFSET_EOF"},
		plant: func(a *lora, _ *rand.Rand) bool { a.after = truncate; return true }},
	{kind: "coarse", what: "every factor rounded to four values", plant: coarse},
	{kind: "wrong-base", what: "a base of the same shape whose hidden dimensions are in another order", base: true, plant: nothing},
	{kind: "duplicate", what: "the same change is there already, refactored and padded", reasons: []string{"NEAR_DUPLICATE", "DUPLICATE"},
		plant: nothing, with: refactored},
	{kind: "clash", what: "the opposite change is there already", reasons: []string{"CLASH", "OPPOSITE"}, plant: nothing, with: opposite},
}
