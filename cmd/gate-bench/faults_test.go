package main

import (
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func sameBits(a, b float32) bool { return math.Float32bits(a) == math.Float32bits(b) }

// where says which tensors a fault may change: all whose name holds each word of one of the alternatives.
type where func(name string) bool

func in(words ...string) where {
	return func(name string) bool {
		return !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(name, word) })
	}
}

func either(all ...where) where {
	return func(name string) bool { return slices.ContainsFunc(all, func(w where) bool { return w(name) }) }
}

var (
	nowhere    = either()
	everywhere = in()
)

// Each fault changes what it says and leaves everything else.
func TestFaults(t *testing.T) {
	const middle = "base_model.model.model.layers.2"
	changes := map[string]struct {
		tensors where    // exactly these
		config  []string // exactly these keys
	}{
		"scale-x8": {nowhere, []string{"lora_alpha"}}, "scale-x64": {nowhere, []string{"lora_alpha"}},
		"scale-div64": {nowhere, []string{"lora_alpha"}}, "swamped": {nowhere, []string{"lora_alpha"}},
		"scale-sqrt-r": {nowhere, []string{"use_rslora"}}, "rank-mismatch": {nowhere, []string{"r"}},
		"no-op-B": {in(suffixB), nil}, "no-op-A": {in(suffixA), nil},
		"half-zero":     {either(in("layers.1.", suffixB), in("layers.3.", suffixB)), nil},
		"nan":           {in("layers.2.mlp.gate_proj", suffixB), nil},
		"inf":           {in("layers.2.mlp.gate_proj", suffixB), nil},
		"exponent-flip": {in("layers.2.mlp.gate_proj", suffixB), nil},
		"bits-flipped":  {everywhere, nil},
		"diverged":      {in(suffixB), nil}, "random": {in(suffixB), nil}, "negated": {in(suffixB), nil},
		"layer-negated": {in(middle, suffixB), nil}, "layer-x30": {in(middle, suffixB), nil},
		"layers-shifted": {everywhere, nil},
		"copy-paste":     {either(in("layers.1."), in("layers.2."), in("layers.3.")), nil},
		"rows-permuted":  {in(suffixB), nil}, "columns-permuted": {in(suffixA), nil},
		"ranks-permuted": {in(suffixB), nil}, "wrong-order": {in(suffixA), nil},
		"swapped-gate-up": {in(".mlp."), nil},
		"layers-missing":  {either(in("layers.2."), in("layers.3.")), nil},
		"layer-missing":   {in(middle), nil},
		"half-pair":       {in("layers.0.mlp.gate_proj", suffixB), nil},
		"row-missing":     {in("layers.0.mlp.gate_proj", suffixB), nil},
		"truncated":       {nowhere, nil}, "coarse": {everywhere, nil},
		"wrong-base": {nowhere, nil}, "duplicate": {nowhere, nil}, "clash": {nowhere, nil},
	}
	for _, f := range faults {
		t.Run(f.kind, func(t *testing.T) {
			want, listed := changes[f.kind]
			if !listed {
				t.Fatal("this test does not know what it changes")
			}
			benign, damaged := newLora(4), newLora(4)
			if !f.plant(damaged, rand.New(rand.NewPCG(1, 1))) {
				t.Fatal("it does not apply")
			}
			for name := range benign.tensors {
				if got := slices.Contains(differences(benign, damaged), name); got != want.tensors(name) {
					t.Errorf("%s changed: %v, want %v", name, got, !got)
				}
			}
			var config []string
			for _, key := range []string{"lora_alpha", "peft_type", "r", "target_modules", "use_rslora"} {
				if !reflect.DeepEqual(benign.config[key], damaged.config[key]) {
					config = append(config, key)
				}
			}
			if !slices.Equal(config, want.config) {
				t.Errorf("configuration changed in %v, want %v", config, want.config)
			}
			again := newLora(4)
			f.plant(again, rand.New(rand.NewPCG(1, 1)))
			if names := differences(damaged, again); len(names) > 0 {
				t.Errorf("planted twice, %v differ", names)
			}
		})
	}
	if len(changes) != len(faults) {
		t.Errorf("%d kinds, and %d are tested", len(faults), len(changes))
	}
}

// Faults that keep values put each of them into another place.
func TestFaultsThatKeepValues(t *testing.T) {
	for _, f := range faults {
		keep := []string{"rows-permuted", "columns-permuted", "ranks-permuted", "wrong-order", "layers-shifted", "swapped-gate-up"}
		if !slices.Contains(keep, f.kind) {
			continue
		}
		benign, damaged := newLora(4), newLora(4)
		f.plant(damaged, rand.New(rand.NewPCG(1, 1)))
		if !slices.Equal(benign.values(), damaged.values()) {
			t.Errorf("%s: the values are not the same ones", f.kind)
		}
	}
}

// values are all of an adapter, sorted.
func (a *lora) values() []float32 {
	var all []float32
	for _, m := range a.tensors {
		all = append(all, m.data...)
	}
	slices.Sort(all)
	return all
}

func TestNoiseHasTheSizeItSays(t *testing.T) {
	for _, times := range []float64{1, 100} {
		a := newLora(8)
		before := map[string]float64{}
		for _, name := range a.names(suffixB) {
			before[name] = a.tensors[name].norm()
		}
		noise(times)(a, rand.New(rand.NewPCG(1, 1)))
		for name, norm := range before {
			if ratio := a.tensors[name].norm() / norm / times; ratio < 0.5 || ratio > 1.6 {
				t.Errorf("%s: %g times its size, want about %g", name, ratio*times, times)
			}
		}
	}
}

func TestPairs(t *testing.T) {
	benign := newLora(2)
	same, other := refactored(benign), opposite(benign)
	if got, want := same.config["lora_alpha"].(float64)/same.config["r"].(float64), 2.0; got != want {
		t.Errorf("scale of the refactored adapter is %g, want %g", got, want)
	}
	for _, name := range benign.names(suffixB) {
		module := strings.TrimSuffix(name, suffixB)
		want, twin, opposed := benign.delta(module), same.delta(module), other.delta(module)
		for i := range want {
			if math.Abs(twin[i]-want[i]) > 1e-5 || math.Abs(opposed[i]+0.9*want[i]) > 1e-5 {
				t.Fatalf("%s: entry %d is %g; refactored %g, opposite %g", module, i, want[i], twin[i], opposed[i])
			}
		}
	}
	if names := differences(benign, newLora(2)); len(names) > 0 {
		t.Errorf("making pairs changed %v of the adapter", names)
	}
}

func TestFaultsThatDoNotApply(t *testing.T) {
	small := newLora(1)
	for name, m := range small.tensors {
		if strings.HasSuffix(name, suffixA) {
			small.tensors[name] = &matrix{rows: 1, cols: 12, data: m.data[:12]}
		} else {
			small.tensors[name] = &matrix{rows: 10, cols: 1, data: m.data[:10]}
		}
	}
	for _, f := range faults {
		applies := f.plant(small.clone(), rand.New(rand.NewPCG(1, 1)))
		never := slices.Contains([]string{"scale-sqrt-r", "ranks-permuted", "wrong-order", "layers-shifted", "copy-paste", "half-zero",
			"layers-missing", "layer-missing"}, f.kind)
		if applies == never {
			t.Errorf("%s in one layer of rank 1: applies is %v", f.kind, applies)
		}
	}
}

// What counts as a reason is something that Tenon says.
func TestReasonsExist(t *testing.T) {
	var said strings.Builder
	pages, err := filepath.Glob("../../docs/diagnostics/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range append(pages, "../../docs/probes.md", "../../host/gate/default.yaml", "../../host/fault/codes.go") {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		said.Write(text)
	}
	for _, f := range faults {
		for _, code := range slices.Concat(f.reasons, behaves) {
			if !strings.Contains(said.String(), code) {
				t.Errorf("%s: nothing gives %s", f.kind, code)
			}
		}
	}
}

func TestWrittenAdapterIsReadBack(t *testing.T) {
	a, dir := newLora(2), filepath.Join(t.TempDir(), "adapter")
	if err := a.write(dir); err != nil {
		t.Fatal(err)
	}
	back, err := readAdapter(dir)
	if err != nil {
		t.Fatal(err)
	}
	if names := differences(a, back); len(names) > 0 || !reflect.DeepEqual(a.config, back.config) {
		t.Errorf("%v differ; configuration %v, want %v", names, back.config, a.config)
	}
	if err := truncate(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := readAdapter(dir); err == nil {
		t.Error("a file that ends in the middle is read")
	}
}
