package conformance

import (
	"fmt"
	"math"

	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// llamaBase is a llama of random weights in mixed dtypes, whose width is not heads times head_dim, with shared key-value heads. Its weights are
// large enough that it neither repeats itself nor predicts everything alike.
func (k *kit) llamaBase(t T, tied bool) *Base {
	c := &backendpb.ModelConfig{
		Architecture: "llama", HiddenSize: 32, IntermediateSize: 40, Layers: 2, Heads: 6, KvHeads: 3, HeadDim: 8,
		VocabSize: 67, MaxPositions: 512, RmsNormEps: 1e-5, RopeTheta: 10000, TieWordEmbeddings: tied,
	}
	s := newShelf(t, 8)
	matrix := func(name string, dtype tensor.DType, rows, cols int32) {
		s.add(0, name, k.dtype(dtype), []int64{int64(rows), int64(cols)}, s.numbers(int(rows*cols), 1.5/math.Sqrt(float64(cols))))
	}
	vector := func(name string, n int32) {
		values := s.numbers(int(n), 0.2)
		for i := range values {
			values[i]++
		}
		s.add(1, name, k.dtype(tensor.BF16), []int64{int64(n)}, values)
	}
	matrix("model.embed_tokens.weight", tensor.BF16, c.VocabSize, c.HiddenSize)
	if !tied {
		matrix("lm_head.weight", tensor.F16, c.VocabSize, c.HiddenSize)
	}
	vector("model.norm.weight", c.HiddenSize)
	for i := range c.Layers {
		at := fmt.Sprintf("model.layers.%d.", i)
		vector(at+"input_layernorm.weight", c.HiddenSize)
		vector(at+"post_attention_layernorm.weight", c.HiddenSize)
		matrix(at+"self_attn.q_proj.weight", tensor.BF16, c.Heads*c.HeadDim, c.HiddenSize)
		matrix(at+"self_attn.k_proj.weight", tensor.F16, c.KvHeads*c.HeadDim, c.HiddenSize)
		matrix(at+"self_attn.v_proj.weight", tensor.F32, c.KvHeads*c.HeadDim, c.HiddenSize)
		matrix(at+"self_attn.o_proj.weight", tensor.BF16, c.HiddenSize, c.Heads*c.HeadDim)
		matrix(at+"mlp.gate_proj.weight", tensor.BF16, c.IntermediateSize, c.HiddenSize)
		matrix(at+"mlp.up_proj.weight", tensor.F16, c.IntermediateSize, c.HiddenSize)
		matrix(at+"mlp.down_proj.weight", tensor.BF16, c.HiddenSize, c.IntermediateSize)
	}
	return &Base{shelf: s, digest: digest(fmt.Sprintf("llama, tied %v", tied)), files: s.write(), config: c}
}

// llamaAdapter changes a projection and the embedding, which in a tied model changes both ends.
func llamaAdapter(t T, b *Base, name string, seed uint64) *Adapter {
	return newAdapter(t, b, name, seed,
		target{"model.layers.0.self_attn.q_proj.weight", 4, tensor.F32, 2, false, 0.3},
		target{"model.layers.1.mlp.down_proj.weight", 2, tensor.BF16, 1, false, 0.3},
		target{"model.embed_tokens.weight", 3, tensor.F32, 1, false, 0.3})
}

// oracle computes a llama in f64 from its definition, the whole text anew for each question.
type oracle struct {
	config *backendpb.ModelConfig
	values map[string][]float32
	beside map[string]*beside // of a generation that is not merged, by tensor
}

// beside are factors that are not merged: scale·B(A x) is added to what the matrix gives.
type beside struct {
	scale float64
	a, b  []float32
}

// oracle returns the base's, with an adapter's patches merged in unless it is nil.
func (b *Base) oracle(a *Adapter) *oracle {
	o := &oracle{config: b.config, values: map[string][]float32{}}
	for name, v := range b.values {
		o.values[name] = v
	}
	if a != nil {
		for _, p := range a.patches {
			dtype, _ := tensor.ParseDType(b.tensor(p.Tensor).Dtype)
			o.values[p.Tensor] = decode(a.merged(p).bytes, dtype)
		}
	}
	return o
}

// unmergedOracle returns the base's with an adapter's factors beside its matrices.
func (b *Base) unmergedOracle(a *Adapter) *oracle {
	o := b.oracle(nil)
	o.beside = map[string]*beside{}
	for _, p := range a.patches {
		o.beside[p.Tensor] = &beside{p.Scale, a.values[p.A.Name], a.values[p.B.Name]}
	}
	return o
}

// logits are the predictions after each token.
func (o *oracle) logits(tokens []int32) [][]float64 {
	c := o.config
	hidden, headDim := int(c.HiddenSize), int(c.HeadDim)
	x := make([][]float64, len(tokens))
	for t, id := range tokens {
		for _, v := range o.values["model.embed_tokens.weight"][int(id)*hidden:][:hidden] {
			x[t] = append(x[t], float64(v))
		}
	}
	for layer := range int(c.Layers) {
		at := fmt.Sprintf("model.layers.%d.", layer)
		var q, k, v [][]float64
		for t := range x {
			normed := o.norm(at+"input_layernorm.weight", x[t])
			q = append(q, o.turned(o.times(at+"self_attn.q_proj.weight", normed), t))
			k = append(k, o.turned(o.times(at+"self_attn.k_proj.weight", normed), t))
			v = append(v, o.times(at+"self_attn.v_proj.weight", normed))
		}
		for t := range x {
			attended := make([]float64, int(c.Heads)*headDim)
			for head := range int(c.Heads) {
				shared := head / int(c.Heads/c.KvHeads) * headDim
				weights, sum := make([]float64, t+1), 0.0
				for u := range weights {
					score := 0.0
					for i := range headDim {
						score += q[t][head*headDim+i] * k[u][shared+i]
					}
					weights[u] = math.Exp(score / math.Sqrt(float64(headDim)))
					sum += weights[u]
				}
				for u, w := range weights {
					for i := range headDim {
						attended[head*headDim+i] += w / sum * v[u][shared+i]
					}
				}
			}
			accumulate(x[t], o.times(at+"self_attn.o_proj.weight", attended))
		}
		for t := range x {
			normed := o.norm(at+"post_attention_layernorm.weight", x[t])
			gate, up := o.times(at+"mlp.gate_proj.weight", normed), o.times(at+"mlp.up_proj.weight", normed)
			for i, g := range gate {
				gate[i] = g / (1 + math.Exp(-g)) * up[i]
			}
			accumulate(x[t], o.times(at+"mlp.down_proj.weight", gate))
		}
	}
	head := "lm_head.weight"
	if c.TieWordEmbeddings {
		head = "model.embed_tokens.weight"
	}
	for t := range x {
		x[t] = o.times(head, o.norm("model.norm.weight", x[t]))
	}
	return x
}

// logprobs are log-softmax of logits.
func (o *oracle) logprobs(tokens []int32) [][]float64 {
	all := o.logits(tokens)
	for _, logits := range all {
		sum := 0.0
		for _, v := range logits {
			sum += math.Exp(v)
		}
		for i := range logits {
			logits[i] -= math.Log(sum)
		}
	}
	return all
}

func (o *oracle) times(name string, x []float64) []float64 {
	out := product64(o.values[name], x)
	if f := o.beside[name]; f != nil {
		for i, v := range product64(f.b, product64(f.a, x)) {
			out[i] += f.scale * v
		}
	}
	return out
}

func product64(w []float32, x []float64) []float64 {
	out := make([]float64, len(w)/len(x))
	for i := range out {
		for j, v := range x {
			out[i] += float64(w[i*len(x)+j]) * v
		}
	}
	return out
}

func (o *oracle) norm(name string, x []float64) []float64 {
	sum := 0.0
	for _, v := range x {
		sum += v * v
	}
	scale := 1 / math.Sqrt(sum/float64(len(x))+o.config.RmsNormEps)
	out := make([]float64, len(x))
	for i, w := range o.values[name] {
		out[i] = x[i] * scale * float64(w)
	}
	return out
}

// turned is x with each head's pairs (i, i+headDim/2) turned by position · theta^(-2i/headDim).
func (o *oracle) turned(x []float64, position int) []float64 {
	headDim := int(o.config.HeadDim)
	out := make([]float64, len(x))
	for head := 0; head < len(x); head += headDim {
		for i := range headDim / 2 {
			angle := float64(position) * math.Pow(o.config.RopeTheta, -2*float64(i)/float64(headDim))
			a, b := x[head+i], x[head+i+headDim/2]
			out[head+i] = a*math.Cos(angle) - b*math.Sin(angle)
			out[head+i+headDim/2] = b*math.Cos(angle) + a*math.Sin(angle)
		}
	}
	return out
}

func accumulate(x, y []float64) {
	for i, v := range y {
		x[i] += v
	}
}
