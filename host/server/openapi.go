package server

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/tenon-ml/tenon/host/report"
)

// Media types of answers that are not JSON.
const (
	textType  = "text/plain; charset=utf-8"
	eventType = "text/event-stream; charset=utf-8"
	pageType  = "text/html; charset=utf-8"
)

// object is a JSON object of the document.
type object = map[string]any

// openAPI writes the OpenAPI 3.1 document of the routes. Their table is its only source, and the Go types of bodies and answers that of its
// schemas, so neither can say what the other does not do.
func (s *Server) openAPI() []byte {
	schemas := &schemas{named: object{}}
	schemas.named["Report"] = reportSchema()
	paths := object{}
	for _, rt := range s.routes {
		item, ok := paths[rt.path].(object)
		if !ok {
			item = object{}
			paths[rt.path] = item
		}
		item[strings.ToLower(rt.method)] = s.operation(rt, schemas)
	}
	document := object{
		"openapi": "3.1.0",
		"info": object{"title": "Tenon", "version": s.version, "license": object{"name": "Apache-2.0", "identifier": "Apache-2.0"},
			"description": "Gated LoRA adapters, served. Names are those of the API key's tenant; x is also the x that the operator shares. An admin calls another tenant's x TENANT/x, with the slash written %2F in a path."},
		"paths": paths,
		"components": object{
			"schemas":         schemas.named,
			"securitySchemes": object{"key": object{"type": "http", "scheme": "bearer", "description": "The secret of an API key, as tenon key new prints it."}},
		},
	}
	data, err := json.Marshal(document, json.Deterministic(true), jsontext.WithIndent("  "))
	if err != nil {
		panic(err) // maps, strings and booleans
	}
	return append(data, '\n')
}

// operation is what the document says about one route.
func (s *Server) operation(rt *route, schemas *schemas) object {
	var parameters []any
	for segment := range strings.SplitSeq(rt.path, "/") {
		if name, ok := strings.CutPrefix(segment, "{"); ok {
			parameters = append(parameters, object{"name": strings.TrimSuffix(name, "}"), "in": "path", "required": true, "schema": object{"type": "string"}})
		}
	}
	for _, p := range rt.query {
		parameters = append(parameters, object{"name": p.name, "in": "query", "description": p.about, "schema": object{"type": "string"}})
	}
	refusal := object{"description": "A refusal, in OpenAI's shape.", "content": object{"application/json": object{"schema": schemas.of(problem{})}}}
	operation := object{
		"operationId": operationID(rt),
		"summary":     rt.summary,
		"responses":   object{"200": object{"description": "OK", "content": rt.content(schemas)}, "default": refusal},
	}
	if len(parameters) > 0 {
		operation["parameters"] = parameters
	}
	if rt.in != nil {
		operation["requestBody"] = object{"required": true, "content": object{"application/json": object{"schema": schemas.of(rt.in)}}}
	}
	if s.keys != nil && !rt.open {
		operation["security"] = []any{object{"key": []any{string(rt.scope)}}}
	}
	return operation
}

// content is what status 200 can hold.
func (rt *route) content(schemas *schemas) object {
	if media, ok := rt.out.(string); ok {
		return object{media: object{"schema": object{"type": "string"}}}
	}
	content := object{"application/json": object{"schema": schemas.of(rt.out)}}
	switch rt.out.(type) {
	case report.Report:
		content[pageType] = object{"schema": object{"type": "string"}}
	case completionObject, chatObject:
		content[eventType] = object{"schema": object{"type": "string"}}
	}
	return content
}

// operationID names a route for the generators of clients: "postApiV1AdaptersAliasRollback".
func operationID(rt *route) string {
	id := strings.ToLower(rt.method)
	for _, word := range strings.FieldsFunc(rt.path, func(r rune) bool { return strings.ContainsRune("/{}_.", r) }) {
		id += strings.ToUpper(word[:1]) + word[1:]
	}
	return id
}

// reportSchema is the report's own schema, with its references as they are inside of the document.
func reportSchema() any {
	text := strings.ReplaceAll(string(report.Schema()), `"#/$defs/`, `"#/components/schemas/Report/$defs/`)
	var schema object
	if err := json.Unmarshal([]byte(text), &schema); err != nil {
		panic(fmt.Sprintf("the report's schema is no JSON: %v", err))
	}
	delete(schema, "$id") // it would be what references are relative to
	delete(schema, "$schema")
	return schema
}

// showOpenAPI answers GET /api/v1/openapi.json.
func (s *Server) showOpenAPI(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(s.document) // the client is gone if this fails
	return nil
}
