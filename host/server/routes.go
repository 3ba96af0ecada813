package server

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/tenon-ml/tenon/host/report"
)

// route is one method of one path: how it is answered, who may ask, and what the OpenAPI document says about it.
type route struct {
	method string
	path   string // "{name}" stands for one segment
	// handle returns an error only before it has written anything.
	handle   func(http.ResponseWriter, *http.Request) error
	slots    chan struct{} // nil: not limited
	open     bool          // needs no key
	scope    Scope
	operator bool // not for keys of tenants

	summary string
	in      any         // body of a POST, as its zero value
	out     any         // JSON of status 200, as its zero value; a string is another media type
	query   []parameter // all of them are optional
}

// parameter is one of a query or a path.
type parameter struct{ name, about string }

// table is every route: the one place where they are written down.
func (s *Server) table() []*route {
	const get, post, remove = http.MethodGet, http.MethodPost, http.MethodDelete
	routes := []*route{
		{method: get, path: "/livez", handle: s.live, open: true, out: textType, summary: "Whether the host runs"},
		{method: get, path: "/readyz", handle: s.ready, open: true, out: textType, summary: "Whether completions would be answered now"},
		{method: get, path: "/health", handle: s.ready, open: true, out: textType, summary: "The same as /readyz, under vLLM's name"},
		{method: get, path: "/ping", handle: s.ready, open: true, out: textType, summary: "The same as /readyz, under SageMaker's name"},
		{method: get, path: "/version", handle: s.showBareVersion, scope: ScopeRead, slots: s.reads, out: bareVersion{}, summary: "The version, as vLLM has it"},
		{method: get, path: "/metrics", handle: s.metrics.serve, open: s.metricsOpen, scope: ScopeRead, operator: true, slots: s.reads,
			out: textType, summary: "Metrics for Prometheus"},

		{method: get, path: "/v1/models", handle: s.models, scope: ScopeRead, slots: s.reads, out: modelList{}, summary: "The base and what is live"},
		{method: get, path: "/v1/models/{model}", handle: s.model, scope: ScopeRead, slots: s.reads, out: modelCard{}, summary: "One of them"},
		{method: post, path: "/v1/load_lora_adapter", handle: s.load, scope: ScopeLoad, slots: s.loads, in: loadBody{}, out: textType,
			summary: "Gate an adapter and make it live, as vLLM's clients ask for it"},
		{method: post, path: "/v1/unload_lora_adapter", handle: s.unload, scope: ScopeActivate, slots: s.loads, in: unloadBody{}, out: textType,
			summary: "Make a name mean nothing, as vLLM's clients ask for it"},
		{method: post, path: "/v1/completions", handle: s.completions, scope: ScopeRead, in: completionRequest{}, out: completionObject{},
			summary: "Complete a prompt; with stream: true, as server-sent events"},
		{method: post, path: "/v1/chat/completions", handle: s.chat, scope: ScopeRead, in: chatRequest{}, out: chatObject{},
			summary: "Answer messages, by the base's chat template; with stream: true, as server-sent events"},
		{method: post, path: "/tokenize", handle: s.tokenize, scope: ScopeRead, slots: s.reads, in: tokenizeRequest{}, out: tokenizeAnswer{},
			summary: "Token ids of a prompt or of messages, as vLLM has it"},
		{method: post, path: "/detokenize", handle: s.detokenize, scope: ScopeRead, slots: s.reads, in: detokenizeRequest{}, out: detokenizeAnswer{},
			summary: "The text of token ids, as vLLM has it"},

		{method: get, path: "/api/v1/adapters", handle: s.adapters, scope: ScopeRead, slots: s.reads, out: adapterList{}, summary: "What is live, and what could not be brought back"},
		{method: get, path: "/api/v1/adapters/{alias}", handle: s.showAdapter, scope: ScopeRead, slots: s.reads, out: adapterView{}, summary: "One adapter"},
		{method: post, path: "/api/v1/adapters/{alias}", handle: s.loadAdapter, scope: ScopeLoad, slots: s.loads, in: loadRequest{}, out: loadAnswer{},
			summary: "Gate an adapter, and stage it or make it live; 422 with the report where the gate says no"},
		{method: remove, path: "/api/v1/adapters/{alias}", handle: s.unloadAdapter, scope: ScopeActivate, slots: s.loads, out: unloadAnswer{}, summary: "Make a name mean nothing"},
		{method: post, path: "/api/v1/adapters/{alias}/activate", handle: s.activateAdapter, scope: ScopeActivate, slots: s.loads, in: activateRequest{},
			out: adapterView{}, summary: "Make a generation live that is staged, or that the name meant before"},
		{method: post, path: "/api/v1/adapters/{alias}/rollback", handle: s.rollbackAdapter, scope: ScopeActivate, slots: s.loads, in: rollbackRequest{},
			out: adapterView{}, summary: "Make a name mean an earlier generation again, without the gate"},
		{method: get, path: "/api/v1/adapters/{alias}/history", handle: s.history, scope: ScopeRead, slots: s.reads, out: historyAnswer{},
			query: []parameter{{"limit", "entries at most, from 1 to 1000; 100 if it is not given"}}, summary: "What a name has meant, newest first"},
		{method: get, path: "/api/v1/adapters/{alias}/report", handle: s.report, scope: ScopeRead, slots: s.reads, out: report.Report{},
			query:   []parameter{{"generation", "one that the history names; the live one if it is not given"}, {"format", "json or html; json if it is not given"}},
			summary: "What the gate found"},
		{method: get, path: "/api/v1/generations", handle: s.generations, scope: ScopeRead, slots: s.reads, out: generationList{}, summary: "What is in the backend's memory"},
		{method: get, path: "/api/v1/events", handle: s.events, scope: ScopeRead, slots: s.feeds, out: eventType,
			query:   []parameter{{"after", "ID of the last event that is known; what comes now if it is not given. The header Last-Event-ID wins"}},
			summary: "What happens, as server-sent events"},
		{method: get, path: "/api/v1/status", handle: s.status, scope: ScopeRead, slots: s.reads, out: backendView{}, summary: "The state of the backend"},
		{method: get, path: "/api/v1/version", handle: s.showVersion, scope: ScopeRead, slots: s.reads, out: versionView{}, summary: "The version, and what is served"},
		{method: get, path: "/api/v1/audit", handle: s.audit, scope: ScopeAdmin, slots: s.reads, out: auditAnswer{},
			query:   []parameter{{"limit", "rows at most, from 1 to 1000; 100 if it is not given"}, {"after", "next of the page before"}, {"tenant", "whose rows; everybody's if it is not given"}},
			summary: "What was decided and changed, newest first"},
		{method: get, path: "/api/v1/openapi.json", handle: s.showOpenAPI, open: true, slots: s.reads, out: map[string]any{}, summary: "This document"},
	}
	return routes
}

// match finds the route of a method and an escaped path. Where the path is one but not with this method, the route is another one of the path.
func (s *Server) match(method, escaped string) (found *route, values map[string]string) {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	for _, rt := range s.routes {
		if got, ok := rt.values(escaped); ok && (found == nil || rt.method == method) {
			found, values = rt, got
			if rt.method == method {
				break
			}
		}
	}
	return found, values
}

// values holds a path against the route's and returns what stands in its names' places.
func (rt *route) values(escaped string) (map[string]string, bool) {
	if !strings.Contains(rt.path, "{") {
		return nil, rt.path == escaped
	}
	want, got := strings.Split(rt.path, "/"), strings.Split(escaped, "/")
	if len(want) != len(got) {
		return nil, false
	}
	values := map[string]string{}
	for i, segment := range want {
		if name, ok := strings.CutPrefix(segment, "{"); ok {
			value, err := url.PathUnescape(got[i])
			if err != nil || value == "" {
				return nil, false
			}
			values[strings.TrimSuffix(name, "}")] = value
		} else if segment != got[i] {
			return nil, false
		}
	}
	return values, true
}

// methods lists what a path of the table can be asked with.
func (s *Server) methods(path string) []string {
	var methods []string
	for _, rt := range s.routes {
		if rt.path == path {
			methods = append(methods, rt.method)
		}
	}
	slices.Sort(methods)
	return methods
}
