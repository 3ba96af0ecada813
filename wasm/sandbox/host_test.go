package sandbox

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/tensor"
	"github.com/tenon-ml/tenon/wasm/sandbox/wasmtest"
)

var everything = []abi.Capability{abi.CapBase, abi.CapPeers, abi.CapKernels}

// source makes a stored f32 tensor.
func source(name string, rows, cols int, values ...float64) Source {
	var raw []byte
	for _, v := range values {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(float32(v)))
	}
	return Source{Reader: bytes.NewReader(raw), Ref: tensor.Ref{Name: name, DType: tensor.F32, Shape: []int{rows, cols},
		Length: int64(len(raw))}}
}

// twoByThree is an adapter with one target of 2 x 3 and rank 1: W = [1 2 3; 4 5 6], B A = [1; 10] [1 0 2].
func twoByThree() Input {
	target := Target{
		Name: "layer.weight", Rank: 1, In: 3, Out: 2, Scale: 0.5, Alpha: 0.5,
		A: source("a", 1, 3, 1, 0, 2), B: source("b", 2, 1, 1, 10), Base: source("w", 2, 3, 1, 2, 3, 4, 5, 6),
		BaseSVD: BaseSVD{U: source("u", 2, 2, 1, 2, 3, 4), S: source("s", 1, 2, 9, 8), V: source("v", 3, 2, 1, 2, 3, 4, 5, 6)},
	}
	other := target
	other.Base, other.BaseSVD = Source{}, BaseSVD{}
	return Input{
		Targets: []Target{target},
		Peers:   []Peer{{Name: "sha256:beef", Targets: []*Target{&other}}, {Name: "sha256:cafe", Targets: []*Target{nil}}},
		Attrs:   map[string]string{"adapter.format": "peft"},
		Params:  map[string]float64{"limit": 3},
		Bank:    &Bank{Names: []string{"sha256:f00d", "sha256:d00d!"}, Features: []Matrix{{2, 2, []float64{1, 2, 3, math.NaN()}}, {}}},
	}
}

// options runs a module with every capability.
func options(m wasmtest.Module) Options {
	return Options{
		Wasm: m.Encode(), Granted: everything, Input: twoByThree(), InProcess: true,
		Manifest: abi.Manifest{ID: "script", Needs: everything, Params: map[string]abi.Parameter{"limit": {Default: 1}, "other": {Default: 7}}},
	}
}

// results are the metrics r0, r1, … of a script, in order.
func results(r Result, steps int) []float64 {
	var values []float64
	for _, m := range r.Metrics[len(r.Metrics)-steps:] {
		values = append(values, m.Value)
	}
	return values
}

// formats are up to two formats in memory.
func formats(f ...abi.Format) []float64 {
	var bits uint64
	for i, format := range f {
		bits |= uint64(uint32(format)) << (32 * i)
	}
	return []float64{math.Float64frombits(bits)}
}

func TestHandlersMatchTheABI(t *testing.T) {
	if len(handlers) != len(abi.Functions) {
		t.Errorf("%d handlers for %d functions", len(handlers), len(abi.Functions))
	}
	for _, f := range abi.Functions {
		if handlers[f.Name] == nil {
			t.Errorf("no handler for %s", f.Name)
		}
	}
}

func TestHostFunctions(t *testing.T) {
	const out = wasmtest.Scratch
	do := wasmtest.Do
	info := do("target_info", 0, out)
	const a, b, w = wasmtest.LoadI32(out), wasmtest.LoadI32(out + 4), wasmtest.LoadI32(out + 8)
	const made, second, third = wasmtest.LoadI32(out + 512), wasmtest.LoadI32(out + 516), wasmtest.LoadI32(out + 520)
	f64 := func(at int) wasmtest.LoadF64 { return wasmtest.LoadF64(at) }
	read := func(handle any, n int) wasmtest.Step { return do("tensor_read_f64", handle, int64(0), out+1024, n) }
	metric := func(name string, value any) wasmtest.Step { return do("metric", -1, -1, name, value) }
	for _, c := range []struct {
		name  string
		steps []wasmtest.Step
		want  []float64          // results of the steps
		gives map[string]float64 // metrics
	}{
		{"counts", []wasmtest.Step{do("target_count"), do("peer_count")}, []float64{1, 2}, nil},
		{"target info", []wasmtest.Step{info, do("target_info", 0, out+64), do("target_info", 1, out), metric("scale", f64(out+32))},
			[]float64{0, 0, float64(abi.NotFound), 0}, map[string]float64{"scale": 0.5}},
		{"target name", []wasmtest.Step{do("target_name", 0, out, 100), do("target_name", 0, 0, 0), do("target_name", -1, 0, 0)},
			[]float64{12, 12, -1}, nil},
		{"peers", []wasmtest.Step{do("peer_name", 0, out, 100), do("peer_target", 0, 0, out), do("peer_target", 1, 0, out),
			do("peer_target", 2, 0, out),
			do("peer_target", 0, 1, out), read(a, 3), do("tensor_shape", w, out+512)},
			[]float64{11, 0, -1, -1, -1, 3, float64(abi.BadHandle)}, nil},
		{"attributes", []wasmtest.Step{do("attr", "adapter.format", out, 100), do("attr", "nothing", out, 100), do("last_error", out, 1000)},
			[]float64{4, -1, 36}, nil},
		{"the module's id is the manifest's", []wasmtest.Step{do("attr", "module.id", out, 100)}, []float64{6}, nil},
		{"bank", []wasmtest.Step{do("bank_count"), do("bank_name", 1, out, 100), do("bank_name", 0, 0, 0), do("bank_name", 2, out, 100),
			do("bank_name", -1, 0, 0), do("bank_features", -1), read(0, 4), metric("third", f64(out+1024+16)), do("bank_features", 0),
			do("bank_features", 1), do("bank_features", -2)}, []float64{2, 12, 11, -1, -1, 0, 4, 0, -1, -1, -1}, map[string]float64{"third": 3}},
		{"parameters", []wasmtest.Step{do("param", "limit", out), metric("set", f64(out)), do("param", "other", out), metric("default", f64(out)),
			do("param", "unknown", out)}, []float64{0, 0, 0, 0, -1}, map[string]float64{"set": 3, "default": 7}},
		{"tensor shape and read", []wasmtest.Step{info, do("tensor_shape", b, out+512), read(w, 6), metric("last", f64(out+1024+40)),
			do("tensor_read_f32", w, int64(4), out, 2), do("tensor_read_f32", w, int64(5), out, 2), do("tensor_read_f32", w, int64(-1), out, 1),
			do("tensor_read_f32", w, int64(math.MaxInt64), out, 1), do("tensor_read_f64", w, int64(6), out, 0),
			do("tensor_read_f64", w, int64(0), out, -1)},
			[]float64{0, 0, 6, 0, 2, -3, -3, -3, 0, -3}, map[string]float64{"last": 6}},
		{"put and drop", []wasmtest.Step{do("tensor_put_f64", []float64{1, 2, 3, 4}, 2, 2), read(0, 4), metric("third", f64(out+1024+16)),
			do("tensor_drop", 0), do("tensor_drop", 0), read(0, 4), do("tensor_put_f64", []float64{5}, 1, 1), do("tensor_put_f64", 0, 0, 1),
			do("tensor_put_f64", 0, math.MaxInt32, math.MaxInt32)},
			[]float64{0, 4, 0, 0, -2, -2, 1, -4, -6}, map[string]float64{"third": 3}},
		{"dropped base stays dropped", []wasmtest.Step{info, do("tensor_drop", w), do("target_info", 0, out), read(w, 1)}, []float64{0, 0, 0, -2},
			nil},
		{"matmul", []wasmtest.Step{info, do("matmul", b, a, 0), read(3, 6), metric("corner", f64(out+1024+40)), do("matmul", a, a, 0),
			do("matmul", a, a, 2), do("matmul", a, w, 2), do("matmul", a, a, 4)}, []float64{0, 3, 6, 0, -4, 4, -7, -7},
			map[string]float64{"corner": 20}},
		{"axpby", []wasmtest.Step{info, do("axpby", 2.0, a, 3.0, a), read(3, 3), metric("last", f64(out+1024+16)), do("axpby", 2.0, a, 3.0, b)},
			[]float64{0, 3, 3, 0, -4}, map[string]float64{"last": 10}},
		{"stats of the base", []wasmtest.Step{info, do("stats", w, out+512), metric("sum", f64(out+512+80)), do("stats", 99, out)},
			[]float64{0, 0, 0, -2}, map[string]float64{"sum": 21}},
		{"qr", []wasmtest.Step{info, do("qr", a, out+512), do("tensor_shape", second, out+64), do("qr", w, out)}, []float64{0, 0, 0, -7}, nil},
		{"svd", []wasmtest.Step{info, do("svd", b, out+512), read(second, 1), metric("norm", f64(out+1024)), do("tensor_shape", third, out)},
			[]float64{0, 0, 1, 0, 0}, map[string]float64{"norm": math.Sqrt(101)}},
		{"delta svd", []wasmtest.Step{info, do("delta_svd", b, a, 0.5, out+512), read(second, 1), metric("s", f64(out+1024)),
			do("delta_svd", b, a, 0.0, out+512), do("delta_svd", b, b, 1.0, out+512), do("delta_svd", b, a, math.NaN(), out+512)},
			[]float64{0, 1, 1, 0, 0, -4, -9}, map[string]float64{"s": 0.5 * math.Sqrt(101*5)}},
		{"delta values", []wasmtest.Step{info, do("delta_values", b, a, 0.5, out+512), read(made, 1), metric("s", f64(out+1024)),
			do("delta_values", b, a, 0.0, out+512), do("delta_values", b, b, 1.0, out+512), do("delta_values", b, a, math.Inf(1), out+512),
			do("delta_values", w, a, 1.0, out+512), do("delta_values", 99, a, 1.0, out+512)},
			[]float64{0, 1, 1, 0, 0, -4, -9, -7, -2}, map[string]float64{"s": 0.5 * math.Sqrt(101*5)}},
		{"project and stats", []wasmtest.Step{info, do("tensor_put_f64", []float64{1, 1}, 2, 1), do("tensor_put_f64", []float64{1, 2, 3}, 3, 1),
			do("project_stats", w, 3, 4, out+512), read(5, 1), metric("value", f64(out+1024)), metric("sum", f64(out+512+80)),
			do("project_stats", w, 4, 3, out+512), do("project_stats", 3, 3, w, out+512), do("project_stats", 3, 3, 6, out+512)},
			[]float64{0, 3, 4, 5, 1, 0, 0, -4, -7, -2}, map[string]float64{"value": 46, "sum": 21}},
		{"rounding", []wasmtest.Step{do("rounding", 0, int64(0), int64(2), formats(abi.FormatBF16, abi.FormatF32), 2, out),
			metric("squares", f64(out+56)), metric("again", f64(out+96+48)),
			do("rounding", 0, int64(1), int64(1), formats(abi.FormatF16), 1, out), metric("last", f64(out+56)),
			do("rounding", 0, int64(-1), int64(1), formats(abi.FormatF16), 1, out), do("rounding", 0, int64(0), int64(3), formats(abi.FormatF16), 1, out),
			do("rounding", 0, int64(2), int64(0), formats(abi.FormatF16), 1, out),
			do("rounding", 0, int64(math.MaxInt64), int64(math.MaxInt64), formats(abi.FormatF16), 1, out),
			do("rounding", 0, int64(0), int64(2), formats(abi.FormatF16), 0, out), do("rounding", 0, int64(0), int64(2), formats(abi.FormatF16), 9, out),
			do("rounding", 0, int64(0), int64(2), formats(abi.FormatF16), -1, out), do("rounding", 0, int64(0), int64(2), 0, math.MaxInt32, out),
			do("rounding", 0, int64(0), int64(2), formats(4), 1, out), do("rounding", 0, int64(0), int64(2), formats(-1), 1, out),
			do("rounding", 0, int64(0), int64(2), formats(abi.FormatNF4), 1, out),
			do("rounding", 1, int64(0), int64(2), formats(abi.FormatF16), 1, out)},
			[]float64{0, 0, 0, 0, 0, -3, -3, -3, -3, -3, -3, -3, -3, -7, -7, -4, -1},
			map[string]float64{"squares": 0.25 * 505, "again": 0.25 * 505, "last": 0.25 * 500}},
		{"merged svd", []wasmtest.Step{do("merged_svd", 0, 1, out+512), read(second, 1), metric("s", f64(out+1024)),
			do("merged_svd", 0, 0, out), do("merged_svd", 0, 3, out), do("merged_svd", 0, -1, out), do("merged_svd", 0, math.MaxInt32, out),
			do("merged_svd", 1, 1, out), do("tensor_shape", third, out)}, []float64{0, 1, 0, -3, -3, -3, -3, -1, 0},
			map[string]float64{"s": math.Sqrt((384.25 + math.Sqrt(384.25*384.25-4*398.25)) / 2)}},
		{"project", []wasmtest.Step{info, do("tensor_put_f64", []float64{1, 1}, 2, 1), do("tensor_put_f64", []float64{1, 2, 3}, 3, 1),
			do("project", w, 3, 4),
			read(5, 1), metric("value", f64(out+1024)), do("project", w, 4, 3)}, []float64{0, 3, 4, 5, 1, 0, -4}, map[string]float64{"value": 46}},
		{"base svd", []wasmtest.Step{info, do("base_svd", 0, 1, out+512), read(third, 3), metric("v2", f64(out+1024+16)),
			do("base_svd", 0, 3, out+512),
			do("base_svd", 0, 0, out), do("base_svd", 1, 1, out), do("tensor_shape", made, out)}, []float64{0, 0, 3, 0, -3, -3, -1, 0},
			map[string]float64{"v2": 5}},
		{"round loss", []wasmtest.Step{do("round_loss", 0, 0, out), metric("squares", f64(out+56)), do("round_loss", 0, 9, out),
			do("round_loss", 0, 2, out)},
			[]float64{0, 0, -7, 0}, map[string]float64{"squares": 0.25 * 505}},
		{"output", []wasmtest.Step{do("metric", 0, 0, "m", 1.0), do("metric", 0, 1, "m", 2.0), do("metric", 1, -1, "m", 2.0),
			do("metric", 0, 2, "m", 2.0),
			do("grid", 0, -1, "m", 2, 1, []float64{4, 5}), do("grid", 0, -1, "n", 0, 1, 0), do("grid", 0, -1, "n", math.MaxInt32, math.MaxInt32, 0),
			do("finding", 0, 2, "CODE", "message", "hint", 1.0, 2.0), do("finding", 0, 3, "CODE", "message", "hint", 1.0, 2.0),
			do("finding", 5, 0, "CODE", "message", "hint", 1.0, 2.0), do("log", "text")},
			[]float64{0, 0, -1, -1, 0, -4, -6, 0, -7, -1, 0}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := Run(context.Background(), options(wasmtest.Script(c.steps...)))
			if r.Status != OK {
				t.Fatalf("%s: %s", r.Status, r.Error)
			}
			if got := results(r, len(c.steps)); !slices.Equal(got, c.want) {
				t.Errorf("results %v, want %v", got, c.want)
			}
			for name, want := range c.gives {
				at := slices.IndexFunc(r.Metrics, func(m Metric) bool { return m.Name == name })
				if at < 0 || math.Abs(r.Metrics[at].Value-want) > 1e-12*math.Abs(want) {
					t.Errorf("metric %s: %+v, want %v", name, r.Metrics, want)
				}
			}
		})
	}
}

func TestTransposedBaseLooksLikeAnyOther(t *testing.T) {
	const out = wasmtest.Scratch
	const w = wasmtest.LoadI32(out + 8)
	o := options(wasmtest.Script(wasmtest.Do("target_info", 0, out),
		wasmtest.Do("tensor_read_f64", w, int64(0), out+512, 6), wasmtest.Do("grid", 0, -1, "whole", 2, 3, out+512),
		wasmtest.Do("tensor_read_f32", w, int64(2), out+512, 2), wasmtest.Do("grid", 0, -1, "part", 1, 1, out+512),
		wasmtest.Do("tensor_put_f64", []float64{1, 1}, 2, 1), wasmtest.Do("tensor_put_f64", []float64{1, 2, 3}, 3, 1),
		wasmtest.Do("project", w, 3, 4), wasmtest.Do("tensor_read_f64", 5, int64(0), out+512, 1),
		wasmtest.Do("grid", 0, -1, "product", 1, 1, out+512),
		wasmtest.Do("stats", w, out+512), wasmtest.Do("grid", 0, -1, "stats", 1, 12, out+512),
		wasmtest.Do("project_stats", w, 3, 4, out+512), wasmtest.Do("grid", 0, -1, "stats_beside", 1, 12, out+512),
		wasmtest.Do("rounding", 0, int64(0), int64(2), formats(abi.FormatF16), 1, out+512),
		wasmtest.Do("merged_svd", 0, 2, out+512), wasmtest.Do("tensor_read_f64", wasmtest.LoadI32(out+520), int64(0), out+600, 6),
		wasmtest.Do("grid", 0, -1, "merged", 3, 2, out+600),
		wasmtest.Do("round_loss", 0, 0, out+512), wasmtest.Do("grid", 0, -1, "loss", 1, 10, out+512)))
	plain := Run(context.Background(), o)
	o.Input.Targets[0].FanInFanOut = true
	o.Input.Targets[0].Base = source("w", 3, 2, 1, 4, 2, 5, 3, 6)
	transposed := Run(context.Background(), o)
	if plain.Status != OK || transposed.Status != OK {
		t.Fatalf("%+v\n%+v", plain, transposed)
	}
	for i, g := range plain.Grids {
		if fmt.Sprintf("%.12g", g.Values) != fmt.Sprintf("%.12g", transposed.Grids[i].Values) { // some are i64 -1, NaN as f64
			t.Errorf("%s: %v, transposed %v", g.Name, g.Values, transposed.Grids[i].Values)
		}
	}
}

func TestGuestBugsTrap(t *testing.T) {
	const out = wasmtest.Scratch
	do := wasmtest.Do
	for _, c := range []struct {
		name string
		step []wasmtest.Step
		says string
	}{
		{"pointer outside", []wasmtest.Step{do("target_info", 0, 65536-63)}, "outside the guest's memory"},
		{"formats outside", []wasmtest.Step{do("rounding", 0, int64(0), int64(1), -4, 2, 0)}, "outside the guest's memory"},
		{"roundings outside", []wasmtest.Step{do("rounding", 0, int64(0), int64(1), 0, 8, 65536-8*96+1)}, "outside the guest's memory"},
		{"triples outside", []wasmtest.Step{do("merged_svd", 0, 1, -1)}, "outside the guest's memory"},
		{"values outside", []wasmtest.Step{do("delta_values", 0, 1, 1.0, 65533)}, "outside the guest's memory"},
		{"stats outside", []wasmtest.Step{do("project_stats", 0, 0, 0, 65536-95)}, "outside the guest's memory"},
		{"bank's name outside", []wasmtest.Step{do("bank_name", 0, 65536, 1)}, "outside the guest's memory"},
		{"pointer and length overflow 32 bits", []wasmtest.Step{do("log", -4, -4)}, "outside"},
		{"capacity outside", []wasmtest.Step{do("target_name", 0, 8, -1)}, "outside"},
		{"read outside", []wasmtest.Step{do("target_info", 0, out), do("tensor_read_f32", wasmtest.LoadI32(out), int64(0), 65535, 3)}, "outside"},
		{"four times n overflows 32 bits", []wasmtest.Step{do("tensor_read_f32", 0, int64(0), 0, 0x40000000)}, "outside"},
		{"text that is not UTF-8", []wasmtest.Step{do("log", "\xff\xfe")}, "UTF-8"},
		{"metric name", []wasmtest.Step{do("metric", -1, -1, "Name", 1.0)}, "not a name"},
		{"metric twice", []wasmtest.Step{do("metric", 0, -1, "m", 1.0), do("metric", 0, -1, "m", 1.0)},
			`metric: "m" was given before for target "`},
		{"metric of the whole twice", []wasmtest.Step{do("metric", -1, -1, "m", 1.0), do("metric", -1, -1, "m", 1.0)},
			`diagnose: metric: "m" was given before for the adapter as a whole`},
		{"grid twice", []wasmtest.Step{do("grid", 0, -1, "m", 1, 1, 0), do("grid", 0, -1, "m", 1, 1, 0)}, "given before"},
		{"finding's code", []wasmtest.Step{do("finding", -1, 0, "c", "", "", 1.0, 1.0)}, "not a finding's code"},
		{"grid outside", []wasmtest.Step{do("grid", 0, -1, "m", 100, 100, 0)}, "outside"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if r := Run(context.Background(), options(wasmtest.Script(c.step...))); r.Status != Trap || !strings.Contains(r.Error, c.says) {
				t.Errorf("%s %q, want a trap with %q", r.Status, r.Error, c.says)
			} else if strings.Contains(r.Error, "wazero") || strings.Contains(r.Error, "\n") {
				t.Errorf("%q has more than the bug", r.Error)
			}
		})
	}
}

func TestTextsAreMadePlain(t *testing.T) {
	long := strings.Repeat("é", 600)
	r := Run(context.Background(), options(wasmtest.Script(
		wasmtest.Do("finding", -1, 1, "CODE", "a\x1b[31mb\nc\u202ed", long, math.NaN(), 0.0))))
	if r.Status != OK || len(r.Findings) != 1 {
		t.Fatalf("%+v", r)
	}
	f := r.Findings[0]
	if want := "a\ufffd[31mb c\ufffdd"; f.Message != want {
		t.Errorf("message %q, want %q", f.Message, want)
	}
	if len(f.Hint) > maxText || !strings.HasSuffix(f.Hint, "é…") {
		t.Errorf("hint of %d bytes ends %q", len(f.Hint), f.Hint[len(f.Hint)-8:])
	}
	if err := ValidFinding(f); err != nil {
		t.Error(err)
	}
}
