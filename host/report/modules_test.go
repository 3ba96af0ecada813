package report

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

// A module that does not ship with Tenon cannot answer for one that does.
func TestStrangersDoNotAnswer(t *testing.T) {
	r := fullReport()
	var before, after bytes.Buffer
	if err := Text(&before, r, TextOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, m := range slices.Clone(r.Metrics) {
		m.Module, m.Value = "watermark", 1e6
		r.Metrics = append(r.Metrics, m)
	}
	r.Metrics = slices.DeleteFunc(r.Metrics, func(m Metric) bool { return m.Module == "watermark" && m.Target == "" && m.With == "" })
	r.Metrics = append(r.Metrics, Metric{Module: "watermark", Name: "merge_gain", Value: 0.5, Target: "model.layers.0.self_attn.v_proj.weight"})
	if err := Text(&after, r, TextOptions{}); err != nil {
		t.Fatal(err)
	}
	if before.String() != after.String() {
		t.Errorf("its numbers are in the text:\n%s", after.String())
	}
	r.Findings = append(r.Findings, Finding{Module: "watermark", Code: "AD_NO_EFFECT", Severity: Info, Message: "it does nothing"})
	after.Reset()
	if err := Text(&after, r, TextOptions{}); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(after.String(), "every change is zero") || !strings.Contains(after.String(), "it does nothing") {
		t.Errorf("its finding is not its own:\n%s", after.String())
	}
	// What it says of the adapter as a whole has a table of its own.
	r.Metrics = append(r.Metrics, Metric{Module: "watermark", Name: "anomaly_p", Value: 0.125})
	after.Reset()
	if err := Text(&after, r, TextOptions{}); err != nil {
		t.Fatal(err)
	}
	_, tables, _ := strings.Cut(after.String(), "The adapter as a whole\n")
	whole, others, _ := strings.Cut(tables, othersTitle+"\n")
	if strings.Contains(whole, "watermark") || !strings.Contains(whole, "anomaly") || !strings.Contains(others, "watermark  anomaly_p  0.125") {
		t.Errorf("its numbers are in the wrong table:\n%s", tables)
	}
	if !strings.Contains(after.String(), "[AD_NO_EFFECT · watermark, not part of Tenon]") {
		t.Errorf("its finding does not name it:\n%s", after.String())
	}
	view := newPageView(r, nil)
	if len(view.Whole.Rows) != 2 || len(view.Others.Rows) != 1 || view.Reasons[len(view.Reasons)-1].Module != "watermark, not part of Tenon" {
		t.Errorf("%+v %+v %+v", view.Whole, view.Others, view.Reasons)
	}
	if tables := newPageView(r, nil).Weights; !slices.ContainsFunc(tables, func(table tableView) bool { return table.Title == "watermark" }) {
		t.Error("the page does not show its numbers at all")
	}
}

func TestLastWords(t *testing.T) {
	for _, c := range []struct {
		log, want string
	}{
		{"", ""},
		{"one", "one"},
		{"one\n", "one"},
		{"one\n\x1b[2Jtwo\n", `one|\x1b[2Jtwo`},
		{"1\n2\n3\n4\n5\n[cut]\n", "(2 earlier lines, all of them in -o json)|3|4|5|[cut]"},
		{strings.Repeat("é", 300), strings.Repeat("é", 200) + "…"},
	} {
		if got := strings.Join(lastWords(c.log), "|"); got != c.want {
			t.Errorf("%q: %q, want %q", c.log, got, c.want)
		}
	}
}
