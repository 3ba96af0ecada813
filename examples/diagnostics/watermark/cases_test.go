package main

import (
	"bytes"
	"flag"
	"math"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/sdk/diag/diagtest"
)

var update = flag.Bool("update", false, "write watermark.cases.json")

// The adapters of the cases for `tenon module test` are made here, since nobody marks one by hand.
func TestCasesAreUpToDate(t *testing.T) {
	plain := rounded(randomAdapter(11, 4, 32, 6, 2))
	with := rounded(marked(plain, secret, 4))
	var b strings.Builder
	b.WriteString("{\"schema\": \"tenon.cases/v1\", \"cases\": [\n")
	for i, c := range []struct {
		name, params string
		targets      []diagtest.Target
		expect       string
	}{
		{"the mark is there", `{"key": 20240607, "strength": 4}`, with, `{"status": "ok", "metrics": [METRICS], "only_these_findings": true}`},
		{"the mark is there under another key", `{"key": 20240608, "strength": 4}`, with,
			`{"status": "ok", "findings": [{"severity": "deny", "code": "WATERMARK_MISSING"}], "only_these_findings": true}`},
		{"the mark is missing", `{"key": 20240607, "strength": 4}`, plain,
			`{"status": "ok", "findings": [{"severity": "deny", "code": "WATERMARK_MISSING"}], "only_these_findings": true}`},
		{"the mark must not be there", `{"key": 20240607, "strength": 4, "expect": 0}`, with,
			`{"status": "ok", "findings": [{"severity": "deny", "code": "WATERMARK_PRESENT"}], "only_these_findings": true}`},
		{"a weak mark in a small adapter", `{"key": 20240607, "strength": 0.05}`, plain,
			`{"status": "ok", "findings": [{"severity": "deny", "code": "WATERMARK_UNDECIDABLE"}], "only_these_findings": true}`},
		{"nobody gave a key", `{}`, plain,
			`{"status": "ok", "findings": [{"severity": "deny", "code": "WATERMARK_NO_KEY"}], "only_these_findings": true}`},
	} {
		if strings.Contains(c.expect, "METRICS") {
			report := run(t, c.targets, map[string]float64{"key": secret, "strength": 4})
			c.expect = strings.ReplaceAll(c.expect, "METRICS", `{"name": "targets", "value": 4}, {"name": "z", "value": `+
				short(metric(t, report, "", "z"))+`, "tolerance": 1e-4}`)
		}
		if i > 0 {
			b.WriteString(",\n")
		}
		b.WriteString(`{"name": "` + c.name + `", "params": ` + c.params + ",\n \"expect\": " + c.expect + ",\n \"adapter\": {\"targets\": [")
		for j, target := range c.targets {
			if j > 0 {
				b.WriteString(",")
			}
			b.WriteString("\n  {\"name\": \"" + target.Name + `", "scale": ` + short(target.Scale) +
				",\n   \"a\": " + rows(target.A) + ",\n   \"b\": " + rows(target.B) + "}")
		}
		b.WriteString("]}}")
	}
	b.WriteString("\n]}\n")
	if *update {
		if err := os.WriteFile("watermark.cases.json", []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if have, err := os.ReadFile("watermark.cases.json"); err != nil || !bytes.Equal(have, []byte(b.String())) {
		t.Errorf("watermark.cases.json is not what this test writes with -update: %v", err)
	}
}

// rounded keeps six binary digits after the point, so that every number is exact as f32 and short as text.
func rounded(targets []diagtest.Target) []diagtest.Target {
	for i := range targets {
		for _, m := range []*diagtest.Matrix{&targets[i].A, &targets[i].B} {
			values := make([]float64, len(m.Values))
			for j, v := range m.Values {
				values[j] = math.Round(v*64) / 64
			}
			m.Values = values
		}
	}
	return targets
}

func short(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) }

// rows writes a matrix as JSON.
func rows(m diagtest.Matrix) string {
	lines := make([]string, m.Rows)
	for i := range lines {
		row := make([]string, m.Cols)
		for j := range row {
			row[j] = strconv.FormatFloat(m.Values[i*m.Cols+j], 'g', -1, 64)
		}
		lines[i] = "[" + strings.Join(row, ",") + "]"
	}
	return "[" + strings.Join(lines, ",") + "]"
}
