package conformance

import (
	"bytes"
	"fmt"
	"strconv"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/tenon-ml/tenon/wasm/sandbox"
)

// report is a sandbox.Result as the golden files hold it: numbers are text that gives their bits back, and what a run cost is left out.
type report struct {
	Status   sandbox.Status `json:"status"`
	Code     int32          `json:"code"`
	Metrics  []metric       `json:"metrics"`
	Grids    []grid         `json:"grids"`
	Findings []finding      `json:"findings"`
	Log      []string       `json:"log"`
}

type metric struct {
	Target int    `json:"target"`
	Peer   int    `json:"peer"`
	Name   string `json:"name"`
	Value  string `json:"value"`
}

type grid struct {
	Target int      `json:"target"`
	Peer   int      `json:"peer"`
	Name   string   `json:"name"`
	Rows   int      `json:"rows"`
	Cols   int      `json:"cols"`
	Values []string `json:"values"`
}

type finding struct {
	Target   int    `json:"target"`
	Severity int32  `json:"severity"`
	Code     string `json:"code"`
	Message  string `json:"message"`
	Hint     string `json:"hint"`
	Value    string `json:"value"`
	Limit    string `json:"limit"`
}

// number is the shortest text that reads back as the same f64; every NaN is "NaN".
func number(value float64) string { return strconv.FormatFloat(value, 'g', -1, 64) }

func reportOf(result sandbox.Result) report {
	r := report{Status: result.Status, Code: result.Code, Log: lines(result)}
	for _, m := range result.Metrics {
		r.Metrics = append(r.Metrics, metric{m.Target, m.Peer, m.Name, number(m.Value)})
	}
	for _, g := range result.Grids {
		values := make([]string, len(g.Values))
		for i, v := range g.Values {
			values[i] = number(v)
		}
		r.Grids = append(r.Grids, grid{g.Target, g.Peer, g.Name, g.Rows, g.Cols, values})
	}
	for _, f := range result.Findings {
		r.Findings = append(r.Findings, finding{f.Target, int32(f.Severity), f.Code, f.Message, f.Hint, number(f.Value), number(f.Limit)})
	}
	return r
}

// encode writes a report as JSON with each thing that was reported on a line of its own.
func (r report) encode(t *testing.T) []byte {
	t.Helper()
	var text bytes.Buffer
	fmt.Fprintf(&text, "{\"status\": %q, \"code\": %d", r.Status, r.Code)
	list(t, &text, "metrics", r.Metrics)
	list(t, &text, "grids", r.Grids)
	list(t, &text, "findings", r.Findings)
	list(t, &text, "log", r.Log)
	text.WriteString("}\n")
	return text.Bytes()
}

func list[E any](t *testing.T, text *bytes.Buffer, name string, elements []E) {
	t.Helper()
	fmt.Fprintf(text, ",\n%q: [", name)
	for i, element := range elements {
		line, err := json.Marshal(element)
		if err != nil {
			t.Fatal(err)
		}
		if i > 0 {
			text.WriteByte(',')
		}
		fmt.Fprintf(text, "\n%s", line)
	}
	text.WriteByte(']')
}
