package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tenon-ml/tenon/host/probe"
	"github.com/tenon-ml/tenon/host/report"
	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/wasm/sandbox"
	"github.com/tenon-ml/tenon/wasm/worker"
)

func TestProbeFilesLoad(t *testing.T) {
	for _, path := range []string{factsProbe, exampleProbe} {
		f, err := probe.Load(filepath.Join("../..", path))
		if err != nil {
			t.Fatal(err)
		}
		for _, role := range []string{probe.Task, probe.General} {
			n := 0
			for _, text := range f.Texts {
				if text.Role == role {
					n++
				}
			}
			if n < 4 {
				t.Errorf("%s has %d texts of role %s, and the bench asks 4", path, n, role)
			}
		}
	}
}

// A probe file with likelihoods has the first texts of each role, and everything it had before.
func TestWriteProbe(t *testing.T) {
	whole, err := probe.Load(filepath.Join("../..", exampleProbe))
	if err != nil {
		t.Fatal(err)
	}
	answer := &report.Probe{}
	for i, text := range whole.Texts {
		answer.Texts = append(answer.Texts, report.ProbeText{ID: text.ID, NLLMerged: report.Number(float64(i) + 1./3)})
	}
	path := filepath.Join(t.TempDir(), "probe.yaml")
	if err := writeProbe(path, whole, 2, answer); err != nil {
		t.Fatal(err)
	}
	cut, err := probe.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(cut.Texts) != 4 || len(cut.Completions) != len(whole.Completions) {
		t.Fatalf("%d texts and %d completions, want 4 and %d", len(cut.Texts), len(cut.Completions), len(whole.Completions))
	}
	for _, text := range cut.Texts {
		for i, old := range whole.Texts {
			if old.ID != text.ID {
				continue
			}
			if old.Prompt != text.Prompt || old.Text != text.Text || old.Role != text.Role || *text.Expected != float64(i)+1./3 {
				t.Errorf("%s became %+v", text.ID, text)
			}
		}
	}
	got := expecting(answer, cut)
	for _, text := range got.Texts {
		known := text.NLLExpected != nil
		if asked := slices.ContainsFunc(cut.Texts, func(c probe.Text) bool { return c.ID == text.ID }); known != asked {
			t.Errorf("%s: an expected likelihood is there: %v", text.ID, known)
		}
	}
	if answer.Texts[0].NLLExpected != nil {
		t.Error("the answer itself was changed")
	}
	if err := writeProbe(path, whole, 0, &report.Probe{}); err == nil {
		t.Error("likelihoods of texts that were not asked are written")
	}
}

func TestRewrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "page.md")
	for _, c := range []struct{ before, after string }{
		{"top\n" + begin + end + "rest\n", "top\n" + begin + "\nnew\n\n" + end + "rest\n"},
		{"top\n" + begin + "old\n" + end, "top\n" + begin + "\nnew\n\n" + end},
		{"no marks\n", ""},
		{end + begin, ""},
	} {
		if err := os.WriteFile(path, []byte(c.before), 0o600); err != nil {
			t.Fatal(err)
		}
		err := rewrite(path, []byte("new\n"))
		after, readErr := os.ReadFile(path)
		switch {
		case readErr != nil:
			t.Fatal(readErr)
		case c.after == "" && (err == nil || string(after) != c.before):
			t.Errorf("%q: error %v, and it became %q", c.before, err, after)
		case c.after != "" && (err != nil || string(after) != c.after):
			t.Errorf("%q: error %v, and it became %q, want %q", c.before, err, after, c.after)
		}
	}
}

// counter counts the runs of a module.
type counter struct{ runs atomic.Int64 }

func (c *counter) Run(context.Context, worker.Job) (sandbox.Result, string) {
	return sandbox.Result{Code: int32(c.runs.Add(1))}, worker.Full
}

func TestMemoRunsOnce(t *testing.T) {
	counted := &counter{}
	m := newMemo(counted)
	job := func(id, adapter, peer string) worker.Job {
		j := worker.Job{Manifest: abi.Manifest{ID: id}, Input: sandbox.Input{Attrs: map[string]string{"adapter.digest": adapter}}}
		if peer != "" {
			j.Input.Peers = []sandbox.Peer{{Name: peer}}
		}
		return j
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() { m.Run(t.Context(), job("hygiene", "x", "")) })
	}
	all.Wait()
	for _, other := range []worker.Job{job("spectrum", "x", ""), job("hygiene", "y", ""), job("hygiene", "x", "z")} {
		m.Run(t.Context(), other)
	}
	if got := counted.runs.Load(); got != 4 {
		t.Errorf("%d runs, want 4", got)
	}
}

func TestPrintAll(t *testing.T) {
	good := &subject{name: "good", base: "base", probe: "probe", trained: true, benign: outcomes{
		by:      [arms]outcome{{verdict: report.Admit}, {verdict: report.Admit}, {verdict: report.Admit}},
		numbers: map[string]float64{normRatio: 0.5}}}
	random := &subject{name: "random", base: "base", probe: "probe", benign: outcomes{by: [arms]outcome{{verdict: report.Deny, codes: []string{"AD_ZERO"}}}}}
	found := result{verdict: report.Deny, reasons: []string{"AD_NONFINITE"}}
	missed := result{verdict: report.WarnVerdict, others: []string{"AD_ZERO"}}
	nan, far := fault{kind: "nan", what: "one NaN"}, fault{kind: "negated", what: "negated"}
	trials := []trial{
		{subject: good, fault: nan, results: [arms]result{found, found, found}},
		{subject: good, fault: far, results: [arms]result{missed, missed, found}, numbers: map[string]float64{normRatio: 3}},
		{subject: random, fault: far, results: [arms]result{missed}, unchanged: true},
	}
	var page strings.Builder
	printAll(&page, []*subject{good, random}, []fault{nan, far}, trials, [arms]bool{true, true, true})
	for _, want := range []string{
		"| good | yes | admit | admit | admit |  |", "| random (random numbers) | yes | deny | – | – | AD_ZERO |",
		"0 of 1 trained adapters without a fault are denied",
		"(a) without a probe: 1 of 2 faults are found with the right reason (50 %), 1 of them are denied",
		"(c) with a probe file that records likelihoods: 2 of 2",
		"| `negated` | negated | 0 of 1 (0) | 0 of 1 (0) | 1 of 1 (1) | AD_NONFINITE |",
		"- `negated` in random; told all the same: AD_ZERO", "- `negated` in good; told instead: AD_ZERO",
		"### Missed in arm (c)\n\nNone.", "| no fault | 0.5 … 0.5 |", "| `negated` | 3 … 3 |",
	} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if t.Failed() {
		t.Log(page.String())
	}
}
