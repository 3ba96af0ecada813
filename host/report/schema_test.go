package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// checker holds a value against the part of JSON Schema that the report's schema uses, and notes which properties it met.
type checker struct {
	root     map[string]any
	met      map[string]bool
	problems []string
}

func (c *checker) fail(path, format string, args ...any) {
	c.problems = append(c.problems, path+": "+fmt.Sprintf(format, args...))
}

// resolve follows $ref and returns the schema with its name, "" for one that has no name.
func (c *checker) resolve(s map[string]any) (map[string]any, string) {
	ref, ok := s["$ref"].(string)
	if !ok {
		return s, ""
	}
	name := strings.TrimPrefix(ref, "#/$defs/")
	return c.root["$defs"].(map[string]any)[name].(map[string]any), name
}

func (c *checker) check(path string, s map[string]any, v any) {
	s, name := c.resolve(s)
	if any, ok := s["anyOf"].([]any); ok {
		if !slices.ContainsFunc(any, func(option interface{}) bool {
			inner := &checker{root: c.root, met: c.met}
			inner.check(path, option.(map[string]interface{}), v)
			return len(inner.problems) == 0
		}) {
			c.fail(path, "%v fits no option", v)
		}
		return
	}
	if want, ok := s["const"]; ok && v != want {
		c.fail(path, "%v is not %v", v, want)
	}
	if enum, ok := s["enum"].([]any); ok && !slices.Contains(enum, v) {
		c.fail(path, "%v is none of %v", v, enum)
	}
	if pattern, ok := s["pattern"].(string); ok && !regexp.MustCompile(pattern).MatchString(v.(string)) {
		c.fail(path, "%v does not match %s", v, pattern)
	}
	kind, _ := s["type"].(string)
	switch value := v.(type) {
	case map[string]any:
		if kind != "object" {
			c.fail(path, "an object, want %s", kind)
			return
		}
		properties := s["properties"].(map[string]any)
		for _, required := range s["required"].([]any) {
			if _, ok := value[required.(string)]; !ok {
				c.fail(path, "%s is missing", required)
			}
		}
		for key, member := range value {
			property, ok := properties[key].(map[string]any)
			if !ok {
				c.fail(path, "%s is not in the schema", key)
				continue
			}
			c.met[name+"."+key] = true
			c.check(path+"/"+key, property, member)
		}
	case []any:
		if kind != "array" {
			c.fail(path, "an array, want %s", kind)
			return
		}
		for i, item := range value {
			c.check(fmt.Sprintf("%s/%d", path, i), s["items"].(map[string]any), item)
		}
	case string:
		if kind != "" && kind != "string" {
			c.fail(path, "%q, want %s", value, kind)
		}
	case float64:
		if kind != "" && kind != "number" && (kind != "integer" || value != math.Trunc(value)) {
			c.fail(path, "%v, want %s", value, kind)
		}
	case bool:
		if kind != "boolean" {
			c.fail(path, "%v, want %s", value, kind)
		}
	default:
		c.fail(path, "%v has a type the schema does not know", v)
	}
}

// properties are the names of every property of the schema, as checker.met has them.
func (c *checker) properties() []string {
	var names []string
	add := func(owner string, s map[string]any) {
		properties, _ := s["properties"].(map[string]any)
		for key := range properties {
			names = append(names, owner+"."+key)
		}
	}
	add("", c.root)
	for name, s := range c.root["$defs"].(map[string]any) {
		add(name, s.(map[string]any))
	}
	slices.Sort(names)
	return names
}

func TestReportsFitTheSchema(t *testing.T) {
	c := &checker{met: map[string]bool{}}
	if err := json.Unmarshal(Schema(), &c.root); err != nil {
		t.Fatal(err)
	}
	refused := refusedReport()
	refused.SchemaVersion = SchemaVersion
	for name, r := range map[string]*Report{"full": fullReport(), "refused": refused} {
		var b bytes.Buffer
		if err := JSON(&b, r); err != nil {
			t.Fatal(err)
		}
		var value any
		if err := json.Unmarshal(b.Bytes(), &value); err != nil {
			t.Fatal(err)
		}
		c.check(name, c.root, value)
	}
	for _, problem := range c.problems {
		t.Error(problem)
	}
	if got, want := slices.Sorted(maps.Keys(c.met)), c.properties(); !slices.Equal(got, want) {
		t.Errorf("the renderer wrote the properties\n%v\nand the schema has\n%v", got, want)
	}
}

func TestSchemaRefuses(t *testing.T) {
	for name, broken := range map[string]func(map[string]any){
		"an unknown verdict":  func(r map[string]any) { r["verdict"] = "maybe" },
		"an unknown property": func(r map[string]any) { r["extra"] = 1.0 },
		"a missing property":  func(r map[string]any) { delete(r, "policy") },
		"a short digest":      func(r map[string]any) { r["base"].(map[string]any)["digest"] = "sha256:00" },
	} {
		t.Run(name, func(t *testing.T) {
			c := &checker{met: map[string]bool{}}
			if err := json.Unmarshal(Schema(), &c.root); err != nil {
				t.Fatal(err)
			}
			var b bytes.Buffer
			if err := JSON(&b, fullReport()); err != nil {
				t.Fatal(err)
			}
			var value map[string]any
			if err := json.Unmarshal(b.Bytes(), &value); err != nil {
				t.Fatal(err)
			}
			broken(value)
			if c.check("", c.root, value); len(c.problems) == 0 {
				t.Error("the schema takes it")
			}
		})
	}
}
