package conformance

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/wasm/modules"
)

// importsOf lists the functions that a module imports, as module.name. Only modules that the pre-check accepts come here.
func importsOf(wasm []byte) (names []string, err error) {
	defer func() {
		if recover() != nil {
			err = fmt.Errorf("the module is cut short")
		}
	}()
	r := bytes.NewReader(wasm[8:])
	number := func() int {
		n, err := binary.ReadUvarint(r)
		if err != nil {
			panic(err)
		}
		return int(n)
	}
	text := func() string {
		b := make([]byte, number())
		if n, _ := r.Read(b); n != len(b) {
			panic("short")
		}
		return string(b)
	}
	for r.Len() > 0 {
		section, size := number(), number()
		if section != 2 {
			r.Seek(int64(size), 1)
			continue
		}
		for range number() {
			from, name := text(), text()
			if kind := number(); kind != 0 {
				return nil, fmt.Errorf("%s.%s is an import of kind %d, not a function", from, name, kind)
			}
			number() // its type, which the pre-check holds to the ABI
			names = append(names, from+"."+name)
		}
	}
	return names, nil
}

// known are the functions that any guest may import.
func known() map[string]bool {
	names := map[string]bool{}
	for _, f := range abi.Functions {
		names[abi.Module+"."+f.Name] = true
	}
	for _, name := range abi.WASI {
		names[abi.WASIModule+"."+name] = true
	}
	return names
}

// The diagnostics that ship with Tenon are written with the ABI and nothing else, and together they use it all, but for what is listed with
// its reason in ABI.md.
func TestBuiltinModulesUseNothingButTheABI(t *testing.T) {
	all, err := modules.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	for _, module := range all {
		names, err := importsOf(module.Wasm)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			used[name] = true
			if !known()[name] {
				t.Errorf("%s imports %s", module.Manifest.ID, name)
			}
		}
	}
	var unused []string
	for _, f := range abi.Functions {
		if !used[abi.Module+"."+f.Name] {
			unused = append(unused, f.Name)
		}
	}
	if !slices.Equal(unused, unusedByBuiltins) {
		t.Errorf("no built-in module uses %v, ABI.md says why of %v", unused, unusedByBuiltins)
	}
}

// unusedByBuiltins are the functions that ABI.md gives another reason for.
var unusedByBuiltins = []string{"project"}
