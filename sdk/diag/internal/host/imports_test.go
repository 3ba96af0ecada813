package host

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/sdk/abi"
)

// lowered says which WebAssembly parameters the compiler makes of a Go parameter of an import.
var lowered = map[string][]abi.ValueType{
	"int32": {abi.I32}, "int64": {abi.I64}, "float64": {abi.F64}, "unsafe.Pointer": {abi.I32}, "string": {abi.I32, abi.I32},
}

// The imports are held against abi.Functions by reading their declarations: same names, same order, same parameters.
func TestImportsAreTheABI(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "imports_wasip1.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	type signature struct {
		name   string
		params []abi.ValueType
	}
	var got []signature
	for _, declaration := range file.Decls {
		function, ok := declaration.(*ast.FuncDecl)
		if !ok || function.Body != nil {
			continue
		}
		var s signature
		for _, comment := range function.Doc.List {
			if rest, ok := strings.CutPrefix(comment.Text, "//go:wasmimport "+abi.Module+" "); ok {
				s.name = rest
			}
		}
		for _, field := range function.Type.Params.List {
			types, ok := lowered[typeName(field.Type)]
			if !ok {
				t.Fatalf("%s: parameter type %s is not one this test knows", s.name, typeName(field.Type))
			}
			for range field.Names {
				s.params = append(s.params, types...)
			}
		}
		if results := function.Type.Results; results == nil || len(results.List) != 1 || typeName(results.List[0].Type) != "int32" {
			t.Errorf("%s: must give one int32", s.name)
		}
		got = append(got, s)
	}
	for i, want := range abi.Functions {
		if i >= len(got) {
			t.Errorf("%s is not imported", want.Name)
			continue
		}
		if got[i].name != want.Name || string(valueTypes(got[i].params)) != string(valueTypes(want.Params)) {
			t.Errorf("import %d is %s%v, want %s%v", i, got[i].name, got[i].params, want.Name, want.Params)
		}
	}
	if len(got) > len(abi.Functions) {
		t.Errorf("%d imports, the ABI has %d", len(got), len(abi.Functions))
	}
}

func typeName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return typeName(e.X) + "." + e.Sel.Name
	}
	return "?"
}

func valueTypes(types []abi.ValueType) []byte {
	out := make([]byte, len(types))
	for i, v := range types {
		out[i] = byte(v)
	}
	return out
}
