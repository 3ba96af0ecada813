package sweep

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/report"
)

// checked is a report on an adapter of a rank, with numbers that follow from it.
func checked(name string, rank int) *report.Report {
	r := &report.Report{Verdict: report.Admit, Base: report.Base{Ref: "base", Digest: "sha256:b"},
		Adapter: report.Adapter{Ref: "some/where/" + name, Digest: "sha256:" + name, Rank: []int{rank}}}
	for layer := range 3 {
		for i, kind := range []string{"q_proj", "v_proj"} {
			target := fmt.Sprintf("model.layers.%d.self_attn.%s.weight", layer, kind)
			for n, m := range Measures() {
				value := float64(100*n+10*i+layer) / float64(rank)
				if kind == "v_proj" && m.Metric == "alignment_lift" && layer == 2 {
					value = math.NaN()
				}
				r.Metrics = append(r.Metrics, report.Metric{Module: "x", Target: target, Name: m.Metric, Value: report.Number(value)})
			}
			r.Metrics = append(r.Metrics, report.Metric{Target: target, Name: "other", Value: 1},
				report.Metric{Target: target, Name: "norm_ratio", With: "sha256:peer", Value: 77})
		}
	}
	return r
}

func results(t *testing.T, text string) *Evaluation {
	t.Helper()
	e := &Evaluation{}
	if err := e.parse("results", "", []byte(text)); err != nil {
		t.Fatal(err)
	}
	return e
}

func made(t *testing.T, evaluation *Evaluation, reports ...*report.Report) *Sweep {
	t.Helper()
	s, err := New(reports, evaluation)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestMedians(t *testing.T) {
	s := made(t, nil, checked("r4", 4), checked("r1", 1))
	if s.Runs[0].Name != "r1" || s.Runs[1].Rank != 4 || len(s.Runs[0].Kinds) != 2 {
		t.Fatalf("%+v", s.Runs)
	}
	q, v := s.Runs[0].Kinds[0], s.Runs[0].Kinds[1]
	if q.Label != "q_proj" || q.Weights != 3 || q.Medians["norm_ratio"] != 1 || q.Medians["amplification"] != 101 {
		t.Errorf("%+v", q)
	}
	if v.Label != "v_proj" || v.Weights != 3 || v.Medians["alignment_lift"] != 310.5 { // of 310 and 311; the third is NaN
		t.Errorf("%+v", v)
	}
	if _, ok := q.Medians["other"]; ok {
		t.Error("a metric nobody asked for")
	}
}

func TestSameAdapterTwice(t *testing.T) {
	again := checked("a", 4)
	again.Adapter.Ref = "else/where"
	if _, err := New([]*report.Report{checked("a", 4), again}, nil); fault.ClassOf(err) != fault.Usage {
		t.Errorf("%v", err)
	}
	other := checked("a", 4)
	other.Adapter.Ref, other.Adapter.Digest = "else/a", "sha256:else"
	if s := made(t, nil, checked("a", 4), other); s.Runs[0].Name != "some/where/a" || s.Runs[1].Name != "else/a" {
		t.Errorf("two of one name are called %q and %q", s.Runs[0].Name, s.Runs[1].Name)
	}
}

func TestChoose(t *testing.T) {
	yes, no := true, false
	for _, c := range []struct {
		title, results string
		q              Question
		rank, best     int
		noise          bool
		said           string
	}{
		{"smallest within 1 %", `{"a": {"val_loss": 4}, "b": {"val_loss": 3.02}, "c": {"val_loss": 3.0}}`, Question{Tolerance: 0.01}, 2, 4, false, "no error bars"},
		{"no tolerance", `{"a": {"val_loss": 4}, "b": {"val_loss": 3.02}, "c": {"val_loss": 3.0}}`, Question{}, 4, 4, false, "it has the best"},
		{"higher is better", `{"a": {"bleu": 0.70}, "b": {"bleu": 0.6}, "c": {"bleu": 0.704}}`, Question{Tolerance: 0.01}, 1, 4, false, "rank 1"},
		{"by rank", "rank,val_loss\n1,5\n2,3\n4,4\n", Question{Tolerance: 0.01}, 2, 2, false, "no smaller rank"},
		{"by another", `{"a": {"val_loss": 4, "bleu": 0.9}, "b": {"val_loss": 3, "bleu": 0.8}, "c": {}}`, Question{By: "bleu", Tolerance: 0.01}, 1, 1, false,
			"without a result: c"},
		{"told", `{"a": {"mine": 4}, "b": {"mine": 3}}`, Question{By: "mine", Higher: &no}, 2, 2, false, "mine"},
		{"told the other way", `{"a": {"val_loss": 4}, "b": {"val_loss": 3}}`, Question{Higher: &yes}, 1, 1, false, "4.000"},
		{"seeds differ more than 1 %", `{"a": {"val_loss": 3.2}, "c": {"val_loss": 3.0}, "c2": {"val_loss": 3.1}, "b": {"val_loss": 3.14}}`,
			Question{Tolerance: 0.01}, 2, 4, false, "as good as the best within what seeds differ by"},
		{"noise", `{"a": {"val_loss": 3.05}, "b": {"val_loss": 3.02}, "c": {"val_loss": 3.0}, "c2": {"val_loss": 3.1}}`,
			Question{Tolerance: 0.01}, 1, 2, true, "within noise"},
		{"a tie", `{"a": {"val_loss": 3}, "b": {"val_loss": 3}}`, Question{}, 1, 1, false, "rank 1"},
	} {
		t.Run(c.title, func(t *testing.T) {
			s := made(t, results(t, c.results), checked("a", 1), checked("b", 2), checked("c", 4))
			if strings.Contains(c.results, "c2") {
				s = made(t, results(t, c.results), checked("a", 1), checked("b", 2), checked("c", 4), checked("c2", 4))
			}
			choice, reason, err := s.Choose(c.q)
			if err != nil || choice == nil {
				t.Fatalf("%v %s", err, reason)
			}
			said := strings.Join(choice.Sentences(), " ")
			if choice.Rank != c.rank || choice.Best != c.best || choice.WithinNoise != c.noise || !strings.Contains(said, c.said) {
				t.Errorf("%+v\n%s", choice, said)
			}
			if strings.Contains(c.results, "c2") == strings.Contains(said, "no error bars") {
				t.Errorf("error bars: %s", said)
			}
		})
	}
}

func TestNothingToChoose(t *testing.T) {
	for text, want := range map[string]string{"": "nothing says how good", `{"a": {"mine": 4}}`: "is a metric that is known",
		`{"a": {"val_loss": 4}}`: "one rank only"} {
		var e *Evaluation
		if text != "" {
			e = results(t, text)
		}
		s := made(t, e, checked("a", 1), checked("b", 2))
		if choice, reason, err := s.Choose(Question{}); choice != nil || err != nil || !strings.Contains(reason, want) {
			t.Errorf("%s: %+v, %q, %v", text, choice, reason, err)
		}
	}
	s := made(t, results(t, `{"a": {"mine": 4}, "b": {"mine": 4}}`), checked("a", 1), checked("b", 2))
	for _, q := range []Question{{By: "yours"}, {By: "mine"}, {Tolerance: -1}, {Tolerance: math.NaN()}} {
		if _, _, err := s.Choose(q); fault.ClassOf(err) != fault.Usage {
			t.Errorf("%+v: %v", q, err)
		}
	}
}

// TestText looks at the page: it fits, and the amplification never stands without its null.
func TestText(t *testing.T) {
	long := checked("a-name-that-is-far-too-long-for-a-column-of-a-table\x1b[31m", 16)
	s := made(t, results(t, "adapter,val_loss,bleu,nist,cider,rouge_l\na,3.1,0.7,8,2,0.6\nb,3.0,0.7,8,2,\n"), checked("a", 1), checked("b", 4),
		checked("b2", 4), long)
	for metric := range s.Runs[0].Kinds[0].Medians {
		s.Runs[0].Kinds[0].Medians[metric] *= 1e-9 // numbers as wide as they get
	}
	choice, reason, err := s.Choose(Question{Tolerance: 0.01})
	if err != nil {
		t.Fatal(err)
	}
	var page bytes.Buffer
	if err := s.Text(&page, choice, reason); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"RANK  rank 4", "amplif.  random", "both fall as the rank grows", "these 2 differ by", "without a result", "\nq_proj  median over 3"} {
		if !strings.Contains(strings.ReplaceAll(page.String(), "\n      ", " "), want) && !strings.Contains(strings.Join(strings.Fields(page.String()), " "), want) {
			t.Errorf("it does not say %q", want)
		}
	}
	for line := range strings.Lines(page.String()) {
		if len([]rune(line)) > width+1 || strings.ContainsRune(line, '\x1b') {
			t.Errorf("the line does not fit: %q", line)
		}
	}
	if t.Failed() {
		t.Log("\n" + page.String())
	}
}

func TestExports(t *testing.T) {
	s := made(t, results(t, "adapter,val_loss\na,3.1\n"), checked("a", 1), checked("b", 4))
	var table, document bytes.Buffer
	if err := s.CSV(&table); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(table.String()), "\n")
	if len(lines) != 3 || !strings.HasPrefix(lines[0], "adapter,digest,rank,q_proj.norm_ratio,q_proj.amplification,q_proj.amplification_random") ||
		!strings.HasPrefix(lines[1], "a,sha256:a,1,1,101,201,301,401,11,") || !strings.HasSuffix(lines[1], ",3.1") || !strings.HasSuffix(lines[2], ",") {
		t.Errorf("%s", table.String())
	}
	choice, reason, err := s.Choose(Question{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.JSON(&document, choice, reason, []string{"a.svg"}); err != nil {
		t.Fatal(err)
	}
	var d map[string]any
	if err := json.Unmarshal(document.Bytes(), &d); err != nil {
		t.Fatal(err)
	}
	if d["schemaVersion"] != Schema || d["choice"] != nil || d["reason"] == nil || len(d["runs"].([]any)) != 2 {
		t.Errorf("%s", document.String())
	}
	if panels := s.Figure().Panels; len(panels) != 5 {
		t.Errorf("%d panels", len(panels))
	}
	if _, err := s.Figure().PNG(); err != nil || len(s.Figure().SVG()) == 0 {
		t.Errorf("%v", err)
	}
}

func TestPolicyLoads(t *testing.T) {
	var ids []string
	for _, m := range Policy().Modules {
		ids = append(ids, m.ID)
	}
	if !slices.Equal(ids, []string{"amplification", "spectrum"}) {
		t.Errorf("%v", ids)
	}
}

func TestReadFiles(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "training.json")
	if err := os.WriteFile(path, []byte(`{"a": {"val_loss": 3}}`), 0o644); err != nil {
		t.Fatal(err)
	}
	e := &Evaluation{}
	if err := e.Read(path, ""); err != nil || len(e.records) != 1 {
		t.Errorf("%v", err)
	}
	if err := e.Read(filepath.Join(dir, "nowhere"), ""); fault.ClassOf(err) != fault.Operational {
		t.Errorf("%v", err)
	}
	if err := e.Read(dir, ""); fault.ClassOf(err) != fault.Operational {
		t.Errorf("%v", err)
	}
}
