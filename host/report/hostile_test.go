package report_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/tenon-ml/tenon/host/figure"
	"github.com/tenon-ml/tenon/host/report"
)

// attacks are texts that an adapter, a base or a module may bring.
var attacks = map[string]string{
	"colour":               "\x1b[31mred\x1b[0m",
	"clear screen":         "\x1b[2J\x1b[H",
	"window title":         "\x1b]0;title\a",
	"C1 control":           "\u009b31m\u0085\u0090",
	"C1 as a byte":         "\x9b31m",
	"carriage return":      "safe\rgone",
	"new line":             "one\nADMIT  the adapter may be merged",
	"backspace":            "deny\b\b\b\bok",
	"NUL and DEL":          "a\x00b\x7f",
	"bidi override":        "\u202agnp\u202b\u202c\u202d\u202eexe",
	"bidi isolate":         "\u2066a\u2067b\u2068c\u2069",
	"zero width":           "a\u200b\u200c\u200d\u2060\ufeff",
	"line separators":      "a\u2028b\u2029c\v\f",
	"tags":                 "a\U000e0041\U000e007f",
	"combining marks":      "z" + strings.Repeat("\u0301", 50),
	"not UTF-8":            "a\xff\xc0\xafb",
	"a lone surrogate":     "a\xed\xa0\x80b",
	"element":              "<script>window.attacked=1</script>",
	"end of an element":    "</td></table></script></style></svg><img src=x onerror=alert(1)>",
	"end of an attribute":  `"'><svg onload=alert(1)>`,
	"comment and CDATA":    "<!--]]>-->",
	"template":             "{{.}}${x}`",
	"entity":               "&lt;b&gt;&#60;",
	"link":                 "javascript:alert(1)",
	"end of a JSON string": `","verdict":"admit","x":"`,
	"format verbs":         "%s%n%!x(MISSING)",
	"a line of a log":      "x\nlevel=ERROR msg=forged",
}

// attacked is a report in which every text that is not of Tenon's own making ends with an attack, or is one.
func attacked(attack string) *report.Report {
	r := report.FullReport()
	r.Metrics = slices.DeleteFunc(r.Metrics, func(m report.Metric) bool { return report.Layer(m.Target) > 1 })
	r.Grids = slices.DeleteFunc(r.Grids, func(g report.Grid) bool { return report.Layer(g.Target) > 1 })
	plant(reflect.ValueOf(r).Elem(), attack)
	for _, m := range r.Modules {
		r.Findings = append(r.Findings, report.Finding{Code: attack, Module: m.ID, Severity: report.Warn, Target: attack, Message: attack, Hint: attack})
	}
	// And one of Tenon's own modules that speaks of targets of these names.
	r.Modules[0].Origin = report.BuiltIn
	return r
}

func plant(v reflect.Value, attack string) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(v.String() + attack)
	case reflect.Pointer:
		if !v.IsNil() {
			plant(v.Elem(), attack)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if name := v.Type().Field(i).Name; name != "Name" && name != "With" && name != "Digest" { // by these numbers find their tables
				plant(v.Field(i), attack)
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			plant(v.Index(i), attack)
		}
	}
}

// shown refuses what nobody can see, or what does something else than being seen. Marks that combine with other characters are visible.
func shown(t *testing.T, text string, marks bool) {
	t.Helper()
	if !utf8.ValidString(text) {
		t.Error("it is not UTF-8")
	}
	for i, r := range text {
		if r != '\n' && !unicode.IsPrint(r) || unicode.Is(unicode.M, r) && !marks {
			t.Errorf("it holds %U as it stands: %q", r, text[max(0, i-60):min(len(text), i+20)])
			return
		}
	}
}

func TestHostileTextIsEscapedEverywhere(t *testing.T) {
	render := map[string]func(t *testing.T, r *report.Report) string{
		"text":   func(t *testing.T, r *report.Report) string { return text(t, r, report.TextOptions{}) },
		"narrow": func(t *testing.T, r *report.Report) string { return text(t, r, report.TextOptions{Width: 40}) },
		"colour": func(t *testing.T, r *report.Report) string {
			return withoutColour(t, text(t, r, report.TextOptions{Color: true}))
		},
		"page":       pageAlone,
		"comparison": comparison,
		"json":       asJSON,
		"figures":    figures,
		"log":        logged,
	}
	for name, attack := range attacks {
		t.Run(name, func(t *testing.T) {
			for medium, renders := range render {
				out := renders(t, attacked(attack))
				t.Run(medium, func(t *testing.T) {
					shown(t, out, medium == "log")
					for _, raw := range []string{"<script>window", "<img src", "<svg onload", "<!--", "<b>", `"'>`} {
						if (medium == "page" || medium == "comparison" || medium == "figures") && strings.Contains(out, raw) {
							t.Errorf("it holds %s as it stands", raw)
						}
					}
				})
			}
		})
	}
}

func text(t *testing.T, r *report.Report, o report.TextOptions) string {
	t.Helper()
	var b bytes.Buffer
	if err := report.Text(&b, r, o); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// withoutColour takes the escape sequences out that Text writes, and no others.
func withoutColour(t *testing.T, text string) string {
	t.Helper()
	var b strings.Builder
	for i, part := range strings.Split(text, "\x1b[") {
		if i > 0 {
			codes, rest, ok := strings.Cut(part, "m")
			if !ok || strings.Trim(codes, "0123456789;") != "" {
				t.Errorf("an escape sequence that is no colour: %q", part[:min(len(part), 20)])
			}
			part = rest
		}
		b.WriteString(part)
	}
	return b.String()
}

// pageAlone is the page without figures.
func pageAlone(t *testing.T, r *report.Report) string {
	t.Helper()
	var b bytes.Buffer
	if err := report.HTML(&b, r, nil); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func comparison(t *testing.T, r *report.Report) string {
	t.Helper()
	var b bytes.Buffer
	if err := report.ComparisonHTML(&b, r, nil, r.Findings[0].Code, r.Findings[0].Message); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func asJSON(t *testing.T, r *report.Report) string {
	t.Helper()
	var b bytes.Buffer
	if err := report.JSON(&b, r); err != nil {
		t.Fatal(err)
	}
	var back report.Report
	if err := json.Unmarshal(b.Bytes(), &back); err != nil {
		t.Fatal(err)
	}
	if want := strings.ToValidUTF8(string(r.Verdict), "\ufffd"); !strings.HasPrefix(string(back.Verdict), "warn") || utf8.ValidString(string(r.Verdict)) && string(back.Verdict) != want {
		t.Errorf("verdict %q became %q", r.Verdict, back.Verdict)
	}
	return b.String()
}

func figures(t *testing.T, r *report.Report) string {
	t.Helper()
	var b strings.Builder
	for _, f := range figure.FromReport(r, 1) {
		b.Write(f.SVG())
	}
	if b.Len() == 0 {
		t.Error("there are no figures")
	}
	return b.String()
}

// logged is what the program's logger makes of it.
func logged(t *testing.T, r *report.Report) string {
	t.Helper()
	var b bytes.Buffer
	log := slog.New(slog.NewTextHandler(&b, nil))
	log.Warn("adapter "+r.Adapter.Ref, "module", r.Modules[0].ID, "error", r.Modules[0].Error, r.Adapter.Ref, r.Findings[0].Message)
	if n := strings.Count(b.String(), "\n"); n != 1 {
		t.Errorf("%d lines for one", n)
	}
	return b.String()
}
