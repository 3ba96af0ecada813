package main

import (
	"math"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/tenon-ml/tenon/sdk/conformance/input"
	"github.com/tenon-ml/tenon/sdk/diag/diagtest"
)

// golden is what the real host answered.
type golden struct {
	Metrics []struct {
		Target, Peer int
		Name, Value  string
	} `json:"metrics"`
	Grids []struct {
		Target, Peer int
		Name         string
		Rows, Cols   int
		Values       []string
	} `json:"grids"`
	Findings []struct {
		Target              int
		Severity            int32
		Code, Message, Hint string
		Value, Limit        string
	} `json:"findings"`
}

// unlike are the names in which the fake host differs, and why.
var unlike = map[string]string{
	"base_svd":     "the fake computes the singular triples of W, the real host is handed some",
	"matmul_quota": "the fake has no limit on memory",
	"svd_u":        "the matrix has less than full rank, so all but the first columns are any that are orthogonal",
	"svd_v":        "the same",
}

// The fake host that diagnostics are unit-tested on answers as the real one did: the same statuses, names and findings, and the same
// numbers up to rounding.
func TestFakeHostIsLikeTheRealOne(t *testing.T) {
	text, err := os.ReadFile("../testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	var want golden
	if err := json.Unmarshal(text, &want, json.MatchCaseInsensitiveNames(true)); err != nil {
		t.Fatal(err)
	}
	in := input.New(0)
	report := diagtest.MustRun(t, adapterOf(in), diagnose)
	name := func(target, peer int, name string) (string, string, string) {
		on, with := "", ""
		if target >= 0 {
			on = in.Targets[target].Name
		}
		if peer >= 0 {
			with = in.Peers[peer].Name
		}
		return on, with, name
	}
	metrics, grids := 0, 0
	for _, m := range want.Metrics {
		if skipped(m.Name) {
			continue
		}
		metrics++
		got, ok := report.Metric(name(m.Target, m.Peer, m.Name))
		if !ok || !near(got, m.Value) {
			t.Errorf("metric %s of target %d and peer %d is %g, %t; the real host gave %s", m.Name, m.Target, m.Peer, got, ok, m.Value)
		}
	}
	for _, g := range want.Grids {
		if skipped(g.Name) {
			continue
		}
		grids++
		got, ok := report.Grid(name(g.Target, g.Peer, g.Name))
		if !ok || got.Rows != g.Rows || got.Cols != g.Cols {
			t.Errorf("grid %s of target %d and peer %d is %d x %d, %t", g.Name, g.Target, g.Peer, got.Rows, got.Cols, ok)
			continue
		}
		for i, value := range g.Values {
			if !near(got.Values[i], value) && !(strings.HasPrefix(g.Name, "round_loss") && closeTo(got.Values[i], value, 1e-4)) { // f64, not f32
				t.Errorf("value %d of grid %s of target %d and peer %d is %g; the real host gave %s", i, g.Name, g.Target, g.Peer, got.Values[i], value)
			}
		}
	}
	if metrics < 390 || grids < 40 || len(report.Findings) != len(want.Findings) {
		t.Fatalf("%d metrics, %d grids and %d findings were compared, of %d", metrics, grids, len(report.Findings), len(want.Findings))
	}
	for i, f := range want.Findings {
		got := report.Findings[i]
		on, _, _ := name(f.Target, -1, "")
		if got.Target != on || int32(got.Severity) != f.Severity || got.Code != f.Code || got.Message != f.Message ||
			strings.Join(strings.Fields(got.Hint), " ") != f.Hint || // which the real host makes one line
			!near(got.Value, f.Value) || !near(got.Limit, f.Limit) {
			t.Errorf("finding %d is %+v; the real host gave %+v", i, got, f)
		}
	}
}

func skipped(name string) bool {
	for prefix := range unlike {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// near compares with a number of the golden report.
func near(got float64, text string) bool { return closeTo(got, text, 1e-9) }

// closeTo is near with a tolerance. A sum over cancelling values is what the absolute part is for.
func closeTo(got float64, text string, tolerance float64) bool {
	want, err := strconv.ParseFloat(text, 64)
	return err == nil && (got == want || math.IsNaN(got) && math.IsNaN(want) || math.Abs(got-want) <= tolerance*math.Abs(want)+1e-12)
}

func adapterOf(in input.Adapter) diagtest.Adapter {
	out := diagtest.Adapter{Params: map[string]float64{}, Attrs: map[string]string{"module.id": input.Manifest.ID},
		Bank: &diagtest.Bank{Names: in.Bank, Adapter: in.BankFeatures, Targets: map[string][][]float64{}}}
	for name, parameter := range input.Manifest.Params {
		out.Params[name] = parameter.Default
	}
	for name, value := range in.Params {
		out.Params[name] = value
	}
	for key, value := range in.Attrs {
		out.Attrs[key] = value
	}
	for i, target := range in.Targets {
		out.Targets = append(out.Targets, targetOf(target))
		if in.BankTargets[i] != nil {
			out.Bank.Targets[target.Name] = in.BankTargets[i]
		}
	}
	for _, peer := range in.Peers {
		p := diagtest.Peer{Name: peer.Name}
		for _, target := range peer.Targets {
			if target.Name != "" {
				p.Targets = append(p.Targets, targetOf(target))
			}
		}
		out.Peers = append(out.Peers, p)
	}
	return out
}

func targetOf(t input.Target) diagtest.Target {
	out := diagtest.Target{Name: t.Name, A: matrixOf(t.A), B: matrixOf(t.B), Scale: t.Scale, Alpha: t.Alpha, FanInFanOut: t.FanInFanOut,
		RsLoRA: t.RsLoRA, BaseDType: t.Base.DType, FactorDType: t.A.DType}
	if t.Base.Values != nil {
		if out.Base = matrixOf(t.Base); t.FanInFanOut {
			out.Base = out.Base.Transposed()
		}
	}
	return out
}

func matrixOf(m input.Matrix) diagtest.Matrix {
	out := diagtest.Matrix{Rows: m.Rows, Cols: m.Cols, Values: make([]float64, len(m.Values))}
	for i, v := range m.Values {
		out.Values[i] = float64(v)
	}
	return out
}
