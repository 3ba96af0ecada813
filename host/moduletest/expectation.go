package moduletest

import (
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/tenon-ml/tenon/host/document"
	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/wasm/sandbox"
)

// statusNames are how a run can be expected to end. A worker that dies is nobody's expectation.
var statusNames = []string{string(sandbox.OK), string(sandbox.GuestError), string(sandbox.Trap), string(sandbox.Timeout), string(sandbox.Memory),
	string(sandbox.Denied), string(sandbox.Invalid)}

// severityNames are the severities, by their number.
var severityNames = []string{abi.Info: "info", abi.Warn: "warn", abi.Deny: "deny"}

func (d *reader) readExpectation(n *yaml.Node, pointer string, c *Case) {
	values := d.Mapping(n, pointer, []string{"status", "metrics", "findings", "only_these_findings"})
	if v := values["status"]; v != nil {
		c.Expect.Status = sandbox.Status(d.word(v, pointer+"/status", "status", statusNames))
	}
	for i, item := range d.Sequence(values["metrics"], pointer+"/metrics") {
		at := document.PointerTo(pointer+"/metrics", i)
		metric, whole := d.mapping(item, at, []string{"target", "peer", "name", "value", "tolerance"})
		m := ExpectedMetric{Target: d.target(metric["target"], at+"/target", c), Peer: d.Text(metric["peer"], at+"/peer", maxText),
			Name: d.Text(metric["name"], at+"/name", maxText), Tolerance: DefaultTolerance}
		if err := sandbox.ValidMetric(m.Name); err != nil && (whole || metric["name"] != nil) {
			d.Problem(item, at+"/name", "%v", err)
		}
		if v := metric["value"]; v != nil {
			m.Value = d.number(v, at+"/value")
		} else if whole {
			d.Problem(item, at, "the value is missing")
		}
		if v := metric["tolerance"]; v != nil {
			if m.Tolerance = d.number(v, at+"/tolerance"); !(m.Tolerance >= 0) {
				d.Problem(v, at+"/tolerance", "a tolerance is 0 or more").Fix("it is relative to the value: 1e-6 allows one part in a million")
			}
		}
		c.Expect.Metrics = append(c.Expect.Metrics, m)
	}
	for i, item := range d.Sequence(values["findings"], pointer+"/findings") {
		at := document.PointerTo(pointer+"/findings", i)
		finding, whole := d.mapping(item, at, []string{"target", "severity", "code", "value"})
		f := ExpectedFinding{Target: d.target(finding["target"], at+"/target", c), Code: d.Text(finding["code"], at+"/code", maxText)}
		if err := sandbox.ValidFinding(sandbox.Finding{Code: f.Code}); err != nil && (whole || finding["code"] != nil) {
			d.Problem(item, at+"/code", "%v", err)
		}
		if v := finding["severity"]; v != nil {
			f.Severity = abi.Severity(slices.Index(severityNames, d.word(v, at+"/severity", "severity", severityNames)))
		} else if whole {
			d.Problem(item, at, "the severity is missing").Fix("choose one of %q", severityNames)
		}
		if v := finding["value"]; v != nil {
			value := d.number(v, at+"/value")
			f.Value = &value
		}
		c.Expect.Findings = append(c.Expect.Findings, f)
	}
	if v := values["only_these_findings"]; v != nil {
		c.Expect.OnlyTheseFindings = d.Boolean(v, pointer+"/only_these_findings")
	}
}

// target reads the name of a target, which an adapter in numbers must have.
func (d *reader) target(n *yaml.Node, pointer string, c *Case) string {
	name := d.Text(n, pointer, maxText)
	if name == "" || c.Adapter == nil {
		return name
	}
	var names []string
	for _, t := range c.Adapter.Targets {
		names = append(names, t.Name)
	}
	if !slices.Contains(names, name) {
		e := d.Problem(n, pointer, "the adapter of this case has no target %q", name)
		if near := document.Nearest(name, names); near != "" {
			e.Fix("did you mean %q?", near)
		}
	}
	return name
}
