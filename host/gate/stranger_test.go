package gate

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/report"
	"github.com/tenon-ml/tenon/wasm/modules"
	"github.com/tenon-ml/tenon/wasm/sandbox/wasmtest"
)

// manifestOf is a manifest of module id, with more members behind the others.
func manifestOf(id, more string) string {
	return `{"id":"` + id + `","version":"1.0.0","title":"t","cost":"factors","needs":["kernels"]` + more + `}`
}

// writeModule writes NAME.wasm and NAME.json and returns the policy's entry for them, without braces.
func writeModule(t *testing.T, dir, name, manifest string, wasm []byte) string {
	t.Helper()
	writeFile(t, filepath.Join(dir, name+".wasm"), wasm)
	writeFile(t, filepath.Join(dir, name+".json"), []byte(manifest))
	return fmt.Sprintf(`id: %s, file: %s.wasm, sha256: "%x", manifest_sha256: "%x"`, name, name, sha256.Sum256(wasm), sha256.Sum256([]byte(manifest)))
}

func writeFile(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// policyOf is a policy of modules, each given without braces, with top-level lines before them, that admits what nothing speaks against.
func policyOf(top string, entries ...string) string {
	return "schema: tenon.policy/v1\nname: strangers\n" + top + "modules:\n  - {" + strings.Join(entries, "}\n  - {") + "}\n" +
		`rules:
  - {code: DIAGNOSTIC_DENIES, severity: deny, when: "findings.exists(f, f.severity == 'deny')", message: a diagnostic denies}
`
}

// loadPolicy writes a policy into dir and loads it.
func loadPolicy(t *testing.T, dir, text string) (*Policy, error) {
	t.Helper()
	path := filepath.Join(dir, "policy.yaml")
	writeFile(t, path, []byte(text))
	return LoadPolicy(path)
}

// checked is the report of a small adapter by the policy in dir.
func checked(t *testing.T, g *Gate) *report.Report {
	t.Helper()
	r, err := g.Check(t.Context(), Subject{Binding: bound(t, testBase(t), testAdapter(t, qProj))})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := report.JSON(&out, r); err != nil {
		t.Error(err)
	}
	return r
}

// denials are the codes of findings of severity deny.
func denials(r *report.Report) string {
	var codes []string
	for _, f := range r.Findings {
		if f.Severity == report.DenySeverity {
			codes = append(codes, f.Code)
		}
	}
	return strings.Join(codes, " ")
}

func TestStrangerRuns(t *testing.T) {
	dir := t.TempDir()
	entry := writeModule(t, dir, "mine", manifestOf("mine", ""), wasmtest.Quiet().Encode())
	p, err := loadPolicy(t, dir, policyOf("on_failure: closed\n", entry+", grant: [kernels], on_failure: closed"))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Missing(); err != nil {
		t.Error(err)
	}
	writeFile(t, filepath.Join(dir, "mine.wasm"), []byte("changed after it was pinned and read"))
	r := checked(t, &Gate{Policy: p, Runner: sandboxed()})
	if r.Verdict != report.Admit || len(r.Modules) != 1 {
		t.Fatalf("%s %+v", r.Verdict, r.Modules)
	}
	m := r.Modules[0]
	if m.Origin != "mine.wasm" || m.SHA256 != p.Modules[0].SHA256 || m.ManifestSHA256 != p.Modules[0].ManifestSHA256 || m.Runs != 1 {
		t.Errorf("%+v", m)
	}
}

// What cannot be loaded keeps the gate closed, and says so under a code of its own.
func TestStrangersThatCannotBeLoaded(t *testing.T) {
	guest := wasmtest.Quiet().Encode()
	builtin, err := modules.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name  string
		entry func(t *testing.T, dir string) string
		says  string
	}{
		{"no file", func(t *testing.T, dir string) string {
			entry := writeModule(t, dir, "mine", manifestOf("mine", ""), guest)
			if err := os.Remove(filepath.Join(dir, "mine.wasm")); err != nil {
				t.Fatal(err)
			}
			return entry
		}, "no such file"},
		{"another build", func(t *testing.T, dir string) string {
			entry := writeModule(t, dir, "mine", manifestOf("mine", ""), guest)
			writeFile(t, filepath.Join(dir, "mine.wasm"), append(slices.Clone(guest), 0))
			return entry
		}, "the policy pins sha256 "},
		{"another manifest", func(t *testing.T, dir string) string {
			entry := writeModule(t, dir, "mine", manifestOf("mine", ""), guest)
			writeFile(t, filepath.Join(dir, "mine.json"), []byte(manifestOf("mine", " ")))
			return entry
		}, "the policy pins manifest_sha256 "},
		{"a manifest of another guest", func(t *testing.T, dir string) string {
			return writeModule(t, dir, "mine", manifestOf("mine", `,"sha256":"`+strings.Repeat("0", 64)+`"`), guest)
		}, "not of one build"},
		{"a manifest of another module", func(t *testing.T, dir string) string {
			return writeModule(t, dir, "mine", manifestOf("yours", ""), guest)
		}, "the policy calls it mine, and its manifest yours"},
		{"a manifest with a need nobody knows", func(t *testing.T, dir string) string {
			return writeModule(t, dir, "mine", manifestOf("mine", `,"network":true`), guest)
		}, "network"},
		{"a manifest that says much", func(t *testing.T, dir string) string {
			return writeModule(t, dir, "mine", manifestOf("mine", `,"\u001b[2J`+strings.Repeat("x", 1<<19)+`":true`), guest)
		}, "xxx"},
		{"the guest of a built-in module", func(t *testing.T, dir string) string {
			return writeModule(t, dir, "mine", manifestOf("mine", ""), builtin[0].Wasm)
		}, "its guest is that of " + builtin[0].Manifest.ID},
		{"a parameter it does not have", func(t *testing.T, dir string) string {
			return writeModule(t, dir, "mine", manifestOf("mine", ""), guest) + ", params: {depth: 1}"
		}, `parameter "depth"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			p, err := loadPolicy(t, dir, policyOf("", test.entry(t, dir)))
			if err != nil {
				t.Fatal(err)
			}
			r := checked(t, &Gate{Policy: p, Runner: &fakeRunner{}})
			want, missing := "MODULE_FILE", p.Missing()
			if strings.Contains(test.name, "parameter") {
				want = "MODULE_FAILED"
			} else if missing == nil || fault.ClassOf(missing) != fault.Inconclusive {
				t.Errorf("missing is %v", missing)
			}
			if r.Verdict != report.Inconclusive || denials(r) != want || len(r.Findings[0].Message) > 2<<10 || !strings.Contains(r.Findings[0].Message, test.says) {
				t.Errorf("%s %+v, want %s that says %q", r.Verdict, r.Findings, want, test.says)
			}
		})
	}
}

func TestStrangersOfAParsedPolicy(t *testing.T) {
	pins := `, sha256: "` + strings.Repeat("a", 64) + `", manifest_sha256: "` + strings.Repeat("b", 64) + `"`
	g := &Gate{Policy: mustPolicy(t, policyOf("", "id: mine, file: mine.wasm"+pins)), Runner: &fakeRunner{}}
	if r := checked(t, g); r.Verdict != report.Inconclusive || denials(r) != "MODULE_FILE" {
		t.Errorf("%s %+v", r.Verdict, r.Findings)
	}
}

func TestPoliciesOfStrangersRefused(t *testing.T) {
	pins := func(a, b string) string {
		return `, sha256: "` + strings.Repeat(a, 64) + `", manifest_sha256: "` + strings.Repeat(b, 64) + `"`
	}
	mine := "id: mine, file: mine.wasm" + pins("a", "b")
	for _, c := range []struct {
		name, top, entries string
		says               string // "": accepted
	}{
		{"pinned", "", mine, ""},
		{"in a folder", "", "id: mine, file: third/mine.wasm" + pins("a", "b"), ""},
		{"by its whole path", "", "id: mine, file: /modules/mine.wasm" + pins("a", "b"), ""},
		{"pins of a built-in module", "", "id: hygiene" + pins("a", "b"), ""},
		{"a list of revoked modules", "revoked: revoked.txt\n", mine, ""},
		{"closed", "on_failure: closed\n", mine + ", on_failure: closed", ""},
		{"no pin", "", "id: mine, file: mine.wasm", "needs sha256"},
		{"no pin of the manifest", "", `id: mine, file: mine.wasm, sha256: "` + strings.Repeat("a", 64) + `"`, "manifest_sha256"},
		{"a short pin", "", `id: mine, file: mine.wasm, manifest_sha256: "ab", sha256: "` + strings.Repeat("a", 64) + `"`, "64 lower-case"},
		{"a pin in capitals", "", "id: mine, file: mine.wasm" + pins("A", "b"), "64 lower-case"},
		{"a path that climbs", "", "id: mine, file: ../mine.wasm" + pins("a", "b"), "below the policy's directory"},
		{"a path that climbs later", "", "id: mine, file: a/../../mine.wasm" + pins("a", "b"), "below the policy's directory"},
		{"an empty path", "", `id: mine, file: ""` + pins("a", "b"), "path of a file"},
		{"a path with NUL", "", `id: mine, file: "a\0.wasm"` + pins("a", "b"), "below the policy's directory"},
		{"no .wasm", "", "id: mine, file: mine.json" + pins("a", "b"), "NAME.wasm"},
		{"no name", "", "id: mine, file: .wasm" + pins("a", "b"), "NAME.wasm"},
		{"a name of Tenon's own", "", "id: hygiene, file: mine.wasm" + pins("a", "b"), "ships with Tenon"},
		{"the name of rules", "", "id: policy, file: mine.wasm" + pins("a", "b"), "and not"},
		{"one id twice", "", mine + "}\n  - {id: mine", "used twice"},
		{"one guest under two manifests", "", mine + "}\n  - {id: other, file: other.wasm" + pins("a", "c"), "one guest, under two manifests"},
		{"open", "on_failure: open\n", mine, "could then pass any adapter"},
		{"open for one module", "", mine + ", on_failure: open", "could then pass any adapter"},
		{"something else on failure", "on_failure: warn\n", mine, "on_failure is closed"},
		{"a list of revoked modules elsewhere", "revoked: ../revoked.txt\n", mine, "below the policy's directory"},
		{"a list without a name", "revoked: \n", mine, "expected"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ParsePolicy("p.yaml", []byte(policyOf(c.top, c.entries)))
			switch {
			case c.says == "" && err != nil:
				t.Error(err)
			case c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says) || fault.ClassOf(err) != fault.Usage):
				t.Errorf("error is %v, want it to say %q", err, c.says)
			}
		})
	}
}

// A module that says what it needs is not begun with less.
func TestAdmissionByLimits(t *testing.T) {
	dir := t.TempDir()
	manifest := manifestOf("mine", `,"limits":{"guest_memory":134217728,"run_ms":600000,"findings":10}`)
	entry := writeModule(t, dir, "mine", manifest, wasmtest.Quiet().Encode())
	p, err := loadPolicy(t, dir, policyOf("", entry))
	if err != nil {
		t.Fatal(err)
	}
	runner := &fakeRunner{}
	r := checked(t, &Gate{Policy: p, Runner: runner})
	if len(runner.jobs) != 0 {
		t.Error("it ran")
	}
	f := r.Findings[0]
	if r.Verdict != report.Inconclusive || f.Code != "MODULE_FAILED" || r.Modules[0].Status != "denied" ||
		!strings.Contains(f.Message, "asks for guest_memory 134217728 and gets 67108864, run_ms 600000 and gets 10000") ||
		!strings.HasSuffix(f.Hint, "limits: {guestMemory: 134217728, runMs: 600000}") {
		t.Errorf("%s %+v", r.Verdict, f)
	}
	_, lines, _ := strings.Cut(f.Hint, ": ") // what the hint says helps
	if p, err = loadPolicy(t, dir, policyOf("", entry+", "+lines)); err != nil {
		t.Fatal(err)
	}
	if r := checked(t, &Gate{Policy: p, Runner: runner}); r.Verdict != report.Admit || len(runner.jobs) != 1 {
		t.Errorf("%s %+v", r.Verdict, r.Findings)
	}
	// In a policy that spells limits as manifests do, the hint does too.
	if p, err = loadPolicy(t, dir, policyOf("", entry+", limits: {guest_memory: 134217728, run_ms: 77}")); err != nil {
		t.Fatal(err)
	}
	f = checked(t, &Gate{Policy: p, Runner: runner}).Findings[0]
	if !strings.Contains(f.Message, "asks for run_ms 600000 and gets 77") || !strings.HasSuffix(f.Hint, "limits: {run_ms: 600000}") {
		t.Errorf("%+v", f)
	}
}
