package gate

import (
	"crypto/sha256"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/tenon-ml/tenon/host/document"
)

// extend begins p with the policy that the file extends, less what it does without. A module or rule that the file then gives takes the
// place of the one with the same id or code.
func (p *Policy) extend(d *reader, root *yaml.Node, keys map[string]*yaml.Node, known map[string]*Policy) {
	without := d.Sequence(keys["without"], "/without")
	if keys["extends"] == nil {
		if keys["without"] != nil {
			d.Problem(keys["without"], "/without", "the policy extends none, so there is nothing to leave out").Fix("add extends: default")
		}
		return
	}
	name := d.Text(keys["extends"], "/extends", maxText)
	parent, ok := known[name]
	if !ok {
		names := slices.DeleteFunc(BuiltinNames(), func(n string) bool { return known[n] == nil })
		d.Unknown(keys["extends"], "/extends", "policy", name, names)
		return
	}
	own := p.Digest
	p.Digest = sha256.Sum256(slices.Concat(own[:], parent.Digest[:]))
	p.Modules, p.rules = slices.Clone(parent.Modules), slices.Clone(parent.rules)
	if p.Probe == "" {
		p.Probe = parent.Probe
	}
	for i, node := range without {
		pointer := document.PointerTo("/without", i)
		if word := d.Text(node, pointer, maxText); !p.remove(word) {
			d.Problem(node, pointer, "%q is no module and no rule of policy %s", word, name).Fix("see: tenon policy show %s", name)
		}
	}
}

// remove takes out a module by its id or a rule by its code, and reports whether there was one. Ids are of small letters, codes of capitals.
func (p *Policy) remove(word string) bool {
	before := len(p.Modules) + len(p.rules)
	p.Modules = slices.DeleteFunc(p.Modules, func(r Requirement) bool { return r.ID == word })
	p.rules = slices.DeleteFunc(p.rules, func(r rule) bool { return r.code == word })
	return len(p.Modules)+len(p.rules) < before
}

// require adds a module, or puts it in the place of the one with its id.
func (p *Policy) require(r Requirement) {
	if i := slices.IndexFunc(p.Modules, func(o Requirement) bool { return o.ID == r.ID }); i >= 0 {
		p.Modules[i] = r
		return
	}
	p.Modules = append(p.Modules, r)
}

// add adds a rule, or puts it in the place of the one with its code.
func (p *Policy) add(r rule) {
	if i := slices.IndexFunc(p.rules, func(o rule) bool { return o.code == r.code }); i >= 0 {
		p.rules[i] = r
		return
	}
	p.rules = append(p.rules, r)
}
