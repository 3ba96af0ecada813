package conformance

import (
	"bytes"
	"crypto/sha256"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/tenon-ml/tenon/internal/toolchain"
	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/conformance/input"
	"github.com/tenon-ml/tenon/wasm/sandbox"
	"github.com/tenon-ml/tenon/wasm/worker"
)

var update = flag.Bool("update", false, "write the golden reports from what the Go guest gives")

func TestMain(m *testing.M) {
	if worker.Invoked() {
		worker.Main()
	}
	goleak.VerifyTestMain(m)
}

// languages say which compiler each SDK's Makefile is given. Go comes first: it writes the golden files.
var languages = []struct {
	name     string
	sdk      string                  // its folder below sdk
	compiler func(*testing.T) string // as a variable of make
}{
	{"go", "diag", func(*testing.T) string { return "GO=go" }},
	{"c", "c", func(t *testing.T) string { return "CLANG=" + toolchain.Clang(t) }},
	{"rust", "rust", func(t *testing.T) string { return "RUSTC=" + toolchain.Rustc(t) }},
	{"assemblyscript", "assemblyscript", func(t *testing.T) string { return "ASC=" + toolchain.AssemblyScript(t) }},
}

// Every SDK's guest gives the same report, imports the whole ABI with its exact types, and keeps a failure that nobody looks at.
func TestConformance(t *testing.T) {
	for _, language := range languages {
		t.Run(language.name, func(t *testing.T) {
			compiler := language.compiler(t)
			out := filepath.Join(t.TempDir(), "conformance.wasm")
			sdk := filepath.Join(toolchain.Root(t), "sdk")
			toolchain.Watch(t, filepath.Join(sdk, language.sdk))
			toolchain.Make(t, filepath.Join(sdk, "conformance", language.name), "OUT="+out, compiler)
			wasm, err := os.ReadFile(out)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("the guest has %d bytes", len(wasm))
			importsEverything(t, wasm)
			writes := *update && language.name == "go"
			compare(t, "golden.json", reportOf(run(t, wasm, 0)), writes)
			kept := run(t, wasm, 1)
			log := lines(kept)
			if !slices.ContainsFunc(log, func(line string) bool { return strings.Contains(line, "param") }) {
				t.Errorf("the log does not say that param failed: %q", log)
			}
			kept.Log = ""
			compare(t, "kept.json", reportOf(kept), writes)
			refusedWithout(t, wasm)
		})
	}
}

// job is a run of a guest on the conformance input.
func job(t *testing.T, wasm []byte, keep float64, granted []abi.Capability) worker.Job {
	t.Helper()
	return worker.Job{Wasm: wasm, SHA256: sha256.Sum256(wasm), Manifest: input.Manifest, Granted: granted, Limits: input.Limits,
		Input: conformanceInput(t, keep)}
}

// run runs a guest in a worker.
func run(t *testing.T, wasm []byte, keep float64) sandbox.Result {
	t.Helper()
	result, _ := new(worker.Runner).Run(t.Context(), job(t, wasm, keep, input.Manifest.Needs))
	if want := map[float64]sandbox.Status{0: sandbox.OK, 1: sandbox.GuestError}[keep]; result.Status != want {
		t.Fatalf("the run ended as %s, not %s: %s\n%s", result.Status, want, result.Error, result.Log)
	}
	return result
}

func lines(result sandbox.Result) []string {
	return strings.Split(strings.TrimSuffix(result.Log, "\n"), "\n")
}

// compare holds a report to a golden file, or writes that.
func compare(t *testing.T, name string, got report, writes bool) {
	t.Helper()
	path := filepath.Join(toolchain.Root(t), "sdk", "conformance", "testdata", name)
	text := got.encode(t)
	if writes {
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(text, want) {
		t.Errorf("the report is not %s; -update writes it from the Go guest\n%s", name, difference(string(text), string(want)))
	}
}

// difference gives the first lines in which two texts differ.
func difference(got, want string) string {
	a, b := strings.Split(got, "\n"), strings.Split(want, "\n")
	i := 0
	for i < min(len(a), len(b)) && a[i] == b[i] {
		i++
	}
	around := func(lines []string) string {
		return strings.Join(lines[min(max(0, i-2), len(lines)):min(i+3, len(lines))], "\n")
	}
	return "got:\n" + around(a) + "\nwant:\n" + around(b)
}

// importsEverything fails for each function of the ABI that the guest does not import.
func importsEverything(t *testing.T, wasm []byte) {
	t.Helper()
	names, err := importsOf(wasm)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range abi.Functions {
		if !slices.Contains(names, abi.Module+"."+f.Name) {
			t.Errorf("the guest does not import %s", f.Name)
		}
	}
}

// refusedWithout fails unless the guest is refused before it runs where the operator keeps back any one of the capabilities.
func refusedWithout(t *testing.T, wasm []byte) {
	t.Helper()
	for i, capability := range input.Manifest.Needs {
		granted := slices.Delete(slices.Clone(input.Manifest.Needs), i, i+1)
		result, _ := new(worker.Runner).Run(t.Context(), job(t, wasm, 0, granted))
		if result.Status != sandbox.Denied || !strings.Contains(result.Error, strconv.Quote(string(capability))) || len(result.Metrics) > 0 {
			t.Errorf("without %s the run ends as %s: %s", capability, result.Status, result.Error)
		}
	}
}
