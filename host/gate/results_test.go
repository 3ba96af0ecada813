package gate

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/host/adapter"
	"github.com/tenon-ml/tenon/host/report"
	"github.com/tenon-ml/tenon/wasm/sandbox/wasmtest"
)

// Where the guests of these tests keep their texts.
const (
	codeAt    = 16
	nothingAt = 128
	textAt    = 4096
)

// reporting is a guest that gives one finding whose message is at a pointer and of a length of its choice, and ends well.
func reporting(severity, message, length int32, value float64, text string) wasmtest.Module {
	m := wasmtest.Guest(wasmtest.Host("finding"), wasmtest.Code(findingCode(severity, message, length, value), wasmtest.Drop, wasmtest.Const(0))...)
	m.Data = []wasmtest.Data{{Offset: textAt, Bytes: []byte(text)}, {Offset: codeAt, Bytes: []byte("FOUND")}}
	return m
}

// findingCode calls function 0, which is finding.
func findingCode(severity, message, length int32, value float64) []byte {
	return wasmtest.Code(wasmtest.Const(-1), wasmtest.Const(severity), wasmtest.Const(codeAt), wasmtest.Const(5), wasmtest.Const(message), wasmtest.Const(length),
		wasmtest.Const(nothingAt), wasmtest.Const(0), wasmtest.Float(value), wasmtest.Float(0), wasmtest.Call(0))
}

// repeating gives n findings and does not care what the host says.
func repeating(n int32) wasmtest.Module {
	m := reporting(0, textAt, 4, 0, "text")
	m.Functions[1].Locals = wasmtest.Locals(1, wasmtest.I32)
	m.Functions[1].Code = wasmtest.Code(wasmtest.Loop(), findingCode(0, textAt, 4, 0), wasmtest.Drop,
		wasmtest.Get(0), wasmtest.Const(1), wasmtest.I32Add, wasmtest.Tee(0), wasmtest.Const(n), wasmtest.I32LtS, wasmtest.BrIf(0), wasmtest.End, wasmtest.Const(0))
	return m
}

// measuring gives one metric and ends well, whatever the host says.
func measuring(target, peer int32, name string, value float64, times int) wasmtest.Module {
	one := wasmtest.Code(wasmtest.Const(target), wasmtest.Const(peer), wasmtest.Const(textAt), wasmtest.Const(int32(len(name))), wasmtest.Float(value),
		wasmtest.Call(0), wasmtest.Drop)
	m := wasmtest.Guest(wasmtest.Host("metric"), wasmtest.Code(wasmtest.Repeat(times, one), wasmtest.Const(0))...)
	m.Data = []wasmtest.Data{{Offset: textAt, Bytes: []byte(name)}}
	return m
}

// TestHostileResults runs guests that report what they may not. Each either ends the run, which keeps the gate closed, or is refused to the guest
// and leaves nothing in the report; nothing of it changes what others said.
func TestHostileResults(t *testing.T) {
	hostile := "\x1b[2J\u202e<script>alert(1)</script>\u009b31m\u200b\n\u2028"
	for _, c := range []struct {
		name     string
		guest    wasmtest.Module
		status   string
		says     string // in the module's error, or its log
		findings int
		metrics  int
	}{
		{"a message outside memory", reporting(0, 70_000, 8, 0, ""), "trap", "outside the guest's memory", 0, 0},
		{"a message that ends outside memory", reporting(0, 65_530, 8, 0, ""), "trap", "outside the guest's memory", 0, 0},
		{"pointer and length overflow", reporting(0, -16, 32, 0, ""), "trap", "outside the guest's memory", 0, 0},
		{"a message of 4 GiB", reporting(0, 0, -1, 0, ""), "trap", "outside the guest's memory", 0, 0},
		{"a message that is not UTF-8", reporting(0, textAt, 3, 0, "a\xffb"), "trap", "not UTF-8", 0, 0},
		{"a message for a terminal and a browser", reporting(0, textAt, int32(len(hostile)), 0, hostile), "ok", "", 1, 0},
		{"a message of 60 kB", reporting(0, textAt, 60_000, 0, strings.Repeat("<", 60_000)), "ok", "", 1, 0},
		{"NaN", reporting(0, textAt, 1, math.NaN(), "x"), "ok", "", 1, 0},
		{"a million findings", repeating(1_000_000), "ok", "more than 1000 findings", 1000, 0},
		{"a severity above the gravest", reporting(3, textAt, 1, 0, "x"), "ok", "", 0, 0},
		{"a severity below the least", reporting(-1, textAt, 1, 0, "x"), "ok", "", 0, 0},
		{"a metric", measuring(-1, -1, "mine", 1, 1), "ok", "", 0, 1},
		{"a metric that is NaN", measuring(-1, -1, "mine", math.NaN(), 1), "ok", "", 0, 1},
		{"a metric of a target that is not there", measuring(7, -1, "mine", 1, 1), "ok", "", 0, 0},
		{"a metric of a peer that is not there", measuring(-1, 7, "mine", 1, 1), "ok", "", 0, 0},
		{"a metric of a peer below none", measuring(-1, -2, "mine", 1, 1), "ok", "", 0, 0},
		{"a metric given twice", measuring(-1, -1, "mine", 1, 2), "trap", "given before", 0, 0},
		{"a metric with a name for a terminal", measuring(-1, -1, "\x1b[2J", 1, 1), "trap", "is not a name", 0, 0},
		{"a hundred thousand metrics", wasmtest.Measuring(100_000), "guest_error", "returned 90000", 0, 0},
		{"a log of 6 MB", wasmtest.Flooding(60_000, 100), "ok", "more bytes of log were dropped", 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			p, err := loadPolicy(t, dir, policyOf("", writeModule(t, dir, "mine", manifestOf("mine", ""), c.guest.Encode())))
			if err != nil {
				t.Fatal(err)
			}
			r := checked(t, &Gate{Policy: p, Runner: sandboxed()})
			m := r.Modules[0]
			if m.Status != c.status || !strings.Contains(m.Error+m.Log, c.says) {
				t.Errorf("%s: %.300q %.300q, want %s that says %q", m.Status, m.Error, m.Log, c.status, c.says)
			}
			if open := c.status == "ok"; r.Verdict.Open() != open {
				t.Errorf("verdict %s", r.Verdict)
			}
			findings := 0
			for _, f := range r.Findings {
				if f.Code == "FOUND" {
					findings++
					if f.Severity != report.Info || f.Module != "mine" || len(f.Message) > 1<<10 {
						t.Errorf("%+v", f)
					}
				}
			}
			if findings != c.findings || len(r.Metrics) != c.metrics || len(m.Log) > 80<<10 {
				t.Errorf("%d findings, %d metrics, %d bytes of log", findings, len(r.Metrics), len(m.Log))
			}
			var text bytes.Buffer
			if err := report.Text(&text, r, report.TextOptions{}); err != nil {
				t.Fatal(err)
			}
			if strings.ContainsAny(text.String(), "\x1b\u009b\u202e\u200b\u2028") {
				t.Errorf("the text holds what moves a cursor:\n%q", text.String())
			}
		})
	}
}

// A module that was not granted the peers says nothing about them, and one that was speaks of those that are there.
func TestMetricsOfPeers(t *testing.T) {
	b := testBase(t)
	binding, peer := bound(t, b, testAdapter(t, qProj)), bound(t, b, testAdapter(t, qProj, vProj))
	for _, c := range []struct {
		grant string
		peer  int32
		want  int
	}{{"peers", 0, 1}, {"peers", 1, 0}, {"kernels", 0, 0}} {
		t.Run(fmt.Sprint(c.grant, c.peer), func(t *testing.T) {
			dir := t.TempDir()
			manifest := strings.Replace(manifestOf("mine", ""), `"kernels"`, `"kernels","peers"`, 1)
			entry := writeModule(t, dir, "mine", manifest, measuring(-1, c.peer, "near", 1, 1).Encode())
			p, err := loadPolicy(t, dir, policyOf("", entry+", grant: ["+c.grant+"]"))
			if err != nil {
				t.Fatal(err)
			}
			r, err := (&Gate{Policy: p, Runner: sandboxed()}).Check(t.Context(), Subject{Binding: binding, Peers: []*adapter.Binding{peer}})
			if err != nil {
				t.Fatal(err)
			}
			if len(r.Metrics) != c.want || c.want == 1 && r.Metrics[0].With != r.Peers[0].Digest {
				t.Errorf("%s %+v", r.Verdict, r.Metrics)
			}
		})
	}
}
