package diag_test

import (
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/diag"
	"github.com/tenon-ml/tenon/sdk/diag/diagtest"
	"github.com/tenon-ml/tenon/sdk/diag/internal/host"
)

// sample has two targets out of order, of which a peer adapts the second, and a name longer than the first buffer tried.
func sample() diagtest.Adapter {
	q := diagtest.Target{
		Name: "b.weight", Scale: 2, Alpha: 4, RsLoRA: true, BaseDType: abi.DTypeBF16, FactorDType: abi.DTypeF16,
		A: diagtest.Rows([]float64{1, 2, 3}), B: diagtest.Rows([]float64{1}, []float64{-1}),
		Base: diagtest.Rows([]float64{1, 0, 0}, []float64{0, 1, 0}),
	}
	p := q
	p.Name = "a." + strings.Repeat("long.", 60) + "weight"
	p.FanInFanOut = true
	p.Base = diagtest.Matrix{}
	peer := q
	peer.A = diagtest.Rows([]float64{0, 0, 1}, []float64{1, 0, 0})
	peer.B = diagtest.Zeros(2, 2)
	return diagtest.Adapter{
		Targets: []diagtest.Target{q, p},
		Peers:   []diagtest.Peer{{Name: "sha256:peer", Targets: []diagtest.Target{peer, {Name: "elsewhere"}}}},
		Attrs:   map[string]string{"adapter.format": "peft"},
		Params:  map[string]float64{"limit": 0.5},
	}
}

func TestWhatARunSees(t *testing.T) {
	report := diagtest.Run(t, sample(), func(run *diag.Run) error {
		targets := run.Targets()
		if len(targets) != 2 || !strings.HasPrefix(targets[0].Name, "a.long.") || targets[1].Name != "b.weight" {
			t.Fatalf("targets are %v", targets)
		}
		q := targets[1]
		if q.Rank != 1 || q.In != 3 || q.Out != 2 || q.Scale != 2 || q.Alpha != 4 || !q.RsLoRA || q.FanInFanOut || !targets[0].FanInFanOut {
			t.Errorf("target is %+v", q)
		}
		if q.BaseDType != abi.DTypeBF16 || q.FactorDType != abi.DTypeF16 {
			t.Errorf("dtypes are %d and %d", q.BaseDType, q.FactorDType)
		}
		if _, ok := targets[0].Base(); ok {
			t.Error("a target without a base has one")
		}
		if base, ok := q.Base(); !ok {
			t.Error("the base is missing")
		} else if rows, cols, err := base.Shape(); rows != 2 || cols != 3 || err != nil {
			t.Errorf("the base is %d x %d, %v", rows, cols, err)
		}
		single := make([]float32, 2)
		if err := q.A().Read32(single, 1); err != nil || single[0] != 2 || single[1] != 3 {
			t.Errorf("A from 1 on is %v, %v", single, err)
		}
		if run.Param("limit") != 0.5 {
			t.Error("the parameter is not 0.5")
		}
		if format, ok := run.Attr("adapter.format"); !ok || format != "peft" {
			t.Errorf("the format is %q, %t", format, ok)
		}
		if _, ok := run.Attr("base.architecture"); ok {
			t.Error("an attribute nobody gave is there")
		}
		peers := run.Peers()
		if len(peers) != 1 || peers[0].Name != "sha256:peer" {
			t.Fatalf("peers are %v", peers)
		}
		if _, ok := peers[0].Target(targets[0]); ok {
			t.Error("the peer adapts what it does not adapt")
		}
		other, ok := peers[0].Target(q)
		if !ok || other.Rank != 2 || other.Name != "b.weight" {
			t.Errorf("the peer's target is %+v, %t", other, ok)
		}
		if _, ok := other.Base(); ok {
			t.Error("a peer's target has a base")
		}
		run.Metric("one", 1)
		q.Metric("two", 2)
		other.Metric("three", 3)
		peers[0].Metric("four", 4)
		other.Grid("square", 1, 2, []float64{5, 6})
		peers[0].Grid("whole", 1, 1, []float64{7})
		q.Finding(diag.Warn, "CODE", "message", "hint", 1, 2)
		run.Finding(diag.Info, "CODE", "message", "hint", 1, 2)
		run.Log("done")
		return nil
	})
	if report.Err != nil {
		t.Fatal(report.Err)
	}
	want := []diagtest.Metric{
		{Name: "one", Value: 1},
		{Name: "two", Value: 2, Target: "b.weight"},
		{Name: "three", Value: 3, Target: "b.weight", Peer: "sha256:peer"},
		{Name: "four", Value: 4, Peer: "sha256:peer"},
	}
	if !slices.Equal(report.Metrics, want) {
		t.Errorf("metrics\n got %v\nwant %v", report.Metrics, want)
	}
	if grid, ok := report.Grid("b.weight", "sha256:peer", "square"); !ok || grid.At(0, 1) != 6 {
		t.Errorf("grid is %v, %t", grid, ok)
	}
	if grid, ok := report.Grid("", "sha256:peer", "whole"); !ok || grid.At(0, 0) != 7 {
		t.Errorf("the grid of both adapters is %v, %t", grid, ok)
	}
	if codes := report.Codes(); !slices.Equal(codes, []string{"CODE b.weight", "CODE"}) || report.Log != "done\n" {
		t.Errorf("findings are %v, the log is %q", codes, report.Log)
	}
}

func TestFailuresEndTheRun(t *testing.T) {
	kernels := []abi.Capability{abi.CapKernels}
	own := errors.New("the diagnostic's own")
	tests := []struct {
		name     string
		grants   []abi.Capability
		diagnose func(*diag.Run) error
		is       error
		says     string
	}{
		{"own error", nil, func(*diag.Run) error { return own }, own, "the diagnostic's own"},
		{"peers not granted", kernels, func(run *diag.Run) error { run.Peers(); return nil }, abi.Denied, "peer_count: capability not granted"},
		{"kernels not granted", []abi.Capability{}, func(run *diag.Run) error {
			_, err := run.Targets()[0].DeltaSVD()
			return err
		}, abi.Denied, "kernels"},
		{"base not granted", kernels, func(run *diag.Run) error {
			_, err := run.Targets()[1].RoundLoss(0)
			return err
		}, abi.Denied, "round_loss of b.weight"},
		{"unknown parameter", nil, func(run *diag.Run) error {
			if !math.IsNaN(run.Param("typo")) {
				t.Error("a parameter that is not there has a value")
			}
			return nil
		}, abi.NotFound, "param typo"},
		{"too many metrics", nil, func(run *diag.Run) error {
			for i := range abi.DefaultLimits.Metrics + 1 {
				run.Metric("m"+strconv.Itoa(i), 1)
			}
			return nil
		}, abi.Quota, "metric m10000"},
		{"empty grid", nil, func(run *diag.Run) error { run.Grid("g", 0, 2, nil); return nil }, abi.Shape, "grid g: shapes do not fit"},
		{"ragged grid", nil, func(run *diag.Run) error { run.Grid("g", 2, 2, make([]float64, 3)); return nil }, abi.Shape, "grid g"},
		{"the first failure wins over later ones", nil, func(run *diag.Run) error {
			run.Param("first")
			run.Param("second")
			return nil
		}, abi.NotFound, "param first"},
		{"zero tensor", nil, func(run *diag.Run) error { return diag.Tensor{}.Read64(nil, 0) }, abi.BadHandle, "tensor_read_f64"},
		{"dropped tensor", nil, func(run *diag.Run) error {
			a := run.Targets()[0].A()
			a.Drop()
			a.Drop()
			_, err := a.Stats()
			return err
		}, abi.BadHandle, "stats"},
		{"shapes", nil, func(run *diag.Run) error {
			q := run.Targets()[1]
			_, err := diag.MatMul(q.A(), q.B(), diag.TransposeNone)
			return err
		}, abi.Shape, "1 x 3 and 2 x 1"},
		{"past the end", nil, func(run *diag.Run) error { return run.Targets()[0].A().Read64(make([]float64, 3), 1) }, abi.Range,
			"3 elements from 1"},
		{"not finite", nil, func(run *diag.Run) error {
			m, err := diag.Put(1, 1, []float64{math.NaN()})
			if err != nil {
				return err
			}
			_, err = diag.SVD(m)
			return err
		}, abi.Numeric, "svd: no numeric result"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			adapter := sample()
			adapter.Grants = test.grants
			report := diagtest.Run(t, adapter, test.diagnose)
			if !errors.Is(report.Err, test.is) || !strings.Contains(report.Err.Error(), test.says) {
				t.Fatalf("error is %v, want %v saying %q", report.Err, test.is, test.says)
			}
			if report.Log != report.Err.Error()+"\n" {
				t.Errorf("the log is %q, want the error", report.Log)
			}
		})
	}
}

// unreadable is a host whose tensors cannot be read. It counts those that are dropped.
type unreadable struct {
	host.Host
	dropped int
}

func (u *unreadable) TensorReadF64(int32, int64, []float64) int32 { return int32(abi.Internal) }

func (u *unreadable) TensorDrop(handle int32) int32 {
	u.dropped++
	return u.Host.TensorDrop(handle)
}

func TestTriplesThatCannotBeReadAreDropped(t *testing.T) {
	report := diagtest.Run(t, sample(), func(run *diag.Run) error {
		around := &unreadable{Host: host.Installed}
		host.Installed = around
		defer func() { host.Installed = around.Host }()
		triples, err := run.Targets()[1].DeltaSVD()
		if around.dropped != 3 || triples.S != nil {
			t.Errorf("%d tensors were dropped and %v is left", around.dropped, triples)
		}
		return err
	})
	if !errors.Is(report.Err, abi.Internal) {
		t.Error(report.Err)
	}
}

func TestLongErrorTextArrivesWhole(t *testing.T) {
	adapter := sample()
	long := "p." + strings.Repeat("x", 400)
	report := diagtest.Run(t, adapter, func(run *diag.Run) error { run.Param(long); return nil })
	if want := "there is no parameter " + long; report.Err == nil || !strings.HasSuffix(report.Err.Error(), want) {
		t.Errorf("error is %v, want it to end in %q", report.Err, want)
	}
}

func TestAlgebra(t *testing.T) {
	report := diagtest.Run(t, sample(), func(run *diag.Run) error {
		q := run.Targets()[1]
		delta, err := q.DeltaSVD()
		if err != nil {
			return err
		}
		if want := 2 * math.Sqrt(2) * math.Sqrt(14); len(delta.S) != 1 || math.Abs(delta.S[0]-want) > 1e-12 {
			t.Errorf("singular values of delta are %v, want %g", delta.S, want)
		}
		base, _ := q.Base()
		product, err := diag.Project(base, delta.U, delta.V)
		if err != nil {
			return err
		}
		values, err := product.Values()
		if want := (1 - 2) / math.Sqrt(28); err != nil || math.Abs(values[0]-want) > 1e-12 {
			t.Errorf("U' W V is %v, %v, want %g", values, err, want)
		}
		top, err := q.BaseSVD(1)
		if err != nil || len(top.S) != 1 || math.Abs(top.S[0]-1) > 1e-12 {
			t.Errorf("top singular values of W are %v, %v", top.S, err)
		}
		sum, err := diag.Axpby(2, q.A(), -1, q.A())
		if err != nil {
			return err
		}
		orthonormal, upper, err := diag.QR(sum)
		if err != nil {
			return err
		}
		back, err := diag.MatMul(orthonormal, upper, diag.TransposeNone)
		if err != nil {
			return err
		}
		if values, err := back.Values(); err != nil || math.Abs(values[2]-3) > 1e-12 {
			t.Errorf("QR of 2A - A multiplies to %v, %v, want A", values, err)
		}
		loss, err := q.RoundLoss(abi.DTypeF16)
		if err != nil || loss.Count != 6 || loss.Changed != 6 || loss.FirstOverflow != -1 {
			t.Errorf("round loss is %+v, %v", loss, err)
		}
		delta.Drop()
		diag.Triples{}.Drop()
		stats, err := q.B().Stats()
		if err != nil || stats.Count != 2 || stats.Sum != 0 || stats.SumSquares != 2 || stats.FirstNonFinite != -1 {
			t.Errorf("stats of B are %+v, %v", stats, err)
		}
		return nil
	})
	if report.Err != nil {
		t.Fatal(report.Err)
	}
}
