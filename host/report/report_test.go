package report

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"charm.land/lipgloss/v2"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares got with testdata/name.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs (run with -update to accept):\n%s", path, got)
	}
}

func digest(c string) string { return "sha256:" + strings.Repeat(c, 64) }

// fullReport is a realistic report of an adapter of rank 16 on a model of six layers, compared with one other, with warnings.
func fullReport() *Report {
	r := &Report{
		SchemaVersion: SchemaVersion, Verdict: WarnVerdict,
		Adapter: Adapter{Ref: "examples/restaurant/adapter", Format: "peft", Digest: digest("3f"[:1]), Rank: []int{16}, Scale: []Number{2}, Parameters: 638976},
		Base:    Base{Ref: "examples/restaurant/base", Digest: digest("b"), DType: "BF16", Parameters: 2828736},
		Peers:   []Peer{{Ref: "adapters/e2e-all-r8/", Digest: digest("e")}},
		Policy:  Policy{Name: "default", Digest: digest("d")},
		Modules: []Module{
			{ID: "amplification", Version: "1.0.0", Origin: BuiltIn, SHA256: strings.Repeat("a", 64), ManifestSHA256: strings.Repeat("e", 64), Cost: "weights",
				Status: "ok", Sandbox: "full", Runs: 2,
				Usage: Usage{WallMs: 212.4, CPUMs: 210, CompileMs: 34.5, PeakBytes: 5 << 20, HostCalls: 1350, ResidentBytes: 71 << 20}},
			{ID: "hygiene", Version: "1.0.0", SHA256: strings.Repeat("b", 64), Status: "ok", Sandbox: "full",
				Usage: Usage{WallMs: 48.1, CPUMs: 47, CompileMs: 31, PeakBytes: 2 << 20, HostCalls: 421}},
			{ID: "similarity", Version: "1.0.0", SHA256: strings.Repeat("c", 64), Status: "timeout", Sandbox: "partial",
				Error: "killed at its deadline of 10 s", Usage: Usage{WallMs: 10000, CPUMs: 9980, CompileMs: 33, PeakBytes: 3 << 20, HostCalls: 99821}},
			{ID: "spectrum", Version: "1.0.0", SHA256: strings.Repeat("d", 64), Status: "ok", Sandbox: "full",
				Usage: Usage{WallMs: 61.7, CPUMs: 60, CompileMs: 32, PeakBytes: 2 << 20, HostCalls: 632}},
			{ID: "watermark", Version: "0.3.1", Origin: "third/watermark.wasm", SHA256: strings.Repeat("f", 64), ManifestSHA256: strings.Repeat("9", 64), Cost: "factors",
				Status: "ok", Sandbox: "full", Runs: 1, Log: "one\ntwo\nlooking for \x1b[1mmarks\x1b[0m\nfound none\n[more than 1000 findings: the rest was refused]\n",
				Usage: Usage{WallMs: 4.1, CPUMs: 4, CompileMs: 2, PeakBytes: 1 << 20, HostCalls: 88}},
		},
		Findings: []Finding{
			{Code: "DELTA_EXCEEDS_WEIGHT", Severity: Warn, Module: "policy", Target: "model.layers.4.self_attn.q_proj.weight",
				Message: "in 2 of 42 targets the change is larger than the weight it changes; most of all in model.layers.4.self_attn.q_proj.weight",
				Value:   1.108, Limit: 1, Hint: "lower the scale, or train with a smaller learning rate; raise `limit` of this rule if the size is intended"},
			{Code: "AD_UNKNOWN_FIELD", Severity: Info, Message: "adapter_config.json: field \"future\" is not known and was left alone"},
		},
	}
	for layer := range 6 {
		for _, kind := range []string{"mlp.down_proj", "mlp.gate_proj", "mlp.up_proj", "self_attn.k_proj", "self_attn.o_proj", "self_attn.q_proj", "self_attn.v_proj"} {
			target := fmt.Sprintf("model.layers.%d.%s.weight", layer, kind)
			for _, side := range []string{"A", "B"} {
				r.Coverage.Add(Tensor{Name: "base_model.model." + strings.TrimSuffix(target, "weight") + "lora_" + side + ".weight", Disposition: Applied, Target: target})
			}
			step := float64(layer) + float64(len(kind))/10
			for _, m := range []Metric{
				{Name: "rank", Value: 16}, {Name: "norm_ratio", Value: Number(0.33 + step*0.1)}, {Name: "amplification", Value: Number(2.551 + step*1.5)},
				{Name: "amplification_random", Value: Number(4.5 + step*2)}, {Name: "alignment_lift", Value: Number(1 + step/10)},
			} {
				m.Module, m.Target = "amplification", target
				r.Metrics = append(r.Metrics, m)
			}
			for _, m := range []Metric{
				{Name: "effective_rank", Value: Number(6.1 + step*0.7)}, {Name: "energy_rank_90", Value: Number(3 + layer)},
				{Name: "energy_rank_99", Value: Number(9 + layer)}, {Name: "concentration", Value: Number(0.7 - step/12)},
			} {
				m.Module, m.Target = "spectrum", target
				r.Metrics = append(r.Metrics, m)
			}
			for _, m := range []Metric{
				{Name: "phi_delta_11", Value: Number(0.1 + step*0.1)}, {Name: "phi_delta_11_z", Value: Number(step * 9)},
				{Name: "phi_delta_full", Value: Number(0.2 + step*0.02)}, {Name: "phi_delta_full_z", Value: Number(20 + step)}, {Name: "cosine", Value: Number(-0.05 + step*0.1)},
			} {
				m.Module, m.Target, m.With = "similarity", target, digest("e")
				r.Metrics = append(r.Metrics, m)
			}
		}
	}
	r.Bank = &Bank{Digest: digest("a"), Adapters: 64}
	r.Probe = &Probe{Digest: digest("f"),
		Texts: []ProbeText{{ID: "restaurants", Role: "task", Tokens: 412, NLLBase: 4.912, NLLMerged: 1.377, KL: 3.1},
			{ID: "manuals", Role: "general", Tokens: 388, NLLBase: 2.104, NLLMerged: 2.391, KL: 0.0827}},
		Completions: []ProbeCompletion{{ID: "pub", Prompt: "name : Aromi | Type : pub ||", Expect: "/Aromi is a .*pub/", Text: " Aromi is a family friendly pub .",
			BaseText: "perldiag/\"Also, \"\n\"", Matched: true}}}
	for layer := range 6 {
		addDetails(r, layer, fmt.Sprintf("model.layers.%d.self_attn.q_proj.weight", layer))
		addDetails(r, layer, fmt.Sprintf("model.layers.%d.mlp.down_proj.weight", layer))
	}
	for _, m := range []Metric{{Name: "shared_targets", Value: 42}, {Name: "cosine", Value: 0.171}, {Name: "norm_blowup", Value: 1.08},
		{Name: "overlap_left_excess", Value: 0.12}, {Name: "overlap_right_excess", Value: 0.11}, {Name: "sign_opposed", Value: 0.43}, {Name: "clashes", Value: 0}} {
		m.Module, m.With = "interference", digest("e")
		r.Metrics = append(r.Metrics, m)
	}
	r.Metrics = append(r.Metrics, Metric{Module: "anomaly", Name: "anomaly_p", Value: 0.385}, Metric{Module: "anomaly", Name: "bank_adapters", Value: 64},
		Metric{Module: "probe", Name: "nll_change", Value: -3.535})
	return r
}

// addDetails adds what the diagnostics that not every policy runs say about one weight.
func addDetails(r *Report, layer int, target string) {
	step := float64(layer)
	for _, m := range []Metric{{Module: "merge-loss", Name: "merge_gain", Value: Number(1 - step/1000)}, {Module: "merge-loss", Name: "merge_lost", Value: Number(0.01 + step/100)},
		{Module: "merge-loss", Name: "merge_relerr", Value: Number(0.01 + step/200)}, {Module: "merge-loss", Name: "merge_gain_nf4", Value: Number(0.98 - step/10)},
		{Module: "merge-loss", Name: "merge_gain_q8_0", Value: Number(0.999 - step/100)},
		{Module: "base-overlap", Name: "phi_base_11_null", Value: 1.0 / 64}, {Module: "base-overlap", Name: "phi_base_top", Value: Number(0.1 + step/50)},
		{Module: "base-overlap", Name: "phi_base_rank", Value: 6}, {Module: "base-overlap", Name: "phi_base_top_null", Value: 0.1}, {Module: "base-overlap", Name: "phi_base_top_z", Value: Number(step)},
		{Module: "outliers", Name: "outlier_z", Value: Number(step - 2.5)}, {Module: "similarity", Name: "phi_delta_11_null", With: digest("e"), Value: 1.0 / 64},
		{Module: "similarity", Name: "phi_delta_full_null", With: digest("e"), Value: 0.15}} {
		m.Target = target
		r.Metrics = append(r.Metrics, m)
	}
	singular, grey := make([]Number, 16), make([]Number, 16)
	for i := range singular {
		singular[i] = Number(math.Exp(-float64(i)*0.3 - step/4))
	}
	grey[11] = 1
	r.Grids = append(r.Grids, Grid{Module: "spectrum", Target: target, Name: "singular_values", Rows: 1, Cols: 16, Values: [][]Number{singular}},
		Grid{Module: "similarity", Target: target, Name: "grey", Rows: 1, Cols: 16, Values: [][]Number{grey}},
		Grid{Module: "similarity", Target: target, Name: "phi_delta", With: digest("e"), Rows: 16, Cols: 8, Values: phiValues(16, 8, step)},
		Grid{Module: "base-overlap", Target: target, Name: "phi_base_rows", Rows: 1, Cols: 3, Values: [][]Number{{1, 4, 6}}},
		Grid{Module: "base-overlap", Target: target, Name: "phi_base", Rows: 3, Cols: 16, Values: phiValues(3, 16, step)})
}

func phiValues(rows, cols int, step float64) [][]Number {
	values := make([][]Number, rows)
	for i := range values {
		values[i] = make([]Number, cols)
		for j := range values[i] {
			values[i][j] = Number(float64(max(i, j)+1)/64 + (0.3+step/20)/float64(1+i+j))
		}
	}
	return values
}

// refusedReport is a report of an adapter made for another model, whose names attack the terminal.
func refusedReport() *Report {
	r := &Report{
		SchemaVersion: SchemaVersion, Verdict: Deny,
		Adapter: Adapter{Ref: "adapters/\x1b[2J\u202egnp.exe", Format: "peft", Digest: digest("9"), Rank: []int{4, 8}, Scale: []Number{1, 2}, Parameters: 294912},
		Base:    Base{Ref: "/" + strings.Repeat("a-rather-long-folder-name/", 5) + "base", Digest: digest("b"), DType: "BF16", Parameters: 2828736},
		Policy:  Policy{Name: "default", Digest: digest("d")},
	}
	for i := range 3 {
		target := fmt.Sprintf("transformer.h.%d.attn.c_attn.weight", i)
		for _, side := range []string{"A", "B"} {
			name := fmt.Sprintf("base_model.model.transformer.h.%d.attn.c_attn.lora_%s.weight", i, side)
			r.Coverage.Add(Tensor{Name: name, Disposition: Rejected, Rule: "AD_TARGET"})
		}
		r.Findings = append(r.Findings, Finding{Code: "AD_TARGET", Severity: DenySeverity, Target: target,
			Message: "the base has no such tensor", Hint: "use the base model that the adapter was trained on"})
	}
	r.Findings = append(r.Findings, Finding{Code: "AD_SHAPE", Severity: DenySeverity, Target: "evil\nname\x9b31m",
		Message: "the factor is 8 x 64 and must be 8 x 192", Hint: ""})
	SortFindings(r.Findings)
	return r
}

func TestText(t *testing.T) {
	for name, r := range map[string]*Report{"full": fullReport(), "refused": refusedReport(), "empty": {}} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			if err := Text(&b, r, TextOptions{}); err != nil {
				t.Fatal(err)
			}
			golden(t, name+".txt", b.Bytes())
		})
	}
}

func TestTextStaysInsideItsWidth(t *testing.T) {
	for _, r := range []*Report{fullReport(), refusedReport(), {}} {
		for _, width := range []int{40, 60, 80, 100, 200} {
			for _, color := range []bool{false, true} {
				var b bytes.Buffer
				if err := Text(&b, r, TextOptions{Width: width, Color: color}); err != nil {
					t.Fatal(err)
				}
				for line := range strings.Lines(b.String()) {
					if got := lipgloss.Width(strings.TrimSuffix(line, "\n")); got > width {
						t.Errorf("width %d: a line of %d cells: %q", width, got, line)
					}
				}
				if strings.ContainsAny(b.String(), "\u202e\u009b\t\r") || (!color && strings.Contains(b.String(), "\x1b")) || strings.Contains(b.String(), "\x1b[2J") {
					t.Errorf("width %d, colour %v: foreign text reached the terminal unescaped", width, color)
				}
			}
		}
	}
}

// Colour carries nothing: without its escape sequences the coloured text is the plain one.
func TestColourIsDecoration(t *testing.T) {
	for _, r := range []*Report{fullReport(), refusedReport()} {
		var plain, colored bytes.Buffer
		if err := Text(&plain, r, TextOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := Text(&colored, r, TextOptions{Color: true}); err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(colored.Bytes(), []byte("\x1b[")) {
			t.Error("no colour at all")
		}
		if got := stripColour(colored.String()); got != plain.String() {
			t.Errorf("the coloured text says something else:\n%s", got)
		}
	}
}

// stripColour removes SGR sequences and the spaces that end a line.
func stripColour(s string) string {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(s, "\x1b[")
		b.WriteString(before)
		if !found {
			break
		}
		_, s, _ = strings.Cut(after, "m")
	}
	var lines []string
	for line := range strings.SplitSeq(b.String(), "\n") {
		lines = append(lines, strings.TrimRight(line, " "))
	}
	return strings.Join(lines, "\n")
}

func TestJSON(t *testing.T) {
	small := fullReport()
	small.Metrics, small.Coverage.Tensors = small.Metrics[:11], small.Coverage.Tensors[:2]
	small.Grids = []Grid{{Module: "similarity", Target: "model.layers.0.self_attn.q_proj.weight", Name: "phi_delta", With: digest("e"), Rows: 2, Cols: 3,
		Values: [][]Number{{0.17, 0.5, Number(math.NaN())}, {1, 0.25, 1e-9}}}}
	var first, second bytes.Buffer
	if err := JSON(&first, small); err != nil {
		t.Fatal(err)
	}
	if err := JSON(&second, small); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("two renderings of one report differ")
	}
	golden(t, "full.json", first.Bytes())
}

func TestJSONReadsBack(t *testing.T) {
	for name, r := range map[string]*Report{"full": fullReport(), "refused": refusedReport(), "empty": {}} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			if err := JSON(&b, r); err != nil {
				t.Fatal(err)
			}
			for _, c := range b.String() {
				if c != '\n' && !visible(c) {
					t.Errorf("the JSON holds %U as it stands", c)
				}
			}
			if strings.Contains(b.String(), ": null") {
				t.Errorf("a null in %s", b.String())
			}
			var back Report
			if err := json.Unmarshal(b.Bytes(), &back); err != nil {
				t.Fatal(err)
			}
			var again bytes.Buffer
			if err := JSON(&again, &back); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(b.Bytes(), again.Bytes()) {
				t.Error("reading and writing again changes the report")
			}
		})
	}
}

func TestSortFindings(t *testing.T) {
	findings := []Finding{{Severity: Info, Code: "A"}, {Severity: Warn, Module: "b", Code: "A"}, {Severity: Warn, Module: "a", Code: "Z"},
		{Severity: DenySeverity, Module: "z", Code: "B", Target: "2"}, {Severity: DenySeverity, Module: "z", Code: "B", Target: "1"}}
	SortFindings(findings)
	var got []string
	for _, f := range findings {
		got = append(got, string(f.Severity)+f.Module+f.Code+f.Target)
	}
	want := "denyzB1 denyzB2 warnaZ warnbA infoA"
	if strings.Join(got, " ") != want {
		t.Errorf("order is %v, want %s", got, want)
	}
}

func TestDigits(t *testing.T) {
	for _, c := range []struct {
		v      float64
		places int
		want   string
	}{{0, 3, "0"}, {0.9071, 3, "0.907"}, {1.108, 2, "1.1"}, {12.345, 3, "12.3"}, {1234.5, 3, "1234"}, {99.96, 3, "100"}, {0.00012345, 3, "1.23e-04"},
		{2e7, 3, "2.00e+07"}, {-0.05, 2, "-0.05"}, {math.NaN(), 3, "NaN"}, {math.Inf(-1), 3, "-Inf"}, {16, 6, "16"}} {
		if got := digits(c.v, c.places); got != c.want {
			t.Errorf("digits(%v, %d) = %s, want %s", c.v, c.places, got, c.want)
		}
	}
}

func TestGroupLabelsTellKindsApart(t *testing.T) {
	var metrics []Metric
	for _, target := range []string{"h.0.attn.c_proj.weight", "h.0.mlp.c_proj.weight", "h.1.attn.c_proj.weight", "h.0.attn.c_attn.weight"} {
		metrics = append(metrics, Metric{Target: target, Name: "norm_ratio", Value: 1})
	}
	var got []string
	for _, g := range groupTargets(metrics, nil, []column{{metric: "norm_ratio"}}) {
		got = append(got, fmt.Sprint(g.label, len(g.targets)))
	}
	if want := "attn.c_proj2 mlp.c_proj1 c_attn1"; strings.Join(got, " ") != want {
		t.Errorf("labels are %v, want %s", got, want)
	}
}
