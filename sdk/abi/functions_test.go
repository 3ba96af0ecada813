package abi

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "add what is new to testdata/v1.golden")

var typeNames = map[ValueType]string{I32: "i32", I64: "i64", F64: "f64"}

// contract lists everything of version 1 that a module can depend on, one a line: what it imports, what it may import of
// WASI, what it exports, where the fields of a struct lie, what each number means, and what its manifest can say.
func contract() string {
	var lines []string
	line := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	for _, f := range Functions {
		params := make([]string, len(f.Params))
		for i, p := range f.Params {
			params[i] = typeNames[p]
		}
		capability := f.Capability
		if capability == CapNone {
			capability = "-"
		}
		line("%s.%s (%s) -> (i32) %s", Module, f.Name, strings.Join(params, ", "), capability)
	}
	for _, name := range WASI {
		line("%s.%s", WASIModule, name)
	}
	line("export %s memory", ExportMemory)
	line("export %s () -> ()", ExportMarker)
	line("export %s () -> (i32)", ExportDiagnose)
	line("export %s () -> () optional", ExportInitialize)
	for _, s := range Structs {
		line("struct %s %d bytes", s.Name, s.Size)
		for _, f := range s.Fields {
			line("struct %s.%s offset %d %s", s.Name, f.Name, f.Offset, typeNames[f.Type])
		}
	}
	for _, group := range Constants {
		for _, c := range group.Constants {
			line("constant %s_%s %d", group.Prefix, c.Name, c.Value)
		}
	}
	kinds := map[reflect.Kind]string{reflect.String: "text", reflect.Slice: "list", reflect.Map: "object", reflect.Struct: "object"}
	for _, m := range []struct {
		name string
		of   reflect.Type
	}{
		{"manifest", reflect.TypeFor[Manifest]()},
		{"manifest.params.*", reflect.TypeFor[Parameter]()},
		{"manifest.limits", reflect.TypeFor[Limits]()},
	} {
		for i := range m.of.NumField() {
			member, optional, _ := strings.Cut(m.of.Field(i).Tag.Get("json"), ",")
			kind := kinds[m.of.Field(i).Type.Kind()]
			line("%s.%s %s %s", m.name, member, cmp.Or(kind, "number"), map[bool]string{true: "optional", false: "needed"}[optional == "omitzero"])
		}
	}
	for _, cost := range []Cost{CostFactors, CostWeights, CostVectors} {
		line("manifest.cost %q", cost)
	}
	return strings.Join(lines, "\n") + "\n"
}

// TestVersion1NeverChanges: version 1 only grows. A line that is in the golden file stays there for ever; -update may add lines.
func TestVersion1NeverChanges(t *testing.T) {
	const golden = "testdata/v1.golden"
	have := contract()
	want, err := os.ReadFile(golden)
	if err != nil && !*update {
		t.Fatal(err)
	}
	lines := strings.Split(have, "\n")
	for line := range strings.Lines(string(want)) {
		if !slices.Contains(lines, strings.TrimSuffix(line, "\n")) {
			t.Errorf("a line of version 1 is gone or changed: %s", line)
		}
	}
	if *update && !t.Failed() {
		if err := os.WriteFile(golden, []byte(have), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if have != string(want) {
		t.Errorf("the contract differs from %s; -update adds new lines", golden)
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
	for _, of := range []reflect.Type{reflect.TypeFor[Manifest](), reflect.TypeFor[Limits]()} {
		for i := range of.NumField() {
			if member, _, _ := strings.Cut(of.Field(i).Tag.Get("json"), ","); !strings.Contains(string(prose), "`"+member+"`") {
				t.Errorf("ABI.md does not list %s of a manifest", member)
			}
		}
	}
	for status, name := range statusNames {
		if !strings.Contains(string(prose), fmt.Sprintf("| %d |", status)) {
			t.Errorf("ABI.md does not list status %d, %s", status, name)
		}
	}
}
