package server

import (
	"reflect"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/tenon-ml/tenon/host/report"
)

// schemas are the JSON Schemas of Go types, as github.com/go-json-experiment/json writes and reads them.
type schemas struct{ named object }

// values of string types that have few.
var values = map[reflect.Type][]any{
	reflect.TypeFor[Mode]():           {"", string(ModeAuto), string(ModeMerged), string(ModeUnmerged)},
	reflect.TypeFor[State]():          {"", string(StateLive), string(StateStaged), string(StatePast), string(StateFailed), string(StateReturning)},
	reflect.TypeFor[report.Verdict](): {"", string(report.Admit), string(report.WarnVerdict), string(report.Deny), string(report.Inconclusive)},
}

// of is the schema of a value's type.
func (s *schemas) of(value any) object { return s.schema(reflect.TypeOf(value)) }

func (s *schemas) schema(t reflect.Type) object {
	switch t {
	case reflect.TypeFor[time.Time]():
		return object{"type": "string", "format": "date-time"}
	case reflect.TypeFor[jsontext.Value]():
		return object{} // anything
	case reflect.TypeFor[report.Report]():
		return object{"$ref": "#/components/schemas/Report"}
	case reflect.TypeFor[alternatives](): // written in order, as an object
		return object{"anyOf": []any{object{"type": "object", "additionalProperties": object{"type": "number"}}, object{"type": "null"}}}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return object{"anyOf": []any{s.schema(t.Elem()), object{"type": "null"}}}
	case reflect.Struct:
		return s.structure(t)
	case reflect.Slice, reflect.Array:
		return object{"type": "array", "items": s.schema(t.Elem())}
	case reflect.Map:
		if t.Elem().Kind() == reflect.Interface {
			return object{"type": "object"}
		}
		return object{"type": "object", "additionalProperties": s.schema(t.Elem())}
	case reflect.String:
		if enum, ok := values[t]; ok {
			return object{"type": "string", "enum": enum}
		}
		return object{"type": "string"}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Float32, reflect.Float64:
		return object{"type": "number"}
	case reflect.Interface:
		return object{}
	}
	return object{"type": "integer"}
}

// structure is a reference to a named schema, which is made when it is first asked for.
func (s *schemas) structure(t reflect.Type) object {
	name := strings.TrimSuffix(t.Name(), "View")
	if name == "" {
		return s.fields(t)
	}
	name = strings.ToUpper(name[:1]) + name[1:]
	if _, ok := s.named[name]; !ok {
		s.named[name] = object{} // what it holds may refer to it
		s.named[name] = s.fields(t)
	}
	return object{"$ref": "#/components/schemas/" + name}
}

func (s *schemas) fields(t reflect.Type) object {
	properties, required, more := object{}, []any{}, false
	for _, field := range reflect.VisibleFields(t) { // those of embedded structs too
		tag, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case strings.Contains(options, "embed"):
			more = true
			continue
		case field.Anonymous && tag == "", !field.IsExported(), tag == "-":
			continue
		case tag == "":
			tag = field.Name
		}
		schema := s.schema(field.Type)
		if about := field.Tag.Get("doc"); about != "" {
			schema["description"] = about
		}
		properties[tag] = schema
		if !strings.Contains(options, "omit") {
			required = append(required, tag)
		}
	}
	out := object{"type": "object", "properties": properties}
	// What may be left out of a request is not told by its type: a pointer or a raw value is.
	if len(required) > 0 && !strings.HasSuffix(t.Name(), "equest") {
		out["required"] = required
	}
	if !more {
		out["additionalProperties"] = false
	}
	return out
}
