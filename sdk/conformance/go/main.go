// Command go is the conformance guest of the Go SDK: it calls every function of guest ABI v1, on every target and with operands that must
// fail, and reports what it was answered. The guests of the other SDKs beside it are this program call by call, with the same names in the
// same order, and must give the same report, bit for bit; package wasm/conformance compares them.
//
// What a guest computes itself is one sum, by multiplications and additions in a fixed order, which are the same in every language.
package main

import (
	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/diag"
)

func init() { diag.Register(diagnose) }

func main() {}

// The reports about a target go to it; those about the adapter as a whole to the run.
type reporter interface {
	Metric(name string, value float64)
	Grid(name string, rows, cols int, values []float64)
}

var run *diag.Run

func diagnose(r *diag.Run) error {
	run = r
	if run.Param("keep") == 1 { // a second run shows that a failure nobody looks at ends the run
		run.Metric("before", 1)
		run.Param("nothing")
		run.Metric("after", 2)
		return nil
	}
	adapter()
	for _, t := range run.Targets() {
		model(t)
		factors(t)
		kernels(t)
		weights(t)
		peers(t)
	}
	failures(run.Targets()[0])
	findings()
	return nil
}

// outcome reports a call's status as a metric NAME_status, 0 where it succeeded, and logs the host's words where it failed.
func outcome(to reporter, name string, err error) bool {
	status := abi.Status(0)
	if err != nil {
		failure := err.(*diag.Error)
		status = failure.Status
		if status != abi.BadHandle { // whose text has the handle, and how many there were before is the SDK's business
			run.Log(name + ": " + failure.Text)
		}
	}
	to.Metric(name+"_status", float64(status))
	return err == nil
}

// sum is a number that every value and its place go into.
func sum(values []float64) float64 {
	total := 0.0
	for i, v := range values {
		total += v * float64(1+i%7)
	}
	return total
}

// numbers reports up to 36 values as a grid NAME, and more as the metric NAME_sum.
func numbers(to reporter, name string, rows, cols int, values []float64) {
	if len(values) <= 36 {
		to.Grid(name, rows, cols, values)
	} else {
		to.Metric(name+"_sum", sum(values))
	}
}

// matrix reports the status of the call that made t, its shape and its values.
func matrix(to reporter, name string, t diag.Tensor, err error) {
	if !outcome(to, name, err) {
		return
	}
	rows, cols, err := t.Shape()
	if !outcome(to, name+"_shape", err) {
		return
	}
	to.Metric(name+"_rows", float64(rows))
	to.Metric(name+"_cols", float64(cols))
	values := make([]float64, rows*cols)
	if outcome(to, name+"_read_f64", t.Read64(values, 0)) {
		numbers(to, name, rows, cols, values)
	}
}

// triples reports singular triples and drops them.
func triples(to reporter, name string, s diag.Triples, err error) {
	if !outcome(to, name, err) {
		return
	}
	to.Metric(name+"_k", float64(len(s.S)))
	if len(s.S) > 0 {
		numbers(to, name+"_s", 1, len(s.S), s.S)
		matrix(to, name+"_u", s.U, nil)
		matrix(to, name+"_v", s.V, nil)
	}
	s.Drop()
}

// counts reports a Stats.
func counts(to reporter, name string, s abi.Stats, err error) {
	if outcome(to, name, err) {
		to.Grid(name, 1, 12, []float64{float64(s.Count), float64(s.NaN), float64(s.Inf), float64(s.Zero), float64(s.Subnormal),
			float64(s.FirstNonFinite), float64(s.ZeroRows), float64(s.ZeroCols), s.Min, s.Max, s.Sum, s.SumSquares})
	}
}

// flag is 1 for true.
func flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// ramp is a matrix of rows x cols on the host, 0.25 (i + 1) - 0.5 j.
func ramp(rows, cols int) (diag.Tensor, error) {
	values := make([]float64, rows*cols)
	for i := range rows {
		for j := range cols {
			values[i*cols+j] = 0.25*float64(i+1) - 0.5*float64(j)
		}
	}
	return diag.Put(rows, cols, values)
}

func adapter() {
	run.Log("tabs\tstay, é, ∑ and 🙂 too")
	run.Metric("target_count", float64(len(run.Targets())))
	for _, key := range []string{"module.id", "adapter.digest", "adapter.format", "base.digest", "base.architecture", "init_lora_weights",
		"probe.perplexity", "no such key"} {
		if value, ok := run.Attr(key); ok {
			run.Log("attr " + key + ": " + value)
		} else {
			run.Log("attr " + key + " is not there")
		}
	}
	run.Metric("param_set", run.Param("set"))
	run.Metric("param_default", run.Param("default"))
	names, ok := run.BankNames()
	run.Metric("bank", flag(ok))
	run.Metric("bank_count", float64(len(names)))
	for _, name := range names {
		run.Log("bank_name: " + name)
	}
	features, ok := run.BankFeatures()
	run.Metric("bank_features", flag(ok))
	if ok {
		matrix(run, "bank_features", features, nil)
	}
	peers := run.Peers()
	run.Metric("peer_count", float64(len(peers)))
	for i, peer := range peers {
		run.Log("peer_name: " + peer.Name)
		peer.Metric("peer_index", float64(i))
		peer.Grid("peer_place", 1, 2, []float64{float64(i), float64(len(peers))})
	}
}

func model(t diag.Target) {
	run.Log("target_name: " + t.Name)
	t.Metric("rank", float64(t.Rank))
	t.Metric("in", float64(t.In))
	t.Metric("out", float64(t.Out))
	t.Metric("scale", t.Scale)
	t.Metric("alpha", t.Alpha)
	t.Metric("fan_in_fan_out", flag(t.FanInFanOut))
	t.Metric("rs_lora", flag(t.RsLoRA))
	t.Metric("base_dtype", float64(t.BaseDType))
	t.Metric("factor_dtype", float64(t.FactorDType))
	features, ok := t.BankFeatures()
	t.Metric("bank_features", flag(ok))
	if ok {
		matrix(t, "bank_features", features, nil)
	}
}

func factors(t diag.Target) {
	matrix(t, "a", t.A(), nil)
	matrix(t, "b", t.B(), nil)
	singles := make([]float32, t.Rank*t.In-1)
	if outcome(t, "a_read_f32", t.A().Read32(singles, 1)) {
		values := make([]float64, len(singles))
		for i, v := range singles {
			values[i] = float64(v)
		}
		t.Metric("a_read_f32_sum", sum(values))
	}
}

func peers(t diag.Target) {
	missing := 0
	for _, peer := range run.Peers() {
		other, ok := peer.Target(t)
		if !ok {
			missing++
			continue
		}
		other.Metric("peer_rank", float64(other.Rank))
		_, ok = other.Base()
		other.Metric("peer_base", flag(ok))
		matrix(other, "peer_a", other.A(), nil)
		product, err := diag.MatMul(t.A(), other.A(), diag.TransposeB)
		matrix(other, "peer_a_a", product, err)
		product.Drop()
	}
	t.Metric("peer_target_missing", float64(missing))
}
