package gate

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/tenon-ml/tenon/host/adapter"
	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/report"
	"github.com/tenon-ml/tenon/host/safetensors"
	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/tensor"
	"github.com/tenon-ml/tenon/wasm/modules"
	"github.com/tenon-ml/tenon/wasm/sandbox"
	"github.com/tenon-ml/tenon/wasm/worker"
)

// fakeRunner answers for each module by its id and keeps the jobs it was given.
type fakeRunner struct {
	results map[string]sandbox.Result
	during  func(worker.Job) // while a job runs

	mu   sync.Mutex
	jobs map[string]worker.Job
}

func (r *fakeRunner) Run(_ context.Context, job worker.Job) (sandbox.Result, string) {
	r.mu.Lock()
	if r.jobs == nil {
		r.jobs = map[string]worker.Job{}
	}
	r.jobs[job.Manifest.ID] = job
	r.mu.Unlock()
	if r.during != nil {
		r.during(job)
	}
	result, ok := r.results[job.Manifest.ID]
	if !ok {
		result = sandbox.Result{Status: sandbox.OK}
	}
	return result, worker.Full
}

// entry is a tensor of a test's file.
type entry struct {
	name  string
	shape []int
}

// writeWeights writes an F32 safetensors file of small numbers that differ from each other.
func writeWeights(t *testing.T, path string, tensors []entry) {
	t.Helper()
	var entries []safetensors.Entry
	for _, e := range tensors {
		entries = append(entries, safetensors.Entry{Name: e.name, DType: tensor.F32, Shape: e.shape})
	}
	var file bytes.Buffer
	w, err := safetensors.NewWriter(&file, entries, nil)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, ref := range w.Refs() {
		raw := make([]byte, ref.Length)
		for i := 0; i < len(raw); i += 4 {
			n++
			raw[i+2], raw[i+3] = byte(n*37), 0x3d // around 0.05
		}
		if _, err := w.Write(raw); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, file.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

func writeJSON(t *testing.T, path string, value any) {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

const (
	qProj = "model.layers.0.self_attn.q_proj"
	vProj = "model.layers.0.self_attn.v_proj"
)

// testBase is a base of two weights, 32 x 32 and 24 x 32.
func testBase(t *testing.T) *base.Base {
	t.Helper()
	dir := t.TempDir()
	writeJSON(t, filepath.Join(dir, "config.json"), map[string]any{"architectures": []string{"LlamaForCausalLM"}, "model_type": "llama"})
	writeWeights(t, filepath.Join(dir, "model.safetensors"), []entry{{qProj + ".weight", []int{32, 32}}, {vProj + ".weight", []int{24, 32}}})
	b, err := base.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

// testAdapter is the directory of an adapter of rank 4 for modules of the base.
func testAdapter(t *testing.T, moduleNames ...string) string {
	t.Helper()
	dir := t.TempDir()
	var tensors []entry
	var targets []string
	for _, module := range moduleNames {
		out := 32
		if strings.HasSuffix(module, "v_proj") {
			out = 24
		}
		tensors = append(tensors, entry{"base_model.model." + module + ".lora_A.weight", []int{4, 32}},
			entry{"base_model.model." + module + ".lora_B.weight", []int{out, 4}})
		targets = append(targets, module[strings.LastIndex(module, ".")+1:])
	}
	writeJSON(t, filepath.Join(dir, "adapter_config.json"), map[string]any{"peft_type": "LORA", "r": 4, "lora_alpha": 8, "bias": "none",
		"target_modules": targets, "base_model_name_or_path": "some/base", "init_lora_weights": "gaussian", "surprise": 1})
	writeWeights(t, filepath.Join(dir, "adapter_model.safetensors"), tensors)
	return dir
}

func bound(t *testing.T, b *base.Base, dir string) *adapter.Binding {
	t.Helper()
	binding, err := adapter.Load(dir, b)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = binding.Adapter.Close() })
	return binding
}

func module(id string, svdRank int) modules.Module {
	wasm := []byte("module " + id)
	return modules.Module{Wasm: wasm, SHA256: sha256.Sum256(wasm), Manifest: abi.Manifest{ID: id, Version: "1.2.3", BaseSVDRank: svdRank,
		Params: map[string]abi.Parameter{"depth": {Default: 3}}}}
}

// twoModules is a policy with module "alpha", which may use all, and module "beta", which may use nothing.
const twoModules = `schema: tenon.policy/v1
name: test
modules:
  - {id: beta}
  - {id: alpha, grant: [base, peers, kernels], base_svd: true, params: {depth: 5}, limits: {runMs: 77}}
rules:
  - {code: TOO_BIG, severity: deny, forEach: target, when: "metric.size > limit", value: metric.size, limit: 10, message: too big}
  - {code: DIAGNOSTIC_DENIES, severity: deny, when: "findings.exists(f, f.severity == 'deny')", message: a diagnostic denies}
`

func newGate(t *testing.T, policy string, runner Runner) *Gate {
	t.Helper()
	return &Gate{Policy: mustPolicy(t, policy), Modules: []modules.Module{module("alpha", -1), module("beta", 2), module("gamma", 0)},
		Runner: runner, Parallel: 2, CacheDir: t.TempDir()}
}

// sizes gives metric size of both targets.
func sizesOf(q, v float64) sandbox.Result {
	return sandbox.Result{Status: sandbox.OK, Metrics: []sandbox.Metric{{Target: 1, Peer: -1, Name: "size", Value: v},
		{Target: 0, Peer: -1, Name: "size", Value: q}, {Target: -1, Peer: -1, Name: "whole", Value: 9}, {Target: 0, Peer: 0, Name: "near", Value: 0.5}},
		Grids:    []sandbox.Grid{{Target: 1, Peer: 0, Name: "phi", Rows: 2, Cols: 3, Values: []float64{1, 2, 3, 4, 5, 6}}},
		Findings: []sandbox.Finding{{Target: 1, Severity: abi.Info, Code: "NOTE", Message: "note", Value: 1, Limit: 2, Hint: "hint"}},
		Usage:    sandbox.Usage{Wall: 1_234_567, CPU: 2e6, Compile: 3e6, PeakBytes: 4, HostCalls: 5}}
}

func TestCheck(t *testing.T) {
	b := testBase(t)
	binding, peer := bound(t, b, testAdapter(t, qProj, vProj)), bound(t, b, testAdapter(t, qProj))
	runner := &fakeRunner{results: map[string]sandbox.Result{"alpha": sizesOf(1, 2)}}
	g := newGate(t, twoModules, runner)
	r, err := g.Check(t.Context(), Subject{Binding: binding, Peers: []*adapter.Binding{peer}})
	if err != nil {
		t.Fatal(err)
	}
	if r.Verdict != report.Admit || r.SchemaVersion != report.SchemaVersion {
		t.Errorf("verdict %s, schema %s", r.Verdict, r.SchemaVersion)
	}
	if got := fmt.Sprintf("%s %v %v %d", r.Adapter.Format, r.Adapter.Rank, r.Adapter.Scale, r.Adapter.Parameters); got != "peft [4] [2] 480" {
		t.Errorf("the adapter is %s", got)
	}
	if r.Base.DType != "F32" || r.Base.Parameters != 32*32+24*32 || r.Policy.Name != "test" || len(r.Policy.Digest) != 71 || r.Coverage.Applied != 4 {
		t.Errorf("base %+v, policy %+v, %d applied", r.Base, r.Policy, r.Coverage.Applied)
	}
	peerDigest := digest(peer.Adapter.Digest)
	var metrics []string
	for _, m := range r.Metrics {
		metrics = append(metrics, strings.Join([]string{m.Module, m.Target, m.Name, m.With, fmt.Sprint(m.Value)}, " "))
	}
	want := []string{"alpha  whole  9", "alpha " + qProj + ".weight size  1", "alpha " + qProj + ".weight near " + peerDigest + " 0.5",
		"alpha " + vProj + ".weight size  2"}
	if strings.Join(metrics, "\n") != strings.Join(want, "\n") {
		t.Errorf("metrics are\n%s", strings.Join(metrics, "\n"))
	}
	if g := r.Grids[0]; fmt.Sprint(g.Values) != "[[1 2 3] [4 5 6]]" || g.With != peerDigest || g.Target != vProj+".weight" {
		t.Errorf("grid %+v", g)
	}
	if len(r.Modules) != 2 || r.Modules[0].ID != "alpha" || r.Modules[0].Version != "1.2.3" || r.Modules[0].Sandbox != worker.Full ||
		r.Modules[0].Usage != (report.Usage{WallMs: 1.235, CPUMs: 2, CompileMs: 3, PeakBytes: 4, HostCalls: 5}) {
		t.Errorf("modules %+v", r.Modules)
	}
	var findings []string
	for _, f := range r.Findings {
		findings = append(findings, strings.Join([]string{string(f.Severity), f.Module, f.Code}, " "))
	}
	if got := strings.Join(findings, ", "); got != "warn  AD_UNKNOWN_FIELD, info  AD_BASE, info alpha NOTE" {
		t.Errorf("findings are %s", got)
	}
}

func TestModulesSeeWhatTheyWereGranted(t *testing.T) {
	b := testBase(t)
	binding, peer := bound(t, b, testAdapter(t, qProj, vProj)), bound(t, b, testAdapter(t, qProj))
	runner := &fakeRunner{during: func(job worker.Job) { // while the files are open
		for _, target := range job.Input.Targets {
			if !target.Base.Present() {
				continue
			}
			s := target.BaseSVD.S
			raw := make([]byte, s.Length)
			if _, err := s.Reader.ReadAt(raw, s.Offset); err != nil {
				t.Errorf("reading S of %s: %v", target.Name, err)
			}
		}
	}}
	g := newGate(t, twoModules, runner)
	if _, err := g.Check(t.Context(), Subject{Binding: binding, Peers: []*adapter.Binding{peer}}); err != nil {
		t.Fatal(err)
	}
	alpha, beta := runner.jobs["alpha"], runner.jobs["beta"]
	if len(runner.jobs) != 2 {
		t.Errorf("%d modules ran", len(runner.jobs))
	}
	if alpha.Limits.RunMillis != 77 || alpha.Input.Params["depth"] != 5 || beta.Input.Params["depth"] != 3 || fmt.Sprint(alpha.Granted) != "[base peers kernels]" {
		t.Errorf("alpha got limits %+v and parameters %v, beta %v", alpha.Limits, alpha.Input.Params, beta.Input.Params)
	}
	q, v := alpha.Input.Targets[0], alpha.Input.Targets[1]
	if q.Name != qProj+".weight" || v.Out != 24 || v.In != 32 || q.Rank != 4 || q.Scale != 2 || q.Alpha != 8 || !q.BaseSVD.U.Present() {
		t.Errorf("alpha's targets are %+v", alpha.Input.Targets)
	}
	if fmt.Sprint(q.BaseSVD.U.Shape, q.BaseSVD.S.Shape, v.BaseSVD.U.Shape, v.BaseSVD.V.Shape) != "[32 16] [16] [24 16] [32 16]" {
		t.Errorf("singular triples of shapes %v %v %v %v", q.BaseSVD.U.Shape, q.BaseSVD.S.Shape, v.BaseSVD.U.Shape, v.BaseSVD.V.Shape)
	}
	if peers := alpha.Input.Peers; len(peers) != 1 || peers[0].Targets[0] == nil || peers[0].Targets[1] != nil || peers[0].Targets[0].Base.Present() {
		t.Errorf("alpha's peers are %+v", peers)
	}
	if len(beta.Input.Peers) != 0 || beta.Input.Targets[0].Base.Present() || beta.Input.Targets[0].BaseSVD.S.Present() || !beta.Input.Targets[0].A.Present() {
		t.Error("beta sees what it was not granted")
	}
	for key, want := range map[string]string{"adapter.digest": digest(binding.Adapter.Digest), "adapter.format": "peft", "base.digest": digest(b.Digest),
		"base.architecture": "LlamaForCausalLM", "init_lora_weights": "gaussian"} {
		if got := beta.Input.Attrs[key]; got != want {
			t.Errorf("attribute %s is %q, want %q", key, got, want)
		}
	}
}

func TestVerdicts(t *testing.T) {
	b := testBase(t)
	binding := bound(t, b, testAdapter(t, qProj, vProj))
	denies := sizesOf(1, 2)
	denies.Findings = []sandbox.Finding{{Target: 0, Severity: abi.Deny, Code: "BROKEN", Message: "broken"}}
	halfway := sizesOf(1, 2)
	halfway.Status, halfway.Error, halfway.Findings = sandbox.Timeout, "killed after 77 ms", denies.Findings
	failed := func(status sandbox.Status) sandbox.Result { return sandbox.Result{Status: status, Error: "why"} }
	swap := func(from, to string) string { return strings.Replace(twoModules, from, to, 1) }
	for _, c := range []struct {
		name        string
		policy      string
		alpha, beta sandbox.Result
		want        report.Verdict
		codes       string // of findings of severity deny
	}{
		{"admitted", twoModules, sizesOf(1, 2), sandbox.Result{Status: sandbox.OK}, report.Admit, ""},
		{"a rule denies", twoModules, sizesOf(1, 20), sandbox.Result{Status: sandbox.OK}, report.Deny, "TOO_BIG"},
		{"a module proposes to deny", twoModules, denies, sandbox.Result{Status: sandbox.OK}, report.Deny, "BROKEN DIAGNOSTIC_DENIES"},
		{"a module fails", twoModules, sizesOf(1, 2), failed(sandbox.Trap), report.Inconclusive, "MODULE_FAILED"},
		{"certain denial beside a failure", twoModules, sizesOf(1, 20), failed(sandbox.Memory), report.Deny, "MODULE_FAILED TOO_BIG"},
		{"the module with the numbers fails", twoModules, failed(sandbox.WorkerDied), sandbox.Result{Status: sandbox.OK}, report.Inconclusive,
			"MODULE_FAILED"},
		{"half a result is none", twoModules, halfway, sandbox.Result{Status: sandbox.OK}, report.Inconclusive, "MODULE_FAILED"},
		{"no numbers from a module that ended", twoModules, sandbox.Result{Status: sandbox.OK}, sandbox.Result{Status: sandbox.OK}, report.Deny, "POLICY_RULE"},
		{"a module fails with its own code", twoModules, sizesOf(1, 2), sandbox.Result{Status: sandbox.GuestError, Code: 7}, report.Inconclusive, "MODULE_FAILED"},
		{"a status nobody knows", twoModules, sizesOf(1, 2), sandbox.Result{Status: "fine"}, report.Inconclusive, "MODULE_FAILED"},
		{"a module is not installed", swap("id: beta", "id: delta"), sizesOf(1, 2), sandbox.Result{}, report.Inconclusive, "MODULE_FAILED"},
		{"a module is another build", swap("id: beta", "id: beta, sha256: \""+strings.Repeat("0", 64)+"\""), sizesOf(1, 2), sandbox.Result{}, report.Inconclusive,
			"MODULE_FAILED"},
		{"a module is the pinned build", swap("id: beta", fmt.Sprintf("id: beta, sha256: \"%x\"", module("beta", 0).SHA256)), sizesOf(1, 2),
			sandbox.Result{Status: sandbox.OK}, report.Admit, ""},
		{"a parameter is misspelt", swap("id: beta", "id: beta, params: {detph: 1}"), sizesOf(1, 2), sandbox.Result{}, report.Inconclusive, "MODULE_FAILED"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newGate(t, c.policy, &fakeRunner{results: map[string]sandbox.Result{"alpha": c.alpha, "beta": c.beta}})
			r, err := g.Check(t.Context(), Subject{Binding: binding})
			if err != nil {
				t.Fatal(err)
			}
			var codes []string
			for _, f := range r.Findings {
				if f.Severity == report.DenySeverity {
					codes = append(codes, f.Code)
				}
			}
			if r.Verdict != c.want || strings.Join(codes, " ") != c.codes {
				t.Errorf("verdict %s with %v, want %s with %s", r.Verdict, codes, c.want, c.codes)
			}
			var out bytes.Buffer
			if err := report.JSON(&out, r); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestReportsAreTheSame(t *testing.T) {
	b := testBase(t)
	binding := bound(t, b, testAdapter(t, qProj, vProj))
	g := newGate(t, twoModules, &fakeRunner{results: map[string]sandbox.Result{"alpha": sizesOf(1, 20)}})
	var first string
	for range 5 {
		r, err := g.Check(t.Context(), Subject{Binding: binding})
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := report.JSON(&out, r); err != nil {
			t.Fatal(err)
		}
		if first == "" {
			first = out.String()
		} else if out.String() != first {
			t.Fatal("two checks of the same bytes differ")
		}
	}
}

func TestCheckIsCanceled(t *testing.T) {
	b := testBase(t)
	binding := bound(t, b, testAdapter(t, qProj))
	ctx, cancel := context.WithCancel(t.Context())
	g := newGate(t, twoModules, &fakeRunner{during: func(worker.Job) { cancel() }})
	for range 2 { // while a module runs, and before anything
		_, err := g.Check(ctx, Subject{Binding: binding})
		if !errors.Is(err, context.Canceled) || fault.ClassOf(err) != fault.Operational {
			t.Errorf("got %v", err)
		}
	}
}

func TestRefused(t *testing.T) {
	b := testBase(t)
	dir := testAdapter(t, qProj, "model.layers.7.self_attn.v_proj")
	binding, err := adapter.Load(dir, b)
	if err == nil {
		t.Fatal("the adapter fits")
	}
	if binding != nil && binding.Adapter != nil {
		defer binding.Adapter.Close()
	}
	g := newGate(t, twoModules, &fakeRunner{})
	r := g.Refused(dir, b, binding, err)
	if r.Verdict != report.Deny || r.Adapter.Ref != dir || r.Base.DType != "F32" || r.Policy.Name != "test" || len(r.Modules) != 0 {
		t.Errorf("report %+v", r)
	}
	if len(r.Findings) < 1 || r.Findings[0].Severity != report.DenySeverity || !strings.Contains(r.Findings[0].Message, "layers.7") || r.Findings[0].Hint == "" {
		t.Errorf("findings %+v", r.Findings)
	}
	if r.Coverage.Rejected == 0 {
		t.Errorf("coverage %+v", r.Coverage)
	}

	nothing := g.Refused("ref", b, nil, fault.List{fault.New(fault.ADConfig, "empty").In("adapter_config.json").Fix("write it"), fault.New(fault.STEmpty, "empty").Of("x")})
	if nothing.Adapter.Ref != "ref" || nothing.Adapter.Digest != "" || len(nothing.Findings) != 2 {
		t.Errorf("report %+v", nothing)
	}
	if f := nothing.Findings[0]; f.Code != "AD_CONFIG" || f.Message != "adapter_config.json: empty" || f.Hint != "write it" {
		t.Errorf("finding %+v", f)
	}
	if unknown := g.Refused("ref", nil, nil, errors.New("something else")); len(unknown.Findings) != 1 || unknown.Verdict != report.Deny {
		t.Errorf("report %+v", unknown)
	}
}
