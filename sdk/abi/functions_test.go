package abi

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite testdata/functions.golden")

// signatures lists every function of the ABI, one a line, in the order of Functions, and then what a guest may import of WASI.
func signatures() string {
	names := map[ValueType]string{I32: "i32", I64: "i64", F64: "f64"}
	var lines []string
	for _, f := range Functions {
		params := make([]string, len(f.Params))
		for i, p := range f.Params {
			params[i] = names[p]
		}
		capability := f.Capability
		if capability == CapNone {
			capability = "-"
		}
		lines = append(lines, fmt.Sprintf("%s.%s (%s) -> (i32) %s", Module, f.Name, strings.Join(params, ", "), capability))
	}
	for _, name := range WASI {
		lines = append(lines, WASIModule+"."+name)
	}
	return strings.Join(lines, "\n") + "\n"
}

// TestSignaturesNeverChange: version 1 only grows. A line that is in the golden file stays there for ever; -update may add lines.
func TestSignaturesNeverChange(t *testing.T) {
	const golden = "testdata/functions.golden"
	have := signatures()
	want, err := os.ReadFile(golden)
	if err != nil && !*update {
		t.Fatal(err)
	}
	lines := strings.Split(have, "\n")
	for line := range strings.Lines(string(want)) {
		if !slices.Contains(lines, strings.TrimSuffix(line, "\n")) {
			t.Errorf("a function of version 1 is gone or changed: %s", line)
		}
	}
	if *update && !t.Failed() {
		if err := os.WriteFile(golden, []byte(have), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if have != string(want) {
		t.Errorf("the functions differ from %s; -update adds new ones", golden)
	}
}

// TestFunctionsAreDocumented holds ABI.md and the godoc to the list.
func TestFunctionsAreDocumented(t *testing.T) {
	prose, err := os.ReadFile("ABI.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, f := range Functions {
		if seen[f.Name] {
			t.Errorf("%s is there twice", f.Name)
		}
		seen[f.Name] = true
		if f.Doc == "" || !strings.Contains(string(prose), "`"+f.Name+"`") {
			t.Errorf("%s is not documented", f.Name)
		}
	}
	for _, name := range WASI {
		if !strings.Contains(string(prose), "`"+name+"`") {
			t.Errorf("ABI.md does not list %s of WASI", name)
		}
	}
	for status, name := range statusNames {
		if !strings.Contains(string(prose), fmt.Sprintf("| %d |", status)) {
			t.Errorf("ABI.md does not list status %d, %s", status, name)
		}
	}
}
