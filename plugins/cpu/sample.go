package cpu

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// seedStream is the second word of every generator's seed: the request gives the first.
const seedStream = 0x54656e6f6e // "Tenon"

// errNotFinite is what a text ends with when a prediction overflowed: such logits have no most likely token.
var errNotFinite = tooFar("the logits are not finite: the weights overflow in use")

// sampler picks the next token. The same seed and logits give the same tokens.
type sampler struct {
	temperature, topP float64
	random            *rand.Rand
	candidates        []candidate
}

type candidate struct {
	id          int32
	probability float64
}

// newSampler returns a sampler; a temperature of 0 is greedy, and topP of 0 or 1 keeps every token.
func newSampler(temperature, topP float64, seed uint64) *sampler {
	s := &sampler{temperature: temperature, topP: topP}
	if temperature > 0 {
		s.random = rand.New(rand.NewPCG(seed, seedStream))
	}
	return s
}

// pick returns the next token, or errNotFinite.
func (s *sampler) pick(logits []float32) (int32, error) {
	best, sum := 0, float32(0)
	for i, v := range logits {
		sum += v - v // 0, or NaN where v is not finite
		if v > logits[best] {
			best = i // the lowest id wins a tie
		}
	}
	if sum != 0 {
		return 0, errNotFinite
	}
	if s.temperature == 0 {
		return int32(best), nil
	}
	return s.draw(logits, logits[best]), nil
}

// draw samples from softmax(logits/temperature), cut to the smallest set of most likely tokens whose sum reaches topP.
func (s *sampler) draw(logits []float32, largest float32) int32 {
	s.candidates = s.candidates[:0]
	total := 0.0
	for i, v := range logits {
		p := math.Exp((float64(v) - float64(largest)) / s.temperature)
		total += p
		s.candidates = append(s.candidates, candidate{int32(i), p})
	}
	kept := s.candidates
	if s.topP > 0 && s.topP < 1 {
		// A token below this cannot be in the set even if all others were: it need not be sorted.
		least := (1 - s.topP) * total / float64(len(logits))
		kept = slices.DeleteFunc(kept, func(c candidate) bool { return c.probability < least })
		slices.SortFunc(kept, func(a, b candidate) int {
			return cmp.Or(cmp.Compare(b.probability, a.probability), cmp.Compare(a.id, b.id))
		})
		reached, n := 0.0, 0
		for n < len(kept) && reached < s.topP*total {
			reached += kept[n].probability
			n++
		}
		kept, total = kept[:max(n, 1)], reached
	}
	at := s.random.Float64() * total
	for _, c := range kept {
		if at -= c.probability; at < 0 {
			return c.id
		}
	}
	return kept[len(kept)-1].id // rounding left a crumb
}

// logSumExp is log Σ exp(logits), in f64. The log-probability of token i is logits[i] less this.
func logSumExp(logits []float32) float64 {
	largest := slices.Max(logits)
	sum := 0.0
	for _, v := range logits {
		sum += math.Exp(float64(v) - float64(largest))
	}
	return float64(largest) + math.Log(sum)
}

// alternatives are the n most likely tokens, by falling log-probability, then rising id. It keeps a sorted list of n, which is at most 20.
func alternatives(logits []float32, n int, norm float64) []*backendpb.Alternative {
	n = min(n, len(logits))
	ids := make([]int32, 0, n+1)
	for i, v := range logits {
		if len(ids) == n && (n == 0 || v <= logits[ids[n-1]]) {
			continue
		}
		at := len(ids)
		for at > 0 && logits[ids[at-1]] < v {
			at--
		}
		ids = slices.Insert(ids, at, int32(i))
		ids = ids[:min(n, len(ids))]
	}
	out := make([]*backendpb.Alternative, len(ids))
	for i, id := range ids {
		out[i] = &backendpb.Alternative{Id: id, Logprob: float64(logits[id]) - norm}
	}
	return out
}
