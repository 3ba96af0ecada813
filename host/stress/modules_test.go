package stress

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/host/gate"
	"github.com/tenon-ml/tenon/host/report"
	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/wasm/modules"
	"github.com/tenon-ml/tenon/wasm/sandbox"
	"github.com/tenon-ml/tenon/wasm/sandbox/wasmtest"
)

// subject is a module of the test and what it must come to.
type subject struct {
	id      string
	policy  string // file
	mark    int    // what it gives as metric mark, -1 for none
	verdict report.Verdict
	status  sandbox.Status
	builtin bool // then what it gives is what it gave alone
}

// marking is a guest that gives its number and a weight of the adapter, and a finding of a severity unless that is below 0.
func marking(mark, severity int) wasmtest.Module {
	const out, weight = wasmtest.Scratch, wasmtest.Scratch + 64
	steps := []wasmtest.Step{wasmtest.Do("target_info", 0, out), wasmtest.Do("tensor_read_f64", wasmtest.LoadI32(out), int64(1), weight, 1),
		wasmtest.Do("metric", -1, -1, "mark", float64(mark)), wasmtest.Do("metric", -1, -1, "weight", wasmtest.LoadF64(weight))}
	if severity >= 0 {
		steps = append(steps, wasmtest.Do("finding", -1, severity, "MARKED", fmt.Sprintf("marked by module %d", mark), "", float64(mark), 0.0))
	}
	return wasmtest.Script(steps...)
}

// What a module gets that ends by itself, however busy the machine is, and one that has to be killed.
const (
	patient = "{runMs: 600000, compileMs: 600000}"
	brief   = "{runMs: 300, compileMs: 1000}"
)

// hostile are modules that do harm, and how each run must end.
var hostile = []struct {
	module wasmtest.Module
	limits string
	status sandbox.Status
}{
	{wasmtest.Spinning(), brief, sandbox.Timeout},
	{wasmtest.Overflowing(), patient, sandbox.Trap},
	{wasmtest.GrowingTable(), patient, sandbox.Invalid},
	{wasmtest.Nesting(1_900, 40), brief, sandbox.Timeout},
	{wasmtest.Returning(9), patient, sandbox.GuestError},
}

// count is how many modules there are: those that ship with Tenon, the hostile ones, and guests that differ in their bytes.
const count = 100

// subjects writes a policy for every module, and the guests beside it.
func subjects(t *testing.T, dir string) []subject {
	t.Helper()
	builtin, err := modules.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	var all []subject
	for _, m := range builtin {
		var grant []string
		for _, need := range m.Manifest.Needs {
			grant = append(grant, string(need))
		}
		s := subject{id: m.Manifest.ID, mark: -1, status: sandbox.OK, builtin: true}
		s.policy = writePolicy(t, dir, s.id, fmt.Sprintf("{id: %s, sha256: %x, grant: [%s], limits: %s}", s.id, m.SHA256,
			strings.Join(grant, ", "), patient))
		all = append(all, s)
	}
	for i, h := range hostile {
		s := subject{id: fmt.Sprintf("hostile-%d", i), mark: -1, verdict: report.Inconclusive, status: h.status}
		s.policy = writeGuest(t, dir, s.id, h.module, h.limits)
		all = append(all, s)
	}
	verdicts := []report.Verdict{report.Admit, report.Admit, report.WarnVerdict, report.Deny}
	for i := len(all); i < count; i++ {
		severity := i%4 - 1 // none, info, warn, deny
		s := subject{id: fmt.Sprintf("guest-%d", i), mark: i, verdict: verdicts[i%4], status: sandbox.OK}
		s.policy = writeGuest(t, dir, s.id, marking(i, severity), patient)
		all = append(all, s)
	}
	return all
}

// writeGuest writes a module with a manifest, and a policy that pins both.
func writeGuest(t *testing.T, dir, id string, m wasmtest.Module, limits string) string {
	t.Helper()
	wasm := m.Encode()
	manifest := fmt.Appendf(nil, `{"id": %q, "version": "1.0.0", "title": "a guest", "cost": %q, "needs": []}`, id, abi.CostFactors)
	write(t, filepath.Join(dir, id+".wasm"), wasm)
	write(t, filepath.Join(dir, id+".json"), manifest)
	return writePolicy(t, dir, id, fmt.Sprintf("{id: %s, file: %s.wasm, sha256: %x, manifest_sha256: %x, limits: %s}", id, id,
		sha256.Sum256(wasm), sha256.Sum256(manifest), limits))
}

func writePolicy(t *testing.T, dir, id, module string) string {
	t.Helper()
	path := filepath.Join(dir, id+".yaml")
	write(t, path, fmt.Appendf(nil, `schema: %s
name: %s
modules:
  - %s
rules:
  - {code: DENIED, severity: deny, when: "findings.exists(f, f.severity == 'deny')", message: a module denies}
  - {code: WARNED, severity: warn, when: "findings.exists(f, f.severity == 'warn' && f.module == '%s')", message: a module warns}
`, gate.PolicySchema, id, module, id))
	return path
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}
