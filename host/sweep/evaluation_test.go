package sweep

import (
	"maps"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/report"
)

// TestForms gives the same results in every form that is read.
func TestForms(t *testing.T) {
	for title, c := range map[string]struct{ adapter, text string }{
		"by name":            {"", `{"a": {"val_loss": 3, "bleu": 0.5, "seed": 7, "task": "e2e", "targets": ["q"], "base_loss": 9}, "z": {"x": 1}}`},
		"by rank":            {"", `{"1": {"val_loss": 3, "bleu": 0.5}}`},
		"records":            {"", `[{"adapter": "a", "val_loss": 3, "bleu": 0.5}, {"name": "z", "val_loss": 9}]`},
		"records by rank":    {"", `[{"r": 1, "val_loss": 3, "bleu": 0.5}]`},
		"models":             {"", `[{"adapter": "", "tokens": 9, "metrics": {"val_loss": 8}}, {"adapter": "a", "metrics": {"val_loss": 3, "bleu": 0.5}}]`},
		"by path":            {"", `[{"adapter": "else/where/a", "val_loss": 3, "metrics": {"bleu": 0.5}}]`},
		"an evaluation":      {"a", `{"schemaVersion": "tenon.evaluation/v1", "segments": 2, "references": 3, "val_loss": 3, "metrics": {"bleu": 0.5}}`},
		"a named evaluation": {"", `{"schemaVersion": "tenon.evaluation/v1", "adapter": {"ref": "x/a"}, "metrics": {"bleu": 0.5, "val_loss": 3}}`},
		"evaluations":        {"", `{"a": {"schemaVersion": "tenon.evaluation/v1", "metrics": {"bleu": 0.5, "val_loss": 3}}}`},
		"a table":            {"", "adapter, val_loss ,bleu,seed\na,3,0.5,7\nz,1,,\n"},
		"a table by rank":    {"", "\ufeffRank,val_loss,bleu,note\r\n1,3,0.5,hello\r\n"},
	} {
		t.Run(title, func(t *testing.T) {
			e := &Evaluation{}
			if err := e.parse("f", c.adapter, []byte(c.text)); err != nil {
				t.Fatal(err)
			}
			s := made(t, e, checked("a", 1), checked("b", 2))
			if want := map[string]float64{"val_loss": 3, "bleu": 0.5}; !maps.Equal(s.Runs[0].Evaluation, want) || len(s.Runs[1].Evaluation) != 0 {
				t.Errorf("%v and %v", s.Runs[0].Evaluation, s.Runs[1].Evaluation)
			}
		})
	}
}

func TestRefusedResults(t *testing.T) {
	for title, c := range map[string]struct{ text, says string }{
		"empty":             {"", "empty"},
		"nothing":           {"{}", "no results"},
		"a number":          {"3", "no results"},
		"damaged":           {`{"a": `, "not JSON"},
		"a key twice":       {`{"a": {}, "a": {}}`, "not JSON"},
		"no record":         {`{"val_loss": 3}`, "no object of results"},
		"nobody":            {`[{"val_loss": 3}]`, "neither an adapter nor a rank"},
		"an evaluation":     {`{"schemaVersion": "tenon.evaluation/v1", "metrics": {"bleu": 1}}`, "ADAPTER=FILE"},
		"others":            {`{"x": {"val_loss": 3}}`, "none of these"},
		"two of a rank":     {`{"2": {"val_loss": 3}}`, "could be those of b or of c"},
		"contradiction":     {`[{"adapter": "a", "val_loss": 3}, {"rank": 1, "val_loss": 4}]`, "val_loss of a is 4 here"},
		"a ragged table":    {"adapter,val_loss\na,3,4\n", "damaged"},
		"a column twice":    {"adapter,val_loss,val_loss\na,3,4\n", "twice"},
		"a table of nobody": {"x,val_loss\na,3\n", "line 2"},
	} {
		t.Run(title, func(t *testing.T) {
			e := &Evaluation{}
			err := e.parse("f", "", []byte(c.text))
			if err == nil {
				_, err = New([]*report.Report{checked("a", 1), checked("b", 2), checked("c", 2)}, e)
			}
			if fault.ClassOf(err) != fault.Usage || err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v", err)
			}
			for _, problem := range fault.All(err) {
				if problem.Remedy == "" || problem.File != "f" {
					t.Errorf("no remedy or place: %v", problem)
				}
			}
		})
	}
}

func FuzzEvaluation(f *testing.F) {
	f.Add([]byte(`{"a": {"val_loss": 3, "metrics": {"bleu": 1}}}`))
	f.Add([]byte(`[{"adapter": {"ref": "a"}, "r": 8, "x": 1e300}]`))
	f.Add([]byte("adapter,rank,val_loss\na,8,3\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		e := &Evaluation{}
		if e.parse("f", "", text) != nil {
			return
		}
		for _, r := range e.records {
			if r.name == "" && r.rank == 0 {
				t.Errorf("a record about nobody: %+v", r)
			}
		}
	})
}
