package adapter

import (
	"io"
	"strconv"
	"strings"

	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/host/safetensors"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// fused is a parameter that factors of target_parameters are for: a matrix, or the matrices of several experts. It is stored as one tensor, or, as
// the checkpoints of many models still are although transformers 5 reads them into one parameter, as a module for each expert.
type fused struct {
	name   string // for people: where there are pieces, with * for the expert
	shape  []int  // [out, in] or [experts, out, in] or [experts, in, out]
	dtype  tensor.DType
	stored base.Tensor     // where it is one tensor
	pieces [][]base.Tensor // otherwise: parts of the rows of each expert, one below the other, by part and expert
}

// experts is how many matrices the parameter holds.
func (f *fused) experts() int {
	if len(f.shape) == 3 {
		return f.shape[0]
	}
	return 1
}

// layout is how a family of checkpoints names what transformers 5 reads as the parameters of mlp.experts.
type layout struct {
	module string              // of the experts in the checkpoint, in place of mlp.experts
	parts  map[string][]string // by parameter: the modules of one expert whose rows it has, in that order
}

// fusedModule is what transformers calls the module that has the parameters.
const fusedModule = "mlp.experts"

var (
	mixtralLayout = layout{"block_sparse_moe.experts", map[string][]string{"gate_up_proj": {"w1", "w3"}, "down_proj": {"w2"}}}
	qwenLayout    = layout{fusedModule, map[string][]string{"gate_up_proj": {"gate_proj", "up_proj"}, "down_proj": {"down_proj"}}}

	// unfusedNames are the layouts by model type (transformers/conversion_mapping.py).
	unfusedNames = map[string]*layout{
		"mixtral": &mixtralLayout, "minimax": &mixtralLayout, "minimax_m2": &mixtralLayout, "phimoe": &mixtralLayout,
		"qwen2_moe": &qwenLayout, "qwen3_moe": &qwenLayout, "qwen3_next": &qwenLayout, "deepseek_v2": &qwenLayout, "deepseek_v3": &qwenLayout,
		"dots1": &qwenLayout, "ernie4_5_moe": &qwenLayout, "glm4_moe": &qwenLayout, "hunyuan_v1_moe": &qwenLayout, "flex_olmo": &qwenLayout,
		"olmoe": &qwenLayout, "exaone_moe": &qwenLayout,
	}
)

// findFused finds a parameter in a base, stored either way.
func findFused(b *base.Base, module, leaf string) (fused, bool) {
	if t, ok := b.Tensor(module + "." + leaf); ok {
		return fused{name: t.Name, shape: t.Shape, dtype: t.DType, stored: t}, true
	}
	names := unfusedNames[b.Config.ModelType]
	before, isExperts := strings.CutSuffix(module, fusedModule)
	if names == nil || !isExperts || names.parts[leaf] == nil {
		return fused{}, false
	}
	module = before + names.module
	parts := names.parts[leaf]
	f := fused{name: module + ".*." + strings.Join(parts, "+") + weightSuffix, pieces: make([][]base.Tensor, len(parts))}
	rows, cols := 0, 0
	for p, part := range parts {
		for e := 0; ; e++ {
			t, ok := b.Tensor(module + "." + strconv.Itoa(e) + "." + part + weightSuffix)
			if !ok {
				break
			}
			f.pieces[p] = append(f.pieces[p], t)
			first := f.pieces[0][0]
			if len(t.Shape) != 2 || t.Shape[0] != first.Shape[0] || t.Shape[1] != first.Shape[1] || t.DType != first.DType {
				return fused{}, false
			}
		}
		if len(f.pieces[p]) == 0 || len(f.pieces[p]) != len(f.pieces[0]) {
			return fused{}, false
		}
		rows += f.pieces[p][0].Shape[0]
		cols = f.pieces[p][0].Shape[1]
	}
	f.shape, f.dtype = []int{len(f.pieces[0]), rows, cols}, f.pieces[0][0].DType
	return f, true
}

// addExperts makes the targets of one parameter. A lies expert by expert as it is needed, row e·r+ρ; B has column ρ·E+e for expert e, and is
// rearranged to the experts' B one below the other (peft/tuners/lora/layer.py, ParamWrapper.get_delta_weight).
func (j *joint) addExperts(g *group, f expertFit) {
	for _, i := range g.indices() {
		j.targetOf[i] = f.name
	}
	pair := g.factors
	pair.Module, pair.Rank = g.module+"."+f.leaf, f.rank
	pair.Alpha = j.Config.AlphaOf(pair.Module)
	pair.Scale = j.Config.scale(pair.Alpha, pair.Rank)
	if e := f.experts(); e > 1 {
		b := pair.B
		pair.B = j.derived.add(pair.Module+".lora_B", b.DType, []int{e * f.out, f.rank}, func(w io.Writer) error {
			_, err := w.Write(byExpert(j.Weights.Bytes(b), b.DType.Size(), e, f.rank, f.out))
			return err
		})
	}
	if f.pieces == nil {
		if t := j.change(g, f.stored); t != nil {
			t.Pair, t.Blocks, t.In, t.Out, t.FanInFanOut = pair, f.experts(), f.in, f.out, f.fanInFanOut
		}
		return
	}
	before := 0 // rows of an expert in the parts before
	for _, part := range f.pieces {
		rows := part[0].Shape[0]
		for e, stored := range part {
			t := j.change(g, stored)
			if t == nil {
				return
			}
			t.Pair, t.In, t.Out = pair, f.in, rows
			t.A, t.B = rowsOf(pair.A, e*f.rank, f.rank), rowsOf(pair.B, e*f.out+before, rows)
			t.Module = strings.TrimSuffix(stored.Name, weightSuffix)
		}
		before += rows
	}
}

// rowsOf is some rows of a matrix of a file. The place of a derived one is relative to the matrix until it is settled.
func rowsOf(t safetensors.Tensor, first, rows int) safetensors.Tensor {
	row := int64(t.Shape[1] * t.DType.Size())
	t.Offset += int64(first) * row
	t.Length = int64(rows) * row
	t.Shape = []int{rows, t.Shape[1]}
	return t
}

// byExpert rearranges out x (rank·experts) to (experts·out) x rank: entry (e·out+o, ρ) is (o, ρ·experts+e).
func byExpert(b []byte, size, experts, rank, out int) []byte {
	all := make([]byte, 0, len(b))
	for e := range experts {
		for o := range out {
			for r := range rank {
				at := (o*rank*experts + r*experts + e) * size
				all = append(all, b[at:at+size]...)
			}
		}
	}
	return all
}
