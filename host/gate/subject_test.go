package gate

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/host/adapter"
	"github.com/tenon-ml/tenon/host/report"
	"github.com/tenon-ml/tenon/wasm/sandbox"
)

// fakeBank remembers of two adapters what module beta said of q_proj and of the adapter as a whole.
type fakeBank struct{}

func (fakeBank) Names() []string  { return []string{"sha256:aa", "sha256:bb"} }
func (fakeBank) Digest() [32]byte { return [32]byte{1} }
func (fakeBank) Features(module, version, target string) [][]float64 {
	switch {
	case module != "beta" || version != "1.2.3":
		return nil
	case target == "":
		return [][]float64{{1, 2}, {3, 4}}
	case target == qProj+".weight":
		return [][]float64{nil, {5}}
	}
	return nil
}

func TestBankIsGivenToTheModuleThatWroteIt(t *testing.T) {
	b := testBase(t)
	binding := bound(t, b, testAdapter(t, qProj, vProj))
	runner := &fakeRunner{results: map[string]sandbox.Result{"alpha": sizesOf(1, 2)}}
	r, err := newGate(t, twoModules, runner).Check(t.Context(), Subject{Binding: binding, Bank: fakeBank{}})
	if err != nil {
		t.Fatal(err)
	}
	if r.Bank == nil || r.Bank.Adapters != 2 || !strings.HasPrefix(r.Bank.Digest, "sha256:01") {
		t.Errorf("the report's bank is %+v", r.Bank)
	}
	beta := runner.jobs["beta"].Input.Bank
	if beta == nil || len(beta.Names) != 2 || len(beta.Features) != 3 {
		t.Fatalf("beta's bank is %+v", beta)
	}
	if whole := beta.Features[0]; whole.Rows != 2 || whole.Cols != 2 || fmt.Sprint(whole.Data) != "[1 2 3 4]" {
		t.Errorf("of the adapter as a whole %+v", whole)
	}
	if q := beta.Features[1]; q.Rows != 2 || q.Cols != 1 || !math.IsNaN(q.Data[0]) || q.Data[1] != 5 {
		t.Errorf("of q_proj %+v", q)
	}
	if v := beta.Features[2]; v.Rows*v.Cols != 0 {
		t.Errorf("of v_proj %+v", v)
	}
	if alpha := runner.jobs["alpha"].Input.Bank; alpha == nil || alpha.Features[0].Cols != 0 {
		t.Errorf("alpha's bank is %+v: it sees what another module wrote", alpha)
	}
}

// Two adapters can be compared without their base.
func TestWithoutABase(t *testing.T) {
	b := testBase(t)
	binding := *bound(t, b, testAdapter(t, qProj, vProj))
	binding.Base = nil
	runner := &fakeRunner{results: map[string]sandbox.Result{"alpha": sizesOf(1, 2)}}
	r, err := newGate(t, twoModules, runner).Check(t.Context(), Subject{Binding: &binding, Peers: []*adapter.Binding{&binding}})
	if err != nil || r.Verdict != report.Admit || r.Base.Digest != "" {
		t.Fatalf("%+v, %v", r, err)
	}
	alpha := runner.jobs["alpha"].Input
	if _, known := alpha.Attrs["base.digest"]; known || alpha.Targets[0].Base.Present() || len(alpha.Peers) != 1 {
		t.Errorf("alpha sees %+v", alpha)
	}
}

func TestProbeMetrics(t *testing.T) {
	task := report.ProbeText{Role: "task", Tokens: 10, NLLBase: 5, NLLMerged: 3, KL: 9}
	longer := report.ProbeText{Role: "task", Tokens: 30, NLLBase: 5, NLLMerged: 4, KL: 9}
	text := report.ProbeText{Role: "general", Tokens: 20, NLLBase: 2, NLLMerged: 2.5, KL: 0.25}
	worse := report.ProbeText{Role: "general", Tokens: 20, NLLBase: 2, NLLMerged: 3, KL: 0.75}
	broken := report.ProbeText{Role: "general", Tokens: 20, NLLBase: 2, NLLMerged: report.Number(math.NaN()), KL: report.Number(math.NaN())}
	number := func(v float64) *report.Number { n := report.Number(v); return &n }
	tests := []struct {
		name  string
		probe report.Probe
		want  string
	}{
		{"nothing", report.Probe{}, "texts=0"},
		{"weighted by tokens", report.Probe{Texts: []report.ProbeText{task, longer}}, "texts=2 nll_base=5 nll_merged=3.75 nll_change=-1.25"},
		{"general text", report.Probe{Texts: []report.ProbeText{text, worse}}, "texts=2 general_nll_change=0.75 kl_mean=0.5 kl_max=0.75"},
		{"not a number stays none", report.Probe{Texts: []report.ProbeText{text, broken, worse}}, "texts=3 general_nll_change=NaN kl_mean=NaN kl_max=NaN"},
		{"as expected", report.Probe{Texts: []report.ProbeText{{Role: "task", Tokens: 10, NLLBase: 5, NLLMerged: 3, NLLExpected: number(3.25)},
			{Role: "task", Tokens: 10, NLLBase: 5, NLLMerged: 3, NLLExpected: number(2.5)}}}, "texts=2 nll_base=5 nll_merged=3 nll_change=-2 nll_excess_max=0.5"},
		{"completions", report.Probe{Completions: []report.ProbeCompletion{{Matched: true}, {}}}, "texts=0 completions=2 completions_matched=1"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			for _, m := range probeMetrics(&test.probe) {
				got = append(got, fmt.Sprintf("%s=%v", m.Name, m.Value))
			}
			if strings.Join(got, " ") != test.want {
				t.Errorf("metrics are %s, want %s", strings.Join(got, " "), test.want)
			}
		})
	}
}

// What the probe measured is there for rules and for modules.
func TestProbeIsSeen(t *testing.T) {
	b := testBase(t)
	binding := bound(t, b, testAdapter(t, qProj))
	policy := strings.Replace(twoModules, "rules:\n", "rules:\n  - {code: WORSE, severity: deny, message: worse, "+
		"when: \"metrics.exists(m, m.module == 'probe' && m.name == 'nll_change' && m.value > 0.0)\"}\n", 1)
	runner := &fakeRunner{results: map[string]sandbox.Result{"alpha": sizesOf(1, 2)}}
	runner.results["alpha"] = sandbox.Result{Status: sandbox.OK, Metrics: sizesOf(1, 2).Metrics[1:2]}
	probe := &report.Probe{Texts: []report.ProbeText{{Role: "task", Tokens: 1, NLLBase: 1, NLLMerged: 2}}}
	r, err := newGate(t, policy, runner).Check(t.Context(), Subject{Binding: binding, Probe: probe})
	if err != nil {
		t.Fatal(err)
	}
	if r.Verdict != report.Deny || r.Probe != probe {
		t.Errorf("verdict %s, findings %+v", r.Verdict, r.Findings)
	}
	if got := runner.jobs["beta"].Input.Attrs["probe.nll_change"]; got != "1" {
		t.Errorf("attribute probe.nll_change is %q", got)
	}
}
