package gate

import (
	"encoding/hex"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/tenon-ml/tenon/host/document"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/wasm/modules"
	"github.com/tenon-ml/tenon/wasm/sandbox"
)

// stranger is a module that does not ship with Tenon, as it was read with its policy: later changes of its files cannot matter.
type stranger struct {
	module  modules.Module
	refused *refusal // why it cannot be used
}

// openStranger reads the files of a module. dir is the policy's.
func openStranger(dir string, r Requirement) *stranger {
	path := r.File
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	m, err := modules.Open(path)
	if err != nil {
		return &stranger{refused: unfit(fault.ModuleFile, "%s", sandbox.Plain(err.Error(), maxText))} // it can quote the manifest
	}
	refused := pinned(r, m)
	switch {
	case refused != nil:
		refused.code = fault.ModuleFile
	case m.Manifest.ID != r.ID:
		refused = unfit(fault.ModuleFile, "the policy calls it %s, and its manifest %s", r.ID, m.Manifest.ID)
	default:
		refused = borrowed(m)
	}
	if refused != nil {
		return &stranger{refused: refused}
	}
	return &stranger{module: m}
}

// borrowed refuses the guest of a module that ships with Tenon under a manifest of somebody else.
func borrowed(m modules.Module) *refusal {
	builtin, err := modules.Builtin()
	if err != nil {
		return unfit(fault.ModuleFile, "the modules that ship with Tenon cannot be read: %v", err)
	}
	for _, own := range builtin {
		if own.SHA256 == m.SHA256 {
			return unfit(fault.ModuleFile, "its guest is that of %s, which ships with Tenon, and its manifest is another", own.Manifest.ID)
		}
	}
	return nil
}

// Missing is what is wrong with the files of the policy's modules: each keeps the gate closed. nil when nothing is.
func (p *Policy) Missing() error {
	var list fault.List
	for _, r := range p.Modules {
		if r.opened != nil && r.opened.refused != nil {
			list.Add(fault.New(fault.ModuleFile, "module %s: %s", r.ID, r.opened.refused.text).In(r.File).Fix("put the files there that the policy pins"))
		}
	}
	return list.Err()
}

// stranger reads what a policy says about the files of a module.
func (d *reader) stranger(r *Requirement, node, file *yaml.Node, pointer string) {
	r.File = d.beside(file, pointer+"/file")
	if r.File != "" && (!strings.HasSuffix(r.File, ".wasm") || filepath.Base(r.File) == ".wasm") {
		d.Problem(file, pointer+"/file", "the file of a module is NAME.wasm, not %s", document.Describe(file)).Fix("its manifest is expected beside it, as NAME.json")
	}
	if r.SHA256 == "" || r.ManifestSHA256 == "" {
		d.Problem(node, pointer, "a module with a file needs sha256, of the file, and manifest_sha256, of the JSON file beside it").
			Fix("see: tenon module show %s", document.Describe(file))
	}
}

// strangers refuses modules that could be taken for others: under an id of Tenon's own, or one guest under two manifests.
func (d *reader) strangers(p *Policy, list *yaml.Node) {
	if !slices.ContainsFunc(p.Modules, func(r Requirement) bool { return r.File != "" }) {
		return
	}
	builtin, err := modules.Builtin()
	if err != nil {
		d.Problem(list, "/modules", "the modules that ship with Tenon cannot be read: %v", err)
		return
	}
	guests := map[string]string{}
	for _, r := range p.Modules {
		if r.File == "" {
			continue
		}
		if slices.ContainsFunc(builtin, func(m modules.Module) bool { return m.Manifest.ID == r.ID }) {
			d.Problem(list, "/modules", "%s is a module that ships with Tenon, and a file cannot take its name", r.ID).
				Fix("give the module another id, in its manifest and here")
		}
		if other := guests[r.SHA256]; r.SHA256 != "" && other != "" {
			d.Problem(list, "/modules", "modules %s and %s pin one guest, under two manifests", other, r.ID).Fix("keep one")
		}
		guests[r.SHA256] = r.ID
	}
}

// beside reads the path of a file that belongs to a policy: below the policy's directory, or absolute. A path that climbs out would mean
// another file wherever the policy is copied to.
func (d *reader) beside(n *yaml.Node, pointer string) string {
	path := d.Text(n, pointer, maxText)
	if path != "" && (strings.ContainsRune(path, 0) || !filepath.IsAbs(path) && !filepath.IsLocal(path)) {
		d.Problem(n, pointer, "%s is neither below the policy's directory nor absolute", document.Describe(n)).Fix("put the file beside the policy, or write its whole path")
		return ""
	}
	if path == "" {
		d.Problem(n, pointer, "expected the path of a file, not %s", document.Describe(n))
	}
	return path
}

// pin reads a SHA-256; "" for an absent one.
func (d *reader) pin(n *yaml.Node, pointer string) string {
	if n == nil {
		return ""
	}
	if sum, err := hex.DecodeString(n.Value); n.Kind != yaml.ScalarNode || err != nil || len(sum) != 32 || strings.ToLower(n.Value) != n.Value {
		d.Problem(n, pointer, "a pin is 64 lower-case hexadecimal digits, not %s", document.Describe(n)) // digits only are no string to YAML
	}
	return n.Value
}

// onFailure accepts the one thing that happens when a module does not run to its end.
func (d *reader) onFailure(n *yaml.Node, pointer string) {
	if n == nil {
		return
	}
	if word := d.Text(n, pointer, maxText); word == "open" {
		d.Problem(n, pointer, "on_failure: open is not offered: whoever can make a module fail could then pass any adapter").
			Fix("take the module out of the policy if its answer does not matter, or write on_failure: closed")
	} else if word != "closed" {
		d.Problem(n, pointer, "on_failure is closed, not %s", document.Describe(n)).Fix("write on_failure: closed, or nothing, which means the same")
	}
}
