package server

import (
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
)

// schemaChecker holds values against the part of JSON Schema that the document uses. A keyword that it does not know is a problem: it would
// otherwise check less than the document says.
type schemaChecker struct {
	document any
	problems []string
}

func (c *schemaChecker) fail(path, format string, args ...any) {
	c.problems = append(c.problems, path+": "+fmt.Sprintf(format, args...))
}

// pointer follows a reference inside of the document.
func (c *schemaChecker) pointer(ref string) object {
	at := c.document
	for _, name := range strings.Split(strings.TrimPrefix(ref, "#/"), "/") {
		inner, ok := at.(object)[name]
		if !ok {
			c.fail(ref, "there is no such schema")
			return object{}
		}
		at = inner
	}
	return at.(object)
}

func (c *schemaChecker) check(path string, schema object, v any) {
	for _, keyword := range slices.Sorted(maps.Keys(schema)) {
		switch want := schema[keyword]; keyword {
		case "description", "title", "$defs":
		case "$ref":
			c.check(path, c.pointer(want.(string)), v)
		case "anyOf":
			if !slices.ContainsFunc(want.([]any), func(option any) bool {
				inner := &schemaChecker{document: c.document}
				inner.check(path, option.(object), v)
				return len(inner.problems) == 0
			}) {
				c.fail(path, "%v fits no option", v)
			}
		case "type":
			c.kind(path, want.(string), v)
		case "const":
			if v != want {
				c.fail(path, "%v is not %v", v, want)
			}
		case "enum":
			if !slices.Contains(want.([]any), v) {
				c.fail(path, "%v is none of %v", v, want)
			}
		case "pattern":
			if text, ok := v.(string); ok && !regexp.MustCompile(want.(string)).MatchString(text) {
				c.fail(path, "%v does not match %s", v, want)
			}
		case "format":
			if _, err := time.Parse(time.RFC3339Nano, fmt.Sprint(v)); want != "date-time" || err != nil {
				c.fail(path, "%v is no %s", v, want)
			}
		case "items":
			items, _ := v.([]any)
			for i, item := range items {
				c.check(fmt.Sprintf("%s/%d", path, i), want.(object), item)
			}
		case "required":
			for _, name := range want.([]any) {
				if members, ok := v.(object); ok {
					if _, ok := members[name.(string)]; !ok {
						c.fail(path, "%s is missing", name)
					}
				}
			}
		case "properties", "additionalProperties":
		case "minimum":
			if n, ok := v.(float64); ok && n < want.(float64) {
				c.fail(path, "%v is below %v", n, want)
			}
		default:
			c.fail(path, "the keyword %s is not known here", keyword)
		}
	}
	members, ok := v.(object)
	properties, _ := schema["properties"].(object)
	for name, member := range members {
		if !ok {
			break
		}
		if property, ok := properties[name].(object); ok {
			c.check(path+"/"+name, property, member)
		} else if more, ok := schema["additionalProperties"].(object); ok {
			c.check(path+"/"+name, more, member)
		} else if schema["additionalProperties"] == false {
			c.fail(path, "%s is not in the schema", name)
		}
	}
}

func (c *schemaChecker) kind(path, want string, v any) {
	got := "null"
	switch value := v.(type) {
	case object:
		got = "object"
	case []any:
		got = "array"
	case string:
		got = "string"
	case bool:
		got = "boolean"
	case float64:
		if got = "number"; want == "integer" && value == math.Trunc(value) {
			got = "integer"
		}
	}
	if got != want {
		c.fail(path, "%s, want %s", got, want)
	}
}

// fitsDocument holds an answer against what the server's own document says about it. Every test's answers go through it.
func fitsDocument(t testing.TB, s *Server, r *http.Request, w *httptest.ResponseRecorder) {
	t.Helper()
	rt, _ := s.match(r.Method, r.URL.EscapedPath())
	if rt == nil || !slices.Contains(s.methods(rt.path), r.Method) {
		return
	}
	var document object
	decode(t, string(s.document), &document)
	operation := document["paths"].(object)[rt.path].(object)[strings.ToLower(r.Method)].(object)
	responses := operation["responses"].(object)
	response, ok := responses[fmt.Sprint(w.Code)].(object)
	if !ok {
		response = responses["default"].(object)
	}
	kind := w.Header().Get("Content-Type")
	media, ok := response["content"].(object)[kind].(object)
	if rt.path == "/metrics" && w.Code == http.StatusOK {
		return // the Prometheus library chooses the type
	}
	if !ok {
		t.Errorf("%s %s answers %d with %q, of which the document says nothing", r.Method, rt.path, w.Code, kind)
		return
	}
	var value any = w.Body.String()
	if kind == "application/json" {
		value = nil
		if err := json.Unmarshal(w.Body.Bytes(), &value); err != nil {
			t.Errorf("%s %s: %v in %s", r.Method, rt.path, err, w.Body)
			return
		}
	}
	c := &schemaChecker{document: document}
	c.check("", media["schema"].(object), value)
	for _, problem := range c.problems {
		t.Errorf("%s %s answers what its document does not say: %s", r.Method, rt.path, problem)
	}
}

// TestDocument: the document has every route and no other, and is whole: every reference leads somewhere, and no two operations have one name.
func TestDocument(t *testing.T) {
	s := newServer(t, newFake(t))
	w := do(t, s, "/api/v1/openapi.json", "")
	var document object
	decode(t, w.Body.String(), &document)
	var got, want []string
	names := map[string]bool{}
	for path, item := range document["paths"].(object) {
		for method, operation := range item.(object) {
			got = append(got, strings.ToUpper(method)+" "+path)
			name := operation.(object)["operationId"].(string)
			if names[name] {
				t.Errorf("two operations are called %s", name)
			}
			names[name] = true
			if operation.(object)["summary"] == "" {
				t.Errorf("%s has no summary", name)
			}
			var inPath []string
			parameters, _ := operation.(object)["parameters"].([]any)
			for _, p := range parameters {
				if p.(object)["in"] == "path" {
					inPath = append(inPath, "{"+p.(object)["name"].(string)+"}")
				}
			}
			if written := regexp.MustCompile(`\{\w+\}`).FindAllString(path, -1); !slices.Equal(written, inPath) {
				t.Errorf("%s has the parameters %v", path, inPath)
			}
		}
	}
	for _, rt := range s.routes {
		want = append(want, rt.method+" "+rt.path)
		r := httptest.NewRequest(rt.method, "http://127.0.0.1:8321"+strings.NewReplacer("{alias}", "x", "{model}", "x").Replace(rt.path), nil)
		if found, _ := s.match(r.Method, r.URL.EscapedPath()); found != rt {
			t.Errorf("%s %s is answered by another route", rt.method, rt.path)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the document has\n%s\nand the table\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	c := &schemaChecker{document: document}
	for _, ref := range regexp.MustCompile(`"\$ref": *"([^"]*)"`).FindAllStringSubmatch(w.Body.String(), -1) {
		c.pointer(ref[1])
	}
	for _, problem := range c.problems {
		t.Error(problem)
	}
}

// TestSchemasRefuse: what is held against the document is really held against it.
func TestSchemasRefuse(t *testing.T) {
	s := newServer(t, newFake(t))
	var document object
	decode(t, string(s.document), &document)
	for name, broken := range map[string]func(object){
		"a missing member":    func(o object) { delete(o, "alias") },
		"an unknown member":   func(o object) { o["secret"] = "x" },
		"another type":        func(o object) { o["history"] = "1" },
		"a fraction":          func(o object) { o["bytes"] = 0.5 },
		"an unknown value":    func(o object) { o["state"] = "asleep" },
		"a time that is none": func(o object) { o["loadedAt"] = "yesterday" },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.loaded["x"] = modelOf("x", "/a")
			var value object
			decode(t, do(t, newServer(t, f), "/api/v1/adapters/x", "").Body.String(), &value)
			schema := object{"$ref": "#/components/schemas/Adapter"}
			c := &schemaChecker{document: document}
			if c.check("", schema, value); len(c.problems) > 0 {
				t.Fatal(c.problems)
			}
			broken(value)
			if c.check("", schema, value); len(c.problems) == 0 {
				t.Error("it fits")
			}
		})
	}
}
