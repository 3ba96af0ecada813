package abi

import (
	"encoding/binary"
	"go/ast"
	"go/parser"
	"go/token"
	"math"
	"os"
	"reflect"
	"strings"
	"testing"
)

// Structs says what Append does: a value in a field, and in no other, shows at the field's offset in its type and nowhere else.
func TestStructsAreWhatAppendWrites(t *testing.T) {
	made := map[string]interface{ Append([]byte) []byte }{
		"TargetInfo": &TargetInfo{}, "Stats": &Stats{}, "RoundLoss": &RoundLoss{}, "Rounding": &Rounding{},
	}
	for _, s := range Structs {
		value := reflect.ValueOf(made[s.Name]).Elem()
		end := 0
		for _, f := range s.Fields {
			if f.Offset != end {
				t.Errorf("%s.%s is at %d, the field before it ends at %d", s.Name, f.Name, f.Offset, end)
			}
			want := make([]byte, s.Size)
			field := value.FieldByName(f.Name)
			switch {
			case f.Type == I32:
				end = f.Offset + 4
				if field.IsValid() {
					field.SetInt(0x1020304)
					binary.LittleEndian.PutUint32(want[f.Offset:], 0x1020304)
				}
			case f.Type == I64:
				end = f.Offset + 8
				field.SetInt(0x102030405060708)
				binary.LittleEndian.PutUint64(want[f.Offset:], 0x102030405060708)
			case f.Type == F64:
				end = f.Offset + 8
				field.SetFloat(math.Pi)
				binary.LittleEndian.PutUint64(want[f.Offset:], math.Float64bits(math.Pi))
			}
			if !field.IsValid() && f.Name != "Reserved" {
				t.Errorf("%s has no field %s", s.Name, f.Name)
				continue
			}
			if got := made[s.Name].Append(nil); string(got) != string(want) {
				t.Errorf("%s.%s alone is\n%x, want\n%x", s.Name, f.Name, got, want)
			}
			value.SetZero()
		}
		if end != s.Size || len(s.Fields) < value.NumField() {
			t.Errorf("%s ends at %d of %d bytes and has %d fields of %d", s.Name, end, s.Size, len(s.Fields), value.NumField())
		}
	}
	if len(Structs) != len(made) {
		t.Errorf("%d structs, %d are known here", len(Structs), len(made))
	}
}

// Every number that this package exports is in Constants or the size of a struct, so that no binding lacks one.
func TestConstantsAreComplete(t *testing.T) {
	listed, err := os.ReadFile("constants.go")
	if err != nil {
		t.Fatal(err)
	}
	structs, err := os.ReadFile("structs.go")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, name := range []string{"abi.go", "manifest.go"} {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, declaration := range file.Decls {
			constants, ok := declaration.(*ast.GenDecl)
			if !ok || constants.Tok != token.CONST {
				continue
			}
			for _, spec := range constants.Specs {
				value := spec.(*ast.ValueSpec)
				if literal, ok := value.Values[0].(*ast.BasicLit); ok && literal.Kind == token.STRING {
					continue
				}
				seen++
				if name := value.Names[0].Name; !mentions(string(listed), name) && !mentions(string(structs), name) {
					t.Errorf("%s is in neither Constants nor Structs", name)
				}
			}
		}
	}
	if seen < 30 {
		t.Errorf("only %d constants were seen: the test looks in the wrong place", seen)
	}
	names := map[string]bool{}
	for _, group := range Constants {
		for _, c := range group.Constants {
			if name := group.Prefix + "_" + c.Name; names[name] || name != strings.ToUpper(name) {
				t.Errorf("%s is there twice or not in capitals", name)
			} else {
				names[name] = true
			}
		}
	}
}

// mentions reports whether text has name as a word.
func mentions(text, name string) bool {
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return r != '_' && (r < '0' || r > '9') && (r|32 < 'a' || r|32 > 'z') }) {
		if word == name {
			return true
		}
	}
	return false
}
