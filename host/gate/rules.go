package gate

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"cel.dev/cel-go/cel"
	"go.yaml.in/yaml/v3"

	"github.com/tenon-ml/tenon/host/document"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/report"
	"github.com/tenon-ml/tenon/sdk/abi"
)

// What a policy may hold. A person reads these limits only after a mistake.
const (
	maxRules   = 200
	maxModules = 32
	maxText    = 1 << 10 // bytes of a name, message or hint
)

// reader reads a policy file.
type reader struct{ document.Document }

var (
	codePattern   = regexp.MustCompile(`^[A-Z][A-Z0-9_]{0,63}$`)
	idPattern     = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,63}$`)
	sha256Pattern = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// gateCodes are the gate's own: a finding with one of them means that the answer is not known, so a rule must not use them.
var gateCodes = []string{string(fault.ModuleFailed), string(fault.PolicyRule), string(fault.PolicyInvalid), string(fault.ProbeInvalid), string(fault.ProbeFailed),
	string(fault.ProbeNonFinite), string(fault.ModuleFile), string(fault.ModuleRevoked), string(fault.RevokedList)}

// read fills p from the root mapping of a policy file and leaves every problem in d. known are the policies it can extend.
func (p *Policy) read(d *reader, root *yaml.Node, known map[string]*Policy) {
	keys := d.Mapping(root, "", []string{"schema", "name", "extends", "without", "probe", "revoked", "on_failure", "modules", "rules"})
	if schema := d.Text(keys["schema"], "/schema", maxText); schema != PolicySchema {
		d.Problem(keys["schema"], "/schema", "the schema is %q and must be %q", schema, PolicySchema).Fix("begin the file with schema: %s", PolicySchema)
	}
	if p.Name = d.Text(keys["name"], "/name", maxText); p.Name == "" {
		d.Problem(root, "/name", "the policy has no name").Fix("add name:")
	}
	p.Probe = d.Text(keys["probe"], "/probe", maxText)
	d.onFailure(keys["on_failure"], "/on_failure")
	if n := keys["revoked"]; n != nil {
		p.Revoked = d.beside(n, "/revoked")
	}
	p.extend(d, root, keys, known)
	if keys["modules"] == nil && keys["extends"] == nil {
		d.Problem(root, "/modules", "the policy does not say which modules must run").Fix("add modules: with a list, or [] for none")
	}
	modules := d.Sequence(keys["modules"], "/modules")
	if len(modules) > maxModules {
		d.Problem(keys["modules"], "/modules", "%d modules, and the limit is %d", len(modules), maxModules)
		return
	}
	for i, node := range modules {
		p.require(d.requirement(node, document.PointerTo("/modules", i)))
	}
	d.distinct("/modules", "id", modules)
	d.strangers(p, keys["modules"])

	rules := d.Sequence(keys["rules"], "/rules")
	if len(rules) > maxRules {
		d.Problem(keys["rules"], "/rules", "%d rules, and the limit is %d", len(rules), maxRules)
		return
	}
	environments := environments{}
	for i, node := range rules {
		p.add(d.rule(node, document.PointerTo("/rules", i), environments))
	}
	d.distinct("/rules", "code", rules)
	denies := slices.ContainsFunc(p.rules, func(r rule) bool { return r.severity == report.DenySeverity })
	if !denies && len(d.Problems) == 0 {
		d.Problem(keys["rules"], "/rules", "no rule has severity deny, so this policy would admit every adapter").Fix("add a rule of severity deny")
	}
}

// environments are the places a rule can be asked in, made when the first rule needs them.
type environments map[struct{ perTarget, limited bool }]*cel.Env

func (e environments) of(perTarget, limited bool) (*cel.Env, error) {
	key := struct{ perTarget, limited bool }{perTarget, limited}
	if env, ok := e[key]; ok {
		return env, nil
	}
	env, err := newEnvironment(perTarget, limited)
	if err != nil {
		return nil, err
	}
	e[key] = env
	return env, nil
}

// distinct refuses two items of a list with the same text under key.
func (d *reader) distinct(pointer, key string, items []*yaml.Node) {
	seen := map[string]bool{}
	for i, item := range items {
		for j := 0; item.Kind == yaml.MappingNode && j+1 < len(item.Content); j += 2 {
			if value := item.Content[j+1]; item.Content[j].Value == key && value.Value != "" {
				if seen[value.Value] {
					d.Problem(value, document.PointerTo(pointer, i)+"/"+key, "%s %q is used twice", key, value.Value).Fix("give each its own")
				}
				seen[value.Value] = true
			}
		}
	}
}

// requirement reads one module of the policy.
func (d *reader) requirement(node *yaml.Node, pointer string) Requirement {
	keys := d.Mapping(node, pointer, []string{"id", "file", "sha256", "manifest_sha256", "on_failure", "grant", "base_svd", "params", "limits"})
	r := Requirement{ID: d.Text(keys["id"], pointer+"/id", maxText)}
	if !idPattern.MatchString(r.ID) || r.ID == ruleModule || r.ID == probeModule { // findings of rules have that module
		d.Problem(node, pointer+"/id", "the id of a module is lower-case letters, digits and hyphens, and not %q", r.ID)
	}
	r.SHA256 = d.pin(keys["sha256"], pointer+"/sha256")
	r.ManifestSHA256 = d.pin(keys["manifest_sha256"], pointer+"/manifest_sha256")
	d.onFailure(keys["on_failure"], pointer+"/on_failure")
	if n := keys["file"]; n != nil {
		d.stranger(&r, node, n, pointer)
	}
	capabilities := []string{string(abi.CapBase), string(abi.CapPeers), string(abi.CapKernels)}
	for i, item := range d.Sequence(keys["grant"], pointer+"/grant") {
		name := d.Text(item, document.PointerTo(pointer+"/grant", i), maxText)
		if !slices.Contains(capabilities, name) {
			d.Unknown(item, document.PointerTo(pointer+"/grant", i), "capability", name, capabilities)
		}
		r.Grant = append(r.Grant, abi.Capability(name))
	}
	if n := keys["base_svd"]; n != nil {
		r.BaseSVD = d.Boolean(n, pointer+"/base_svd")
	}
	if n := keys["params"]; n != nil {
		r.Params = map[string]float64{}
		params := d.Mapping(n, pointer+"/params", nil)
		for _, name := range slices.Sorted(maps.Keys(params)) {
			r.Params[name] = d.Number(params[name], pointer+"/params/"+document.EscapePointer(name))
		}
	}
	if n := keys["limits"]; n != nil {
		r.Limits, r.snake = d.limits(n, pointer+"/limits")
	}
	return r
}

// limits reads the resources of a module, under the names of a policy or those of a manifest; snake says that it was the latter.
func (d *reader) limits(node *yaml.Node, pointer string) (l abi.Limits, snake bool) {
	m := abi.MaxLimits
	type field struct {
		set  func(int64)
		most int64
	}
	fields := map[string]field{
		"guestMemory": {func(v int64) { l.GuestMemory = v }, m.GuestMemory},
		"hostTensors": {func(v int64) { l.HostTensors = v }, m.HostTensors},
		"metrics":     {func(v int64) { l.Metrics = int(v) }, int64(m.Metrics)},
		"gridValues":  {func(v int64) { l.GridValues = int(v) }, int64(m.GridValues)},
		"findings":    {func(v int64) { l.Findings = int(v) }, int64(m.Findings)},
		"logBytes":    {func(v int64) { l.LogBytes = int(v) }, int64(m.LogBytes)},
		"hostCalls":   {func(v int64) { l.HostCalls = v }, m.HostCalls},
		"runMs":       {func(v int64) { l.RunMillis = v }, m.RunMillis},
		"compileMs":   {func(v int64) { l.CompileMillis = v }, m.CompileMillis},
	}
	names := slices.Sorted(maps.Keys(fields))
	for _, name := range names[:len(fields)] {
		if member := snakeCase(name); member != name {
			names = append(names, member)
			fields[member] = fields[name]
		}
	}
	keys := d.Mapping(node, pointer, names)
	for _, name := range slices.Sorted(maps.Keys(keys)) {
		if member := snakeCase(name); member != name && keys[member] != nil {
			d.Problem(keys[name], pointer+"/"+name, "the limit %s is written twice, as %s too", name, member).Fix("keep one")
		}
		snake = snake || strings.Contains(name, "_")
		count, most := d.Count(keys[name], pointer+"/"+name), fields[name].most
		if count > most {
			d.Problem(keys[name], pointer+"/"+name, "%d is above what any run can have, %d", count, most)
		}
		fields[name].set(min(count, most))
	}
	return l, snake
}

// snakeCase is the name of a limit as a manifest has it: guest_memory for guestMemory.
func snakeCase(name string) string {
	var b strings.Builder
	for _, c := range name {
		if unicode.IsUpper(c) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(c))
	}
	return b.String()
}

// rule reads and compiles one rule.
func (d *reader) rule(node *yaml.Node, pointer string, env environments) rule {
	keys := d.Mapping(node, pointer, []string{"code", "severity", "forEach", "when", "value", "limit", "message", "hint"})
	r := rule{
		code:     d.Text(keys["code"], pointer+"/code", maxText),
		severity: report.Severity(d.Text(keys["severity"], pointer+"/severity", maxText)),
		message:  d.Text(keys["message"], pointer+"/message", maxText),
		hint:     d.Text(keys["hint"], pointer+"/hint", maxText),
	}
	if !codePattern.MatchString(r.code) {
		d.Problem(node, pointer+"/code", "the code of a rule is capital letters, digits and _, such as DELTA_TOO_LARGE, not %q", r.code)
	} else if slices.Contains(gateCodes, r.code) {
		d.Problem(node, pointer+"/code", "%s is a code of the gate itself", r.code).Fix("choose another code")
	}
	severities := []string{string(report.Info), string(report.Warn), string(report.DenySeverity)}
	if !slices.Contains(severities, string(r.severity)) {
		d.Unknown(at(keys["severity"], node), pointer+"/severity", "severity", string(r.severity), severities)
	}
	if r.message == "" {
		d.Problem(node, pointer+"/message", "the rule has no message").Fix("say in one sentence what it means when the rule holds")
	}
	if n := keys["forEach"]; n != nil {
		if over := d.Text(n, pointer+"/forEach", maxText); over != "target" {
			d.Unknown(n, pointer+"/forEach", "forEach", over, []string{"target"})
		}
		r.perTarget = true
	}
	if keys["when"] == nil {
		d.Problem(node, pointer+"/when", "the rule does not say when it holds").Fix("add when: with a CEL expression")
	}
	bare, err := env.of(r.perTarget, false) // a limit is not stated in terms of itself
	if err != nil {
		d.Problem(node, pointer, "%v", err)
		return r
	}
	limited, err := env.of(r.perTarget, keys["limit"] != nil)
	if err != nil {
		d.Problem(node, pointer, "%v", err)
		return r
	}
	r.when = d.expression(keys["when"], pointer+"/when", limited, cel.BoolType)
	r.value = d.expression(keys["value"], pointer+"/value", limited, cel.DoubleType)
	r.limit = d.expression(keys["limit"], pointer+"/limit", bare, cel.DoubleType)
	return r
}

// expression compiles a CEL expression. A bare number or true is one too, as YAML takes away its quotes.
func (d *reader) expression(node *yaml.Node, pointer string, env *cel.Env, want *cel.Type) *expression {
	if node == nil {
		return nil
	}
	if node.Kind != yaml.ScalarNode || node.Tag == "!!null" || node.Value == "" {
		d.Problem(node, pointer, "expected a CEL expression, not %s", document.Describe(node))
		return nil
	}
	e, err := compile(env, node.Value, want)
	if err != nil {
		d.Problem(node, pointer, "%v", err).Fix("correct the expression; a policy with a rule that cannot be evaluated is not used")
		return nil
	}
	return e
}

// at is a node, or the one around it when there is none.
func at(node, around *yaml.Node) *yaml.Node {
	if node == nil {
		return around
	}
	return node
}
