package gate

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/report"
)

// policyWith is a policy whose rules are the given YAML, indented by two spaces, beside one that denies nothing.
func policyWith(rules string) string {
	return "schema: tenon.policy/v1\nname: test\nmodules: []\nrules:\n  - {code: NEVER, severity: deny, when: \"false\", message: never}\n" + rules
}

func mustPolicy(t *testing.T, text string) *Policy {
	t.Helper()
	p, err := ParsePolicy("policy.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestBuiltinPolicies(t *testing.T) {
	for _, name := range BuiltinNames() {
		p, ok := Builtin(name)
		text, _ := BuiltinYAML(name)
		if !ok || p.Name != name || len(p.Modules) < 5 || len(p.rules) == 0 || len(text) == 0 {
			t.Errorf("policy %s: %+v", name, p)
		}
		text[0] = 'x'
		if again, _ := BuiltinYAML(name); again[0] == 'x' {
			t.Errorf("a caller can change the embedded policy %s", name)
		}
	}
	if _, ok := BuiltinYAML("../gate/default"); ok {
		t.Error("a path is taken for a name")
	}
	if DefaultPolicy().Name != DefaultName {
		t.Error("the default policy is another")
	}
	for _, m := range DefaultPolicy().Modules {
		if m.BaseSVD {
			t.Errorf("the default policy has %s compute singular vectors of the base, which takes minutes for a large one", m.ID)
		}
	}
}

func TestPolicyIsReadInFull(t *testing.T) {
	p := mustPolicy(t, `
schema: tenon.policy/v1
name: mine
modules:
  - id: hygiene
    sha256: `+strings.Repeat("0", 64)+`
    grant: [base, kernels]
    params: {a: 1, b: 0.5}
    limits: {runMs: 5, guestMemory: 6, hostTensors: 7, metrics: 8, gridValues: 9, findings: 10, logBytes: 11, hostCalls: 12, compileMs: 13}
rules:
  - {code: A, severity: deny, forEach: target, when: "metric.x > limit", value: metric.x, limit: 2, message: m, hint: h}
  - {code: B, severity: info, when: true, limit: double(coverage.applied) / 2.0, message: m}
`)
	m := p.Modules[0]
	if m.ID != "hygiene" || m.SHA256 != strings.Repeat("0", 64) || fmt.Sprint(m.Grant) != "[base kernels]" || m.Params["b"] != 0.5 {
		t.Errorf("module read as %+v", m)
	}
	if got := fmt.Sprint(m.Limits); got != "{6 7 8 9 10 11 12 5 13}" {
		t.Errorf("limits read as %s", got)
	}
	if r := p.rules[0]; r.code != "A" || r.severity != report.DenySeverity || !r.perTarget || r.value == nil || r.limit == nil || r.hint != "h" {
		t.Errorf("rule read as %+v", r)
	}
}

func TestPoliciesThatAreRefused(t *testing.T) {
	rule := func(fields string) string { return policyWith("  - {" + fields + "}\n") }
	for name, c := range map[string]struct {
		text string
		want []string // parts of the messages, all of which must be there
	}{
		"empty":                  {"", []string{"the policy is empty"}},
		"comments only":          {"# nothing\n", []string{"the policy is empty"}},
		"null":                   {"null\n", []string{"mapping"}},
		"list":                   {"- a\n", []string{"mapping"}},
		"syntax":                 {"a: [\n", []string{"not YAML", "line 1"}},
		"binary":                 {"\x00\x01", []string{"not YAML"}},
		"two documents":          {policyWith("") + "---\na: 1\n", []string{"one YAML document"}},
		"no schema":              {"name: a\nmodules: []\nrules: []\n", []string{"must be \"tenon.policy/v1\""}},
		"other schema":           {"schema: tenon.policy/v2\nname: a\nmodules: []\nrules: []\n", []string{`the schema is "tenon.policy/v2"`}},
		"unknown key":            {policyWith("") + "ruels: []\n", []string{`key "ruels" is not known`, `did you mean "rules"`, "line 6"}},
		"repeated key":           {policyWith("") + "name: b\n", []string{`"name" is written twice`}},
		"no name":                {"schema: tenon.policy/v1\nmodules: []\nrules: []\n", []string{"no name"}},
		"no modules":             {"schema: tenon.policy/v1\nname: a\nrules: []\n", []string{"which modules must run"}},
		"no rules":               {"schema: tenon.policy/v1\nname: a\nmodules: []\n", []string{"would admit every adapter"}},
		"nothing denies":         {"schema: tenon.policy/v1\nname: a\nmodules: []\nrules: [{code: A, severity: warn, when: true, message: m}]\n", []string{"would admit every adapter"}},
		"alias":                  {"schema: &a tenon.policy/v1\nname: *a\nmodules: []\nrules: []\n", []string{"an alias"}},
		"module without id":      {"schema: tenon.policy/v1\nname: a\nmodules: [{}]\nrules: []\n", []string{"the id of a module"}},
		"module twice":           {"schema: tenon.policy/v1\nname: a\nmodules: [{id: x}, {id: x}]\nrules: []\n", []string{`id "x" is used twice`}},
		"module named policy":    {"schema: tenon.policy/v1\nname: a\nmodules: [{id: policy}]\nrules: []\n", []string{"the id of a module"}},
		"short pin":              {"schema: tenon.policy/v1\nname: a\nmodules: [{id: x, sha256: abc}]\nrules: []\n", []string{"64 lower-case hexadecimal digits"}},
		"unknown capability":     {"schema: tenon.policy/v1\nname: a\nmodules: [{id: x, grant: [bsae]}]\nrules: []\n", []string{`did you mean "base"`}},
		"unknown limit":          {"schema: tenon.policy/v1\nname: a\nmodules: [{id: x, limits: {runMS: 1}}]\nrules: []\n", []string{`did you mean "runMs"`}},
		"limit beyond any run":   {"schema: tenon.policy/v1\nname: a\nmodules: [{id: x, limits: {guestMemory: 9223372036854775807}}]\nrules: []\n", []string{"above what any run can have, 4294967296"}},
		"limit given twice":      {"schema: tenon.policy/v1\nname: a\nmodules: [{id: x, limits: {runMs: 1, run_ms: 2}}]\nrules: []\n", []string{"written twice, as run_ms too"}},
		"limit of zero":          {"schema: tenon.policy/v1\nname: a\nmodules: [{id: x, limits: {runMs: 0}}]\nrules: []\n", []string{"above zero"}},
		"param that is NaN":      {"schema: tenon.policy/v1\nname: a\nmodules: [{id: x, params: {p: .nan}}]\nrules: []\n", []string{"finite"}},
		"lower-case code":        {rule("code: a, severity: warn, when: true, message: m"), []string{"capital letters"}},
		"code of the gate":       {rule("code: MODULE_FAILED, severity: warn, when: true, message: m"), []string{"a code of the gate itself"}},
		"code twice":             {rule("code: NEVER, severity: warn, when: true, message: m"), []string{`code "NEVER" is used twice`}},
		"unknown severity":       {rule("code: A, severity: wran, when: true, message: m"), []string{`did you mean "warn"`}},
		"no message":             {rule("code: A, severity: warn, when: true"), []string{"no message"}},
		"no condition":           {rule("code: A, severity: warn, message: m"), []string{"when it holds"}},
		"forEach something else": {rule("code: A, severity: warn, forEach: tensor, when: true, message: m"), []string{`forEach "tensor" is not known`}},
		"CEL syntax":             {rule(`code: A, severity: warn, when: "1 +", message: m`), []string{"of the expression", "/rules/1/when", "line 6"}},
		"not a bool":             {rule(`code: A, severity: warn, when: "1", message: m`), []string{"gives a int and must give a bool"}},
		"dynamic":                {rule(`code: A, severity: warn, when: "dyn(true)", message: m`), []string{"gives a dyn and must give a bool"}},
		"value not a number":     {rule(`code: A, severity: warn, when: "true", value: "'x'", message: m`), []string{"gives a string and must give a double"}},
		"unknown variable":       {rule(`code: A, severity: warn, when: "covrage.applied == 0", message: m`), []string{"undeclared reference to 'covrage'"}},
		"unknown field":          {rule(`code: A, severity: warn, when: "coverage.aplied == 0", message: m`), []string{"undefined field 'aplied'"}},
		"unknown field of item":  {rule(`code: A, severity: warn, when: "metrics.exists(m, m.nmae == 'x')", message: m`), []string{"undefined field 'nmae'"}},
		"cost of a run":          {rule(`code: A, severity: warn, when: "modules.exists(m, m.usage.wallMs > 1.0)", message: m`), []string{"undefined field 'usage'"}},
		"metric without forEach": {rule(`code: A, severity: warn, when: "metric.x > 1.0", message: m`), []string{"undeclared reference to 'metric'"}},
		"limit without one":      {rule(`code: A, severity: warn, when: "1.0 > limit", message: m`), []string{"undeclared reference to 'limit'"}},
		"number against text":    {rule(`code: A, severity: warn, when: "coverage.applied == 'x'", message: m`), []string{"no matching overload"}},
		"search inside a search": {rule(`code: A, severity: warn, when: "metrics.all(a, metrics.all(b, a.value == b.value))", message: m`), []string{"could take too long"}},
		"endless expression":     {rule(`code: A, severity: warn, when: "` + strings.Repeat("true && ", 2100) + `true", message: m`), []string{"the limit is 16384"}},
		"deep expression":        {rule(`code: A, severity: warn, when: "` + strings.Repeat("(", 500) + "true" + strings.Repeat(")", 500) + `", message: m`), []string{"of the expression"}},
		"everything at once": {"schema: x\nnmae: a\nmodules: [{id: A}]\nrules: [{code: a, severity: b, when: c, message: ''}]\n",
			[]string{"must be", `did you mean "name"`, "the id of a module", "capital letters", `severity "b"`, "no message", "undeclared reference"}},
		"too large": {policyWith("") + "#" + strings.Repeat("x", 1<<20), []string{"larger than the limit"}},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := ParsePolicy("policy.yaml", []byte(c.text))
			if err == nil {
				t.Fatalf("accepted as %+v", p)
			}
			if p != nil {
				t.Error("a policy comes with the error")
			}
			for _, e := range fault.All(err) {
				if e.Code != fault.PolicyInvalid || e.File != "policy.yaml" {
					t.Errorf("a problem with code %s and file %q", e.Code, e.File)
				}
			}
			if fault.ClassOf(err) != fault.Usage {
				t.Errorf("class %v, want Usage", fault.ClassOf(err))
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("no %q in:\n%v", want, err)
				}
			}
		})
	}
}

func TestLoadPolicy(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "policy.yaml")
	text, _ := BuiltinYAML(DefaultName)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := LoadPolicy(path)
	if err != nil {
		t.Fatal(err)
	}
	if p.Digest != DefaultPolicy().Digest {
		t.Error("the same bytes have another digest")
	}
	for _, missing := range []string{filepath.Join(dir, "none.yaml"), dir} {
		if _, err := LoadPolicy(missing); fault.ClassOf(err) != fault.Usage || len(fault.All(err)) != 1 {
			t.Errorf("LoadPolicy(%s) gives %v", missing, err)
		}
	}
}

// sample is a report about two targets.
func sample() *report.Report {
	r := &report.Report{Adapter: report.Adapter{Format: "peft", Rank: []int{8}, Scale: []report.Number{2}},
		Modules: []report.Module{{ID: "m", Status: "ok"}}}
	for _, target := range []string{"a.weight", "b.weight", "c.weight"} {
		r.Coverage.Add(report.Tensor{Name: target, Disposition: report.Applied})
	}
	nan := report.Number(math.NaN())
	r.Metrics = []report.Metric{
		{Module: "m", Target: "a.weight", Name: "size", Value: 1}, {Module: "m", Target: "b.weight", Name: "size", Value: 3},
		{Module: "m", Target: "c.weight", Name: "size", Value: 2}, {Module: "m", Target: "a.weight", Name: "some", Value: 1},
		{Module: "m", Target: "a.weight", Name: "bad", Value: 1}, {Module: "m", Target: "b.weight", Name: "bad", Value: nan},
		{Module: "m", Target: "c.weight", Name: "bad", Value: report.Number(math.Inf(1))},
		{Module: "m", Target: "a.weight", Name: "twice", Value: 1}, {Module: "n", Target: "a.weight", Name: "twice", Value: 0},
		{Module: "m", Target: "a.weight", Name: "peer", With: "sha256:00", Value: 1},
	}
	r.Findings = []report.Finding{{Code: "X", Severity: report.Warn, Module: "m", Message: "x"}}
	return r
}

func decided(t *testing.T, rules string, failed bool) *report.Report {
	t.Helper()
	r := sample()
	var failures []report.Finding
	if failed {
		failures = []report.Finding{{Code: string(fault.ModuleFailed), Severity: report.DenySeverity, Module: "m"}}
	}
	if err := mustPolicy(t, policyWith(rules)).decide(t.Context(), r, []string{"a.weight", "b.weight", "c.weight"}, failures); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRules(t *testing.T) {
	const deny, warn, admit, unknown = report.Deny, report.WarnVerdict, report.Admit, report.Inconclusive
	for _, c := range []struct {
		name, fields string
		want         report.Verdict // with every module at its end
		failed       report.Verdict // with a module that failed
		finding      string         // target, value, limit and message of the one finding of a rule; "" when there is none
	}{
		{"holds not", `severity: deny, when: "coverage.rejected > 0"`, admit, unknown, ""},
		{"info", `severity: info, when: "true"`, admit, unknown, " 0 0 msg"},
		{"warns", `severity: warn, when: "coverage.applied == 3", value: coverage.applied, limit: 2`, warn, unknown, " 3 2 msg"},
		{"denies", `severity: deny, when: "adapter.rank.exists(r, r == 8) && adapter.scale[0] > 1"`, deny, deny, " 0 0 msg"},
		{"sees findings", `severity: deny, when: "findings.exists(f, f.severity == 'warn')", value: findings.size()`, deny, deny, " 1 0 msg"},
		{"one target", `severity: warn, forEach: target, when: "metric.size > limit", value: metric.size, limit: 2.5`, warn, unknown, "b.weight 3 2.5 msg"},
		{"worst of two", `severity: warn, forEach: target, when: "metric.size >= limit", value: metric.size, limit: 2`, warn, unknown,
			"b.weight 3 2 msg, in 2 of 3 targets, most of all b.weight"},
		{"worst below", `severity: warn, forEach: target, when: "metric.size < limit", value: metric.size, limit: 4`, warn, unknown,
			"a.weight 1 4 msg, in 3 of 3 targets, most of all a.weight"},
		{"without a value", `severity: warn, forEach: target, when: "target != 'a.weight'"`, warn, unknown, "b.weight 0 0 msg, in 2 of 3 targets, first b.weight"},
		{"missing metric", `severity: warn, forEach: target, when: "metric.some > 5"`, deny, unknown,
			"b.weight 0 0 rule RULE could not be evaluated in 2 of 3 targets: no such key: some"},
		{"missing metric, asked for", `severity: warn, forEach: target, when: "has(metric.some) && metric.some > 5"`, admit, unknown, ""},
		{"NaN", `severity: warn, forEach: target, when: "metric.bad > 20 && metric.size > 1"`, deny, unknown,
			"b.weight 0 0 rule RULE could not be evaluated in 1 of 3 targets: the number is NaN: ask isNaN or isFinite before comparing it\nc.weight 0 0 msg"},
		{"NaN, asked for", `severity: warn, forEach: target, when: "!isNaN(metric.bad) && metric.bad > 20", value: metric.bad`, warn, unknown, "c.weight +Inf 0 msg"},
		{"not finite", `severity: warn, forEach: target, when: "!isFinite(metric.bad)", value: metric.bad`, warn, unknown,
			"b.weight NaN 0 msg, in 2 of 3 targets, most of all b.weight"},
		{"NaN in a list", `severity: warn, when: "metrics.exists(m, m.name == 'bad' && m.value < 0)"`, deny, unknown,
			" 0 0 rule RULE could not be evaluated: the number is NaN: ask isNaN or isFinite before comparing it"},
		{"two modules, one name", `severity: warn, forEach: target, when: "has(metric.twice) && metric.twice > 5"`, deny, unknown,
			"a.weight 0 0 rule RULE could not be evaluated in 1 of 3 targets: metric twice is given twice, by module m and by module n"},
		{"numbers of comparisons", `severity: warn, forEach: target, when: "has(metric.peer)"`, admit, unknown, ""},
		{"division by zero", `severity: warn, when: "1 / coverage.rejected > 0"`, deny, unknown, " 0 0 rule RULE could not be evaluated: division by zero"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := decided(t, "  - {code: RULE, message: msg, "+c.fields+"}\n", false)
			if r.Verdict != c.want {
				t.Errorf("the verdict is %s, want %s", r.Verdict, c.want)
			}
			var got []string
			for _, f := range r.Findings {
				if f.Module == ruleModule {
					got = append(got, fmt.Sprintf("%s %v %v %s", f.Target, f.Value, f.Limit, f.Message))
				}
			}
			if strings.Join(got, "\n") != c.finding {
				t.Errorf("the findings are\n%s\nwant\n%s", strings.Join(got, "\n"), c.finding)
			}
			if failed := decided(t, "  - {code: RULE, message: msg, "+c.fields+"}\n", true); failed.Verdict != c.failed {
				t.Errorf("with a failed module the verdict is %s, want %s", failed.Verdict, c.failed)
			}
		})
	}
}

// A rule of severity deny that holds for one target denies even where another target could not be asked.
func TestCertainDenialBeatsDoubt(t *testing.T) {
	r := decided(t, `  - {code: RULE, message: msg, severity: deny, forEach: target, when: "metric.some >= 1"}`+"\n", true)
	if r.Verdict != report.Deny || len(r.Findings) != 3 { // that a number is not there goes without saying where a module failed
		t.Errorf("verdict %s with %d findings", r.Verdict, len(r.Findings))
	}
}

func TestDecideStopsWhenCanceled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := DefaultPolicy().decide(ctx, sample(), []string{"a.weight"}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func FuzzParsePolicy(f *testing.F) {
	for _, name := range BuiltinNames() {
		text, _ := BuiltinYAML(name)
		f.Add(text)
	}
	f.Add([]byte(policyWith("  - {code: A, severity: warn, when: \"metrics.all(m, m.value > 1)\", message: m}\n")))
	f.Add([]byte("a: &a [*a]\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := ParsePolicy("fuzz", text)
		if (p == nil) == (err == nil) {
			t.Fatalf("policy %v and error %v", p, err)
		}
	})
}
