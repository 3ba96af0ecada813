package gate

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/report"
)

// ruleModule is the module of findings that come from a rule.
const ruleModule = "policy"

// decide asks every rule, adds what holds to r's findings, sorts them and sets the verdict. targets are the adapted weights in order; failures
// are the findings about modules that did not run to their end, which go into the report and which no rule sees: a rule that denies on
// findings would turn a diagnostic that never answered into an answer.
//
// The verdict is deny when a rule of severity deny holds: that rests on work that was completed, and a diagnostic that failed beside it
// cannot make the adapter better. Otherwise it is inconclusive when a module did not run to its end, since nobody knows what it would have
// found; then a rule that cannot be evaluated counts as unknown as well, because the module's numbers are what it lacks. With every module
// at its end such a rule denies: the policy and the modules do not fit each other, and running again would not help. After that come warn
// and admit.
func (p *Policy) decide(ctx context.Context, r *report.Report, targets []string, failures []report.Finding) error {
	variables := map[string]any{
		"adapter": celValue(reflect.ValueOf(r.Adapter)), "base": celValue(reflect.ValueOf(r.Base)),
		"coverage": celValue(reflect.ValueOf(r.Coverage)), "modules": celValue(reflect.ValueOf(r.Modules)),
		"metrics": celValue(reflect.ValueOf(r.Metrics)), "findings": celValue(reflect.ValueOf(r.Findings)),
	}
	failed := len(failures) > 0
	var byTarget map[string]ref.Val
	var found []report.Finding
	for _, rule := range p.rules {
		if !rule.perTarget {
			found = append(found, rule.ask(ctx, variables, failed)...)
		} else {
			if byTarget == nil {
				byTarget = metricsByTarget(r.Metrics, targets)
			}
			found = append(found, rule.askEach(ctx, variables, targets, byTarget, failed)...)
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("applying policy %q: %w", p.Name, err)
		}
	}
	r.Verdict = verdict(found, failed)
	r.Findings = slices.Concat(r.Findings, failures, found)
	report.SortFindings(r.Findings)
	return nil
}

// verdict is what the findings of rules come to; failed says that a module did not run to its end.
func verdict(found []report.Finding, failed bool) report.Verdict {
	result := report.Admit
	for _, f := range found {
		switch {
		case f.Severity == report.DenySeverity && !(failed && f.Code == string(fault.PolicyRule)):
			return report.Deny
		case f.Severity == report.Warn:
			result = report.WarnVerdict
		}
	}
	if failed {
		return report.Inconclusive
	}
	return result
}

// absent reports whether an expression could not be evaluated because a number is not there. Where a module did not run to its end that is no
// news: the finding about the module says what to do, the rule's would send the reader to the policy, and the gate is closed without it.
func absent(err error) bool {
	text := err.Error()
	return strings.HasPrefix(text, "no such key: ") || strings.HasPrefix(text, "index out of bounds: ") || strings.Contains(text, "out of range in list size")
}

// ask asks a rule about the report as a whole. failed says that a module did not run to its end, here and in askEach.
func (r *rule) ask(ctx context.Context, variables map[string]any, failed bool) []report.Finding {
	variables, limit := r.withLimit(ctx, variables)
	holds, err := r.when.test(ctx, variables)
	switch {
	case err != nil && failed && absent(err):
		return nil
	case err != nil:
		return []report.Finding{r.unanswered(fmt.Sprintf("rule %s could not be evaluated: %v", r.code, err), "")}
	case !holds:
		return nil
	}
	return []report.Finding{r.finding(r.message, "", r.value.number(ctx, variables), limit)}
}

// withLimit adds the rule's limit to what it sees.
func (r *rule) withLimit(ctx context.Context, variables map[string]any) (map[string]any, float64) {
	if r.limit == nil {
		return variables, 0
	}
	limit := r.limit.number(ctx, variables)
	variables = maps.Clone(variables)
	variables["limit"] = number(limit)
	return variables, limit
}

// askEach asks a rule about each target. Whatever holds on many targets is one finding, about the worst of them: the one whose value is
// farthest from the limit.
func (r *rule) askEach(ctx context.Context, variables map[string]any, targets []string, byTarget map[string]ref.Val,
	failed bool) []report.Finding {
	var held, unknown tally
	for _, target := range targets {
		seen := maps.Clone(variables)
		seen["target"], seen["metric"] = types.String(target), byTarget[target]
		seen, limit := r.withLimit(ctx, seen)
		holds, err := r.when.test(ctx, seen)
		switch {
		case err != nil && failed && absent(err):
		case err != nil:
			unknown.add(target, 0, 0, err)
		case holds:
			held.add(target, r.value.number(ctx, seen), limit, nil)
		}
		if ctx.Err() != nil {
			return nil
		}
	}
	var found []report.Finding
	if unknown.n > 0 {
		found = append(found,
			r.unanswered(fmt.Sprintf("rule %s could not be evaluated in %s: %v", r.code, unknown.share(len(targets)), unknown.err), unknown.target))
	}
	if held.n == 0 {
		return found
	}
	message := r.message
	if held.n > 1 {
		word := "first"
		if r.value != nil {
			word = "most of all"
		}
		message = fmt.Sprintf("%s, in %s, %s %s", r.message, held.share(len(targets)), word, held.target)
	}
	return append(found, r.finding(message, held.target, held.value, held.limit))
}

// tally counts targets and keeps the worst.
type tally struct {
	n            int
	target       string
	value, limit float64
	err          error
}

func (t *tally) add(target string, value, limit float64, err error) {
	if t.n == 0 || distance(value, limit) > distance(t.value, t.limit) {
		t.target, t.value, t.limit, t.err = target, value, limit, err
	}
	t.n++
}

// distance is how far a value is beyond its limit; a value that is not a number is farther than any.
func distance(value, limit float64) float64 {
	if d := math.Abs(value - limit); !math.IsNaN(d) {
		return d
	}
	return math.Inf(1)
}

func (t *tally) share(all int) string {
	if all == 1 {
		return "the only target"
	}
	return fmt.Sprintf("%d of %d targets", t.n, all)
}

func (r *rule) finding(message, target string, value, limit float64) report.Finding {
	return report.Finding{Code: r.code, Severity: r.severity, Module: ruleModule, Target: target, Message: message,
		Value: report.Number(value), Limit: report.Number(limit), Hint: r.hint}
}

// unanswered is the finding for a rule without an answer. It denies whatever the rule's own severity: nobody knows what it would have said.
func (r *rule) unanswered(message, target string) report.Finding {
	return report.Finding{Code: string(fault.PolicyRule), Severity: report.DenySeverity, Module: ruleModule, Target: target, Message: message,
		Hint: "name in the policy the module that gives this number, and ask has(metric.name) and isNaN(x) about numbers that need not be there"}
}

// metricsByTarget gives each target its numbers by name, those of comparisons with other adapters left out. Two numbers of one name, from two
// modules or twice from one, are an error to whoever reads that name: no module may speak for another.
func metricsByTarget(metrics []report.Metric, targets []string) map[string]ref.Val {
	values := map[string]map[string]any{}
	for _, target := range targets {
		values[target] = map[string]any{}
	}
	from := map[[2]string]string{}
	for _, m := range metrics {
		of, ok := values[m.Target]
		if !ok || m.With != "" {
			continue
		}
		key := [2]string{m.Target, m.Name}
		if other, twice := from[key]; twice {
			of[m.Name] = types.WrapErr(errors.New("metric " + m.Name + " is given twice, by module " + other + " and by module " + m.Module))
			continue
		}
		from[key] = m.Module
		of[m.Name] = number(float64(m.Value))
	}
	byTarget := map[string]ref.Val{}
	for target, of := range values {
		byTarget[target] = types.NewStringInterfaceMap(types.DefaultTypeAdapter, of)
	}
	return byTarget
}
