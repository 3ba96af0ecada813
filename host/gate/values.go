package gate

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"github.com/tenon-ml/tenon/host/report"
)

// What a rule sees of a report are records: the structs of package report with their JSON names, known to the type checker, so that a
// misspelt field is refused when the policy is loaded.

// errNaN is what a rule gets when it reads a number that is not one. Every comparison with NaN is false, so "amplification > 20" would let
// it pass without a word; as an error it keeps the gate closed until the rule asks isNaN or isFinite first.
var errNaN = errors.New("the number is NaN: ask isNaN or isFinite before comparing it")

// recordTypes are the structs a rule can meet, by the name the type checker knows them under.
var recordTypes = map[string]reflect.Type{
	"report.Adapter":  reflect.TypeFor[report.Adapter](),
	"report.Base":     reflect.TypeFor[report.Base](),
	"report.Coverage": reflect.TypeFor[report.Coverage](),
	"report.Tensor":   reflect.TypeFor[report.Tensor](),
	"report.Module":   reflect.TypeFor[report.Module](),
	"report.Metric":   reflect.TypeFor[report.Metric](),
	"report.Finding":  reflect.TypeFor[report.Finding](),
}

// record is a struct as a rule sees it.
type record struct {
	kind   *types.Type
	fields map[string]ref.Val
}

var (
	_ ref.Val            = (*record)(nil)
	_ traits.Indexer     = (*record)(nil)
	_ traits.FieldTester = (*record)(nil)
)

// Get returns a field.
func (r *record) Get(field ref.Val) ref.Val {
	name, _ := field.(types.String)
	if v, ok := r.fields[string(name)]; ok {
		return v
	}
	return types.NewErr("no such field: %s", name)
}

// IsSet reports that a field exists. Every field the type checker lets through does.
func (r *record) IsSet(field ref.Val) ref.Val {
	name, _ := field.(types.String)
	_, ok := r.fields[string(name)]
	return types.Bool(ok)
}

// Equal is identity: records of one report are compared by their fields.
func (r *record) Equal(other ref.Val) ref.Val {
	o, ok := other.(*record)
	return types.Bool(ok && o == r)
}

// Type is the struct's.
func (r *record) Type() ref.Type { return r.kind }

// Value is the record itself.
func (r *record) Value() any { return r }

// ConvertToNative refuses: a rule ends in a bool or a number.
func (r *record) ConvertToNative(want reflect.Type) (any, error) {
	return nil, fmt.Errorf("a %s is not a %v", r.kind.TypeName(), want)
}

// ConvertToType refuses, except for asking the type itself.
func (r *record) ConvertToType(want ref.Type) ref.Val {
	if want == types.TypeType {
		return r.kind
	}
	return types.NewErr("a %s is not a %s", r.kind.TypeName(), want.TypeName())
}

// provider adds the record types to those of CEL.
type provider struct{ types.Provider }

// FindStructType returns the type of a record.
func (p provider) FindStructType(name string) (*types.Type, bool) {
	if _, ok := recordTypes[name]; ok {
		return types.NewTypeTypeWithParam(types.NewObjectType(name)), true
	}
	return p.Provider.FindStructType(name)
}

// FindStructFieldNames returns the field names of a record, in the order of the struct.
func (p provider) FindStructFieldNames(name string) ([]string, bool) {
	t, ok := recordTypes[name]
	if !ok {
		return p.Provider.FindStructFieldNames(name)
	}
	var names []string
	for i := range t.NumField() {
		if field, ok := fieldName(t.Field(i)); ok {
			names = append(names, field)
		}
	}
	return names, true
}

// FindStructFieldType returns the type of a field and how to read it.
func (p provider) FindStructFieldType(name, field string) (*types.FieldType, bool) {
	t, ok := recordTypes[name]
	if !ok {
		return p.Provider.FindStructFieldType(name, field)
	}
	for i := range t.NumField() {
		if got, ok := fieldName(t.Field(i)); ok && got == field {
			return &types.FieldType{
				Type:    celType(t.Field(i).Type),
				IsSet:   func(any) bool { return true },
				GetFrom: func(object any) (any, error) { return readField(object, field) },
			}, true
		}
	}
	return nil, false
}

func readField(object any, field string) (any, error) {
	r, ok := object.(*record)
	if !ok {
		return nil, fmt.Errorf("%T has no field %s", object, field)
	}
	v := r.Get(types.String(field))
	if err, ok := v.(*types.Err); ok {
		return nil, err.Unwrap()
	}
	return v, nil
}

// fieldName is the JSON name of a field. What a run cost is no matter for a rule: the verdict must not depend on the machine.
func fieldName(f reflect.StructField) (string, bool) {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name, name != "usage"
}

// celType is the type a rule sees for a Go type of package report.
func celType(t reflect.Type) *types.Type {
	switch t.Kind() {
	case reflect.String:
		return types.StringType
	case reflect.Int, reflect.Int64:
		return types.IntType
	case reflect.Float64:
		return types.DoubleType
	case reflect.Slice:
		return types.NewListType(celType(t.Elem()))
	case reflect.Struct:
		return types.NewObjectType("report." + t.Name())
	}
	panic(fmt.Sprintf("a rule cannot see a %v", t))
}

// celValue is v, a value of package report, as a rule sees it.
func celValue(v reflect.Value) ref.Val {
	switch v.Kind() {
	case reflect.String:
		return types.String(v.String())
	case reflect.Int, reflect.Int64:
		return types.Int(v.Int())
	case reflect.Float64:
		return number(v.Float())
	case reflect.Slice:
		items := make([]ref.Val, v.Len())
		for i := range items {
			items[i] = celValue(v.Index(i))
		}
		return types.NewRefValList(types.DefaultTypeAdapter, items)
	case reflect.Struct:
		r := &record{kind: celType(v.Type()), fields: map[string]ref.Val{}}
		for i := range v.NumField() {
			if name, ok := fieldName(v.Type().Field(i)); ok {
				r.fields[name] = celValue(v.Field(i))
			}
		}
		return r
	}
	panic(fmt.Sprintf("a rule cannot see a %v", v.Type()))
}

// number is v, or errNaN.
func number(v float64) ref.Val {
	if math.IsNaN(v) {
		return types.WrapErr(errNaN)
	}
	return types.Double(v)
}
