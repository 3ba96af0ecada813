package host

import (
	"bytes"
	"encoding/binary"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/host/adapter"
	"github.com/tenon-ml/tenon/host/adapter/adaptertest"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/report"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// TestRealAdaptersMerge merges adapters that people published into bases of the right shapes and random values: every tensor of the file is
// accounted for, the heads of classifiers replace the base's or are new beside them, and what is merged is within one ulp of the formula in F64.
func TestRealAdaptersMerge(t *testing.T) {
	real := shared(t, "models/real")
	if raceRun {
		t.Skip("the numbers are compared without the race detector")
	}
	heads := []string{"classifier.bias", "classifier.weight", "pre_classifier.bias", "pre_classifier.weight"}
	type wanted struct {
		adapter  string
		applied  int      // tensors of the file that are factors
		replaced []string // tensors of the base that the file holds whole
		added    []string // tensors of the file that the base does not have
	}
	for _, c := range []struct {
		name  string
		base  adaptertest.Published
		wants []wanted
	}{
		{"gpt2", adaptertest.GPT2Small(), []wanted{{"gpt2-tigrinya", 72, nil, nil}, {"gpt2-r8", 24, nil, []string{"score.weight"}}}},
		{"distilbert", adaptertest.DistilBERT(0), []wanted{{"distilbert-imdb", 24, nil, heads}, {"distilbert-emotion", 24, nil, heads}}},
		{"classifier", adaptertest.DistilBERT(2), []wanted{{"distilbert-imdb", 24, heads, nil}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			baseDir := c.base.Write(t)
			for _, w := range c.wants {
				t.Run(w.adapter, func(t *testing.T) {
					dir := filepath.Join(real, w.adapter)
					checkRealCoverage(t, baseDir, dir, w.applied, w.replaced, w.added)
					checkRealMerge(t, baseDir, dir, slices.Concat(w.replaced, w.added))
				})
			}
		})
	}
}

func checkRealCoverage(t *testing.T, baseDir, dir string, applied int, replaced, added []string) {
	t.Helper()
	binding, err := adapter.Load(dir, openBase(t, baseDir))
	if err != nil {
		t.Fatal(err)
	}
	defer binding.Close()
	if c := binding.Coverage; c.Applied != applied || c.Replaced != len(replaced)+len(added) || len(c.Tensors) != applied+len(replaced)+len(added) {
		t.Errorf("coverage %d applied, %d replaced of %d, want %d and %d", c.Applied, c.Replaced, len(c.Tensors), applied, len(replaced)+len(added))
	}
	for _, name := range added {
		if !slices.ContainsFunc(binding.Notes, func(n *fault.Error) bool {
			return strings.HasSuffix(n.Tensor, name) && strings.Contains(n.Cause, "new")
		}) {
			t.Errorf("no note tells that %s is new: %v", name, binding.Notes)
		}
	}
	var whole, unknown []string
	for _, row := range binding.Coverage.Tensors {
		if row.Disposition == report.Replaced {
			whole = append(whole, row.Target)
		}
	}
	for _, target := range binding.Targets {
		if target.New() {
			unknown = append(unknown, target.Name)
		}
	}
	want := slices.Concat(replaced, added)
	slices.Sort(whole)
	slices.Sort(want)
	if !slices.Equal(whole, want) || !slices.Equal(unknown, added) {
		t.Errorf("replaced or new are %q and new are %q, want %q and %q", whole, unknown, want, added)
	}
}

func checkRealMerge(t *testing.T, baseDir, dir string, whole []string) {
	t.Helper()
	before, factors := safetensorsOf(t, baseDir), safetensorsOf(t, dir)
	got := mergedTensors(t, newHost(t, Options{}), baseDir, dir)
	var config struct {
		R     float64 `json:"r"`
		Alpha float64 `json:"lora_alpha"`
		FanIn bool    `json:"fan_in_fan_out"`
	}
	readJSON(t, filepath.Join(dir, "adapter_config.json"), &config)
	adapted := map[string]bool{}
	for key, a := range factors {
		module, isA := strings.CutSuffix(key, ".lora_A.weight")
		if !isA {
			continue
		}
		name := strings.TrimPrefix(module, "base_model.model.") + ".weight"
		if _, ok := before[name]; !ok {
			name = strings.TrimPrefix(name, "transformer.") // the published GPT-2
		}
		adapted[name] = true
		want := plainOracle(t, before[name], a, factors[module+".lora_B.weight"], config.Alpha/config.R, config.FanIn)
		if ulps := adaptertest.Ulps(t, got[name], want); ulps > 1 {
			t.Errorf("%s is %d ulp from the oracle", name, ulps)
		}
	}
	for _, name := range whole {
		adapted[name] = true
		given := factors["base_model.model."+name]
		if d := got[name].DType; !slices.Equal(got[name].Bytes, given.Rounded(t, d).Bytes) {
			t.Errorf("%s is not the adapter's in %v", name, d)
		}
	}
	for name, tensor := range before {
		if !adapted[name] && !bytes.Equal(tensor.Bytes, got[name].Bytes) {
			t.Errorf("%s is not the base's", name)
		}
	}
}

// plainOracle is W + s·B·A, or W + s·(B·A)ᵀ, in F64 and rounded once to W's type.
func plainOracle(t *testing.T, w, a, b adaptertest.Tensor, s float64, fanInFanOut bool) adaptertest.Tensor {
	t.Helper()
	rank, in, out := a.Shape[0], a.Shape[1], b.Shape[0]
	first, second, sums := a.Floats(t), b.Floats(t), w.Floats(t)
	for o := range out {
		for k := range rank {
			factor := s * second[o*rank+k]
			for i, x := range first[k*in : (k+1)*in] {
				if fanInFanOut {
					sums[i*out+o] += factor * x
				} else {
					sums[o*in+i] += factor * x
				}
			}
		}
	}
	stored := make([]byte, 0, 8*len(sums))
	for _, v := range sums {
		stored = binary.LittleEndian.AppendUint64(stored, math.Float64bits(v))
	}
	return adaptertest.Tensor{DType: tensor.F64, Shape: w.Shape, Bytes: stored}.Rounded(t, w.DType)
}
