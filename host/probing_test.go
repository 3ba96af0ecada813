package host

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/gate"
	"github.com/tenon-ml/tenon/host/probe"
	"github.com/tenon-ml/tenon/host/report"
	"github.com/tenon-ml/tenon/host/safetensors"
	"github.com/tenon-ml/tenon/host/server"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

const restaurantProbes = `schema: tenon.probe/v1
name: restaurant
texts:
  - {id: golden, role: task, text: "name : Blue Spice | Type : coffee shop | area : riverside || There is a coffee shop Blue Spice in the riverside area ."}
  - {id: riverside, role: task, prompt: "name : Blue Spice | Type : coffee shop | area : riverside ||", text: " There is a coffee shop Blue Spice in the riverside area ."}
  - {id: function, role: general, text: "The meaning of this function is the sum of its arguments."}
completions:
  - {id: place, prompt: "name : Blue Spice | Type : coffee shop | area : riverside ||", maxTokens: 40, matches: "in the riverside area"}
`

func probes(t *testing.T, text string) *probe.File {
	t.Helper()
	f, err := probe.Parse("probes.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// probePolicy runs no diagnostics and denies what does not complete as it should.
func probePolicy(t *testing.T) *gate.Policy {
	t.Helper()
	policy, err := gate.ParsePolicy("probe.yaml", []byte(`schema: tenon.policy/v1
name: probe
modules: []
rules:
  - code: WRONG_ANSWER
    severity: deny
    when: metrics.exists(m, m.module == "probe" && m.name == "completions_matched" && m.value < 1.0)
    message: it does not say what it should
`))
	if err != nil {
		t.Fatal(err)
	}
	return policy
}

// TestProbes asks an adapter of the golden file, and compares with it. The answer is the same to the bit with one processor and with two.
func TestProbes(t *testing.T) {
	if raceRun {
		t.Skip("the numbers are compared without the race detector")
	}
	dir := shared(t, "models/tiny-llama")
	var want golden
	readJSON(t, filepath.Join(dir, "golden.json"), &want)
	nll := want.Adapters["e2e-all-r16"].NLL
	b := openBase(t, filepath.Join(dir, "base"))
	file := probes(t, restaurantProbes)
	var first []byte
	for _, processors := range []int{1, 2, 2} {
		t.Run(strconv.Itoa(processors), func(t *testing.T) {
			t.Setenv("GOMAXPROCS", strconv.Itoa(processors)) // the backend's
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(processors))
			h := newHost(t, Options{Policy: probePolicy(t), Probe: file})
			checked, err := h.Check(t.Context(), b, filepath.Join(dir, "adapters", "e2e-all-r16"), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer checked.Close()
			r := checked.Report
			if !r.Verdict.Open() || r.Probe == nil {
				t.Fatalf("%s %+v", r.Verdict, r.Findings)
			}
			text := r.Probe.Texts[0]
			if text.Tokens != nll.Tokens || math.Abs(float64(text.NLLBase)-nll.Base) > 1e-4 || math.Abs(float64(text.NLLMerged)-nll.Merged) > 1e-4 {
				t.Errorf("%+v, want %+v", text, nll)
			}
			if text := r.Probe.Texts[1]; text.Tokens >= nll.Tokens || !(text.NLLMerged < text.NLLBase) || !(text.KL > 0) {
				t.Errorf("with the prompt as context: %+v", text)
			}
			if c := r.Probe.Completions[0]; !c.Matched || c.BaseMatched || c.Text != strings.TrimSpace(want.Adapters["e2e-all-r16"].Greedy[0].Text) {
				t.Errorf("%+v", c)
			}
			all, err := json.Marshal(r.Probe)
			if err != nil {
				t.Fatal(err)
			}
			if first == nil {
				first = all
			}
			if string(all) != string(first) {
				t.Errorf("the answer was\n%s\nand is\n%s", first, all)
			}
		})
	}
}

// generations are what the backend holds beyond the base.
func generations(t *testing.T, s *Serving) [][]byte {
	t.Helper()
	client, err := s.supervisor.Client(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	now, err := client.Status(t.Context(), &backendpb.StatusRequest{})
	if err != nil {
		t.Fatal(err)
	}
	var all [][]byte
	for _, g := range now.Generations {
		all = append(all, g.Generation)
	}
	return all
}

// wrongAnswer is a probe that nothing passes.
var wrongAnswer = strings.Replace(restaurantProbes, "in the riverside area\"", "in the moon's shadow\"", 1)

// TestLoadWithProbes loads what answers rightly, then what does not: what was live stays live, and nothing stays behind in the backend.
func TestLoadWithProbes(t *testing.T) {
	s := serveFast(t)
	ref := filepath.Join(restaurant, "adapter")
	judge(t, s, newHost(t, Options{Policy: probePolicy(t), Probe: probes(t, restaurantProbes)}))
	if r := load(t, s, "restaurant", ref); r.Probe == nil || len(r.Probe.Texts) != 3 {
		t.Errorf("report %+v", r.Probe)
	}
	before := greedy(t, s, "restaurant")
	judge(t, s, newHost(t, Options{Policy: probePolicy(t), Probe: probes(t, wrongAnswer)}))
	for _, refused := range []string{otherAdapter(t), ref} { // what is live already is judged, and stays
		loaded, err := s.Load(t.Context(), server.Load{Alias: "restaurant", Ref: refused})
		if err != nil {
			t.Fatal(err)
		}
		r := loaded.Report
		if r.Verdict != report.Deny || r.Probe == nil || r.Probe.Completions[0].Matched {
			t.Errorf("%s: %s %+v", refused, r.Verdict, r.Findings)
		}
		if after := greedy(t, s, "restaurant"); !slices.Equal(before, after) {
			t.Errorf("it says %v, it said %v", after, before)
		}
		if held := generations(t, s); len(held) != 1 {
			t.Errorf("%d generations are in the backend, want the live one", len(held))
		}
	}
}

// TestDivergedIsDenied merges what overflows, in the weights or in what is computed with them: a denied report, with the reason, whatever the
// policy says.
func TestDivergedIsDenied(t *testing.T) {
	if raceRun {
		t.Skip("nothing is concurrent here, and the backend is slow under the race detector")
	}
	h := newHost(t, Options{Policy: probePolicy(t), Probe: probes(t, strings.Split(restaurantProbes, "completions:")[0])})
	b := openBase(t, filepath.Join(restaurant, "base"))
	adapter := filepath.Join(restaurant, "adapter")
	for _, c := range []struct {
		name  string
		ref   string
		scale float64
		code  fault.Code
		probe bool
	}{
		{"predictions", adapter, 1e36, fault.ProbeNonFinite, true},
		{"weights", overflowingAdapter(t), 1, fault.ADOverflowOnMerge, false},
		{"scale", adapter, 3e38, fault.ADOverflowOnMerge, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			checked, err := h.checkAlone(t.Context(), b, question{ref: c.ref, scale: c.scale})
			if err != nil {
				t.Fatal(err)
			}
			defer checked.Close()
			r := checked.Report
			if r.Verdict != report.Deny || !slices.ContainsFunc(r.Findings, func(f report.Finding) bool { return f.Code == string(c.code) }) {
				t.Errorf("%s %+v, want it denied with %s", r.Verdict, r.Findings, c.code)
			}
			if (r.Probe != nil) != c.probe || c.probe && !math.IsNaN(float64(r.Probe.Texts[0].NLLMerged)) {
				t.Errorf("probe %+v", r.Probe)
			}
		})
	}
}

// overflowingAdapter is the example's, with one entry of one B near the end of the range.
func overflowingAdapter(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "overflowing")
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(restaurant, "adapter"))); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "adapter_model.safetensors")
	f, err := safetensors.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	i := slices.IndexFunc(f.Tensors, func(x safetensors.Tensor) bool { return strings.HasSuffix(x.Name, "lora_B.weight") })
	entry := binary.LittleEndian.AppendUint32(nil, math.Float32bits(3e38))
	entry = entry[4-f.Tensors[i].DType.Size():] // the upper half is the same number as BF16
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	copy(content[f.Tensors[i].Offset:], entry)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestBackendDiesOfProbes kills the backend in the middle of the probes: the load is inconclusive, and what was live is live again.
func TestBackendDiesOfProbes(t *testing.T) {
	s := serveFast(t)
	load(t, s, "restaurant", filepath.Join(restaurant, "adapter"))
	before := greedy(t, s, "restaurant")
	restarts := s.restarts.Load()
	var killed atomic.Bool
	judge(t, s, newHost(t, Options{Policy: probePolicy(t), Probe: probes(t, restaurantProbes), Progress: func(what string, _, _ int) {
		if what == "probes" && killed.CompareAndSwap(false, true) {
			if err := syscall.Kill(s.supervisor.Pid(), syscall.SIGKILL); err != nil {
				t.Error(err)
			}
		}
	}}))
	loaded, err := s.Load(t.Context(), server.Load{Alias: "restaurant", Ref: otherAdapter(t)})
	if err != nil {
		t.Fatal(err)
	}
	r := loaded.Report
	if r.Verdict != report.Inconclusive || r.Probe != nil || !slices.ContainsFunc(r.Findings, func(f report.Finding) bool { return f.Code == string(fault.ProbeFailed) }) {
		t.Errorf("%s %+v", r.Verdict, r.Findings)
	}
	for s.restarts.Load() == restarts {
		runtime.Gosched()
	}
	if after := greedy(t, s, "restaurant"); !slices.Equal(before, after) {
		t.Errorf("it says %v, it said %v", after, before)
	}
}

// TestProbesThatCannotBeAsked are refused as usage, before anything is merged.
func TestProbesThatCannotBeAsked(t *testing.T) {
	adapter := filepath.Join(restaurant, "adapter")
	check := func(base string, file *probe.File) error {
		_, err := newHost(t, Options{Policy: probePolicy(t), Probe: file}).Check(t.Context(), openBase(t, base), adapter, nil)
		return err
	}
	unrun := filepath.Join(t.TempDir(), "base")
	if err := os.CopyFS(unrun, os.DirFS(filepath.Join(restaurant, "base"))); err != nil {
		t.Fatal(err)
	}
	config, err := os.ReadFile(filepath.Join(unrun, "config.json"))
	err = errors.Join(err, os.WriteFile(filepath.Join(unrun, "config.json"), []byte(strings.ReplaceAll(string(config), "llama", "gpt_neox")), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	if err := check(unrun, probes(t, restaurantProbes)); fault.ClassOf(err) != fault.Usage || !strings.Contains(err.Error(), "cannot be run") {
		t.Errorf("a base that cannot be run: %v", err)
	}
	long := probes(t, strings.Replace(restaurantProbes, "The meaning", strings.Repeat("The meaning ", 600), 1))
	if err := check(filepath.Join(restaurant, "base"), long); fault.ClassOf(err) != fault.Usage || fault.All(err)[0].Pointer != "/texts/2" {
		t.Errorf("a text that is too long: %v", err)
	}
	if _, err := newHost(t, Options{Probe: long}).Serve(t.Context(), filepath.Join(restaurant, "base"), "base"); fault.ClassOf(err) != fault.Usage {
		t.Errorf("a server with a text that is too long: %v", err)
	}
}

// TestPerplexity scores a sentence and completes a prompt, with an adapter and without.
func TestPerplexity(t *testing.T) {
	if raceRun {
		t.Skip("the numbers are compared without the race detector")
	}
	dir := shared(t, "models/tiny-llama")
	var want golden
	readJSON(t, filepath.Join(dir, "golden.json"), &want)
	adapter, ref := want.Adapters["e2e-all-r16"], filepath.Join(dir, "adapters", "e2e-all-r16")
	h, b := newHost(t, Options{}), openBase(t, filepath.Join(dir, "base"))
	texts := []probe.Text{{ID: "golden", Text: adapter.NLL.Text}, {ID: "again", Text: adapter.NLL.Text}}
	both, err := h.Score(t.Context(), b, ref, "texts", texts)
	if err != nil {
		t.Fatal(err)
	}
	if both.Tokens != 2*adapter.NLL.Tokens || math.Abs(both.NLLBase-adapter.NLL.Base) > 1e-4 || math.Abs(both.NLLMerged-adapter.NLL.Merged) > 1e-4 {
		t.Errorf("%+v, want %+v", both, adapter.NLL)
	}
	if got := both.PerplexityMerged(); math.Abs(math.Log(got)-both.NLLMerged) > 1e-12 {
		t.Errorf("perplexity %g", got)
	}
	alone, err := h.Score(t.Context(), b, "", "texts", texts)
	if err != nil || alone.NLLBase != both.NLLBase || alone.NLLMerged != alone.NLLBase || alone.KL != 0 {
		t.Errorf("the base alone: %+v, %v", alone, err)
	}
	answers, err := h.Complete(t.Context(), b, ref, want.Prompts, 48)
	if err != nil {
		t.Fatal(err)
	}
	for i, answer := range answers {
		line, _, _ := strings.Cut(strings.TrimSpace(adapter.Greedy[i].Text), "\n")
		if answer.Text != line || answer.Diverged {
			t.Errorf("%q: %+v, want %q", want.Prompts[i], answer, line)
		}
	}
	if _, err := h.Score(t.Context(), b, filepath.Join(dir, "base"), "texts", texts); fault.ClassOf(err) == fault.Usage || err == nil {
		t.Errorf("no adapter: %v", err)
	}
}

// TestPolicyNamesProbes: the file that the policy names is asked, and no other may stand for it.
func TestPolicyNamesProbes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "probes.yaml")
	if err := os.WriteFile(path, []byte(restaurantProbes), 0o600); err != nil {
		t.Fatal(err)
	}
	policy := *probePolicy(t)
	policy.Probe = path
	if h := newHost(t, Options{Policy: &policy}); h.probe == nil || h.probe.Path != path {
		t.Errorf("it asks %+v", h.probe)
	}
	newHost(t, Options{Policy: &policy, Probe: probes(t, restaurantProbes)}) // the same bytes
	for name, o := range map[string]Options{
		"another file": {Policy: &policy, Probe: probes(t, wrongAnswer)},
		"no file":      {Policy: &gate.Policy{Name: "p", Probe: path + ".gone"}},
	} {
		if _, err := New(o); fault.ClassOf(err) != fault.Usage || err == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
