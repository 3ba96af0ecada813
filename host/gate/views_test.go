package gate

import (
	"slices"
	"testing"

	"github.com/tenon-ml/tenon/host/adapter"
	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/host/report"
	"github.com/tenon-ml/tenon/host/safetensors"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

func stored(name string, offset int64, shape ...int) tensor.Ref {
	r := tensor.Ref{Name: name, DType: tensor.F32, Shape: shape, Offset: offset}
	r.Length = int64(r.Elements()) * 4
	return r
}

func TestViews(t *testing.T) {
	factor := func(offset int64, shape ...int) safetensors.Tensor {
		return safetensors.Tensor{Ref: stored("factor", offset, shape...)}
	}
	low := func(name string, blocks, rank, in, out int, shape ...int) adapter.Target {
		return adapter.Target{Name: name, Blocks: blocks, In: in, Out: out, Base: base.Tensor{Ref: stored(name, 1000, shape...)},
			Pair: adapter.Pair{Rank: rank, A: factor(0, blocks*rank, in), B: factor(500, blocks*out, rank)}}
	}
	conv := low("conv.weight", 1, 2, 18, 4, 4, 2, 3, 3)
	experts := low("experts.down", 3, 2, 5, 4, 3, 4, 5)
	turned := low("experts.up", 2, 2, 5, 4, 2, 5, 4)
	turned.FanInFanOut = true
	dora := low("dora.weight", 1, 1, 6, 4, 4, 6)
	dora.Magnitude = factor(900, 4)
	bias := low("q.bias", 1, 1, 1, 4, 4)
	dense := adapter.Target{Name: "dense.weight", Base: base.Tensor{Ref: stored("dense.weight", 0, 4, 6)}, Dense: factor(0, 4, 6)}
	head := adapter.Target{Name: "score.weight", Start: factor(0, 2, 6)}
	copied := low("embed.weight", 1, 1, 8, 4, 8, 4)
	copied.Start = factor(0, 8, 4)
	b := &adapter.Binding{Targets: []adapter.Target{conv, experts, turned, dora, bias, dense, head, copied}}

	views, unseen := viewsOf(b)
	type shown struct {
		name           string
		shape          []int
		base, a, b     int64
		aShape, bShape []int
	}
	want := []shown{
		{"conv.weight", []int{4, 18}, 1000, 0, 500, []int{2, 18}, []int{4, 2}},
		{"experts.down[0]", []int{4, 5}, 1000, 0, 500, []int{2, 5}, []int{4, 2}},
		{"experts.down[1]", []int{4, 5}, 1080, 40, 532, []int{2, 5}, []int{4, 2}},
		{"experts.down[2]", []int{4, 5}, 1160, 80, 564, []int{2, 5}, []int{4, 2}},
		{"experts.up[0]", []int{5, 4}, 1000, 0, 500, []int{2, 5}, []int{4, 2}},
		{"experts.up[1]", []int{5, 4}, 1080, 40, 532, []int{2, 5}, []int{4, 2}},
		{"dora.weight", []int{4, 6}, 1000, 0, 500, []int{1, 6}, []int{4, 1}},
	}
	if len(views) != len(want) {
		t.Fatalf("%d views, want %d", len(views), len(want))
	}
	for i, w := range want {
		v := views[i]
		got := shown{v.name, v.base.Shape, v.base.Offset, v.a.Offset, v.b.Offset, v.a.Shape, v.b.Shape}
		if got.name != w.name || !slices.Equal(got.shape, w.shape) || got.base != w.base || got.a != w.a || got.b != w.b ||
			!slices.Equal(got.aShape, w.aShape) || !slices.Equal(got.bShape, w.bShape) {
			t.Errorf("view %d is %+v, want %+v", i, got, w)
		}
	}
	type said struct {
		severity report.Severity
		target   string
		count    report.Number
	}
	var got []said
	for _, f := range unseenFindings(b, unseen) {
		got = append(got, said{f.Severity, f.Target, f.Value})
	}
	if w := []said{{report.Warn, "q.bias", 3}, {report.Info, "score.weight", 1}, {report.Info, "dora.weight", 1}}; !slices.Equal(got, w) {
		t.Errorf("the findings are %v, want %v", got, w)
	}
}

// What hygiene says of the adapter as a whole is a warning where it has not seen the whole.
func TestRelativize(t *testing.T) {
	findings := []report.Finding{
		{Code: "AD_NO_EFFECT", Module: "hygiene", Severity: report.DenySeverity, Message: "nothing"},
		{Code: "AD_NO_EFFECT", Severity: report.DenySeverity}, // the policy's own, of the coverage
		{Code: "AD_NONFINITE", Module: "hygiene", Severity: report.DenySeverity},
	}
	relativize(findings)
	if findings[0].Severity != report.Warn || findings[0].Message == "nothing" || findings[1].Severity != report.DenySeverity ||
		findings[2].Severity != report.DenySeverity {
		t.Errorf("%+v", findings)
	}
	plain := adapter.Target{Pair: adapter.Pair{Rank: 1}}
	scaled := plain
	scaled.Magnitude.Shape = []int{1}
	for _, test := range []struct {
		targets []adapter.Target
		unseen  []*adapter.Target
		want    bool
	}{{[]adapter.Target{plain}, nil, false}, {[]adapter.Target{plain, scaled}, nil, true}, {[]adapter.Target{plain}, []*adapter.Target{&scaled}, true}} {
		if got := changesBeside(&adapter.Binding{Targets: test.targets}, test.unseen); got != test.want {
			t.Errorf("%v, want %v", got, test.want)
		}
	}
}
