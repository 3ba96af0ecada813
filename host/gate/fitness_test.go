package gate

import (
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/wasm/modules"
	"github.com/tenon-ml/tenon/wasm/sandbox/wasmtest"
)

// TestFit: what keeps the gate closed whatever the adapter is told before there is one, and what need not is not refused.
func TestFit(t *testing.T) {
	installed, err := modules.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	const needs = `,"params":{"key":{"default":0,"doc":"d"}},"limits":{"guest_memory":134217728,"run_ms":600000}}`
	manifest := strings.Replace(manifestOf("mine", ""), `["kernels"]}`, `["base","kernels"]`+needs, 1)
	for _, c := range []struct {
		name, imports, fields string
		note, says            string // "" for none
	}{
		{"in order", "matmul", "grant: [base, kernels], params: {key: 3}, limits: {guestMemory: 134217728, runMs: 600000}", "", ""},
		{"a deadline that grows with the adapter", "matmul", "grant: [base, kernels], limits: {guestMemory: 134217728}", "", ""},
		{"an import that is not granted", "matmul", "grant: [base], limits: {guestMemory: 134217728}", "", "it imports functions of kernels, which the policy does not grant"},
		{"a need that is not granted", "matmul", "grant: [kernels], limits: {guestMemory: 134217728}", "needs base, by its manifest", ""},
		{"an import its manifest does not need", "peer_count", "grant: [base, peers, kernels], limits: {guestMemory: 134217728}", "", "peer_count"},
		{"a parameter it does not have", "matmul", "grant: [base, kernels], params: {kye: 3}, limits: {guestMemory: 134217728}", "", `did you mean "key"?`},
		{"less memory than it asks for", "matmul", "grant: [base, kernels]", "", "asks for guest_memory 134217728 and gets 67108864"},
		{"less time than it asks for", "matmul", "grant: [base, kernels], limits: {guestMemory: 134217728, runMs: 1}", "", "asks for run_ms 600000 and gets 1"},
		{"a built-in module with less than it needs", "matmul", "grant: [base, kernels], limits: {guestMemory: 134217728}}\n  - {id: outliers, grant: [kernels]", "", ""},
		{"a built-in module with too little", "matmul", "grant: [base, kernels], limits: {guestMemory: 134217728}}\n  - {id: spectrum", "", "module spectrum: it imports functions of kernels"},
		{"a built-in module's parameter", "matmul", "grant: [base, kernels], limits: {guestMemory: 134217728}}\n  - {id: hygiene, grant: [base, kernels], params: {depth: 1}", "",
			`module hygiene: the policy sets parameter "depth"`},
		{"a module that is not there", "matmul", "grant: [base, kernels], limits: {guestMemory: 134217728}}\n  - {id: horoscope", "", "not installed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			guest := wasmtest.Guest(wasmtest.Host(c.imports), wasmtest.Const(0)...).Encode()
			p, err := loadPolicy(t, dir, policyOf("", writeModule(t, dir, "mine", manifest, guest)+", "+c.fields))
			if err != nil {
				t.Fatal(err)
			}
			notes, err := p.Fit(installed)
			if said := strings.Join(notes, "\n"); (c.note == "") != (said == "") || !strings.Contains(said, c.note) {
				t.Errorf("notes are %q, want %q", said, c.note)
			}
			switch {
			case c.says == "" && err != nil:
				t.Error(err)
			case c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says) || fault.ClassOf(err) != fault.Inconclusive):
				t.Errorf("error is %v, want it to say %q", err, c.says)
			}
		})
	}
	for _, name := range BuiltinNames() {
		p, _ := Builtin(name)
		if notes, err := p.Fit(installed); err != nil || len(notes) > 0 {
			t.Errorf("policy %s: %v %v", name, notes, err)
		}
	}
}
