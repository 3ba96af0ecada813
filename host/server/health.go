package server

import (
	"fmt"
	"net/http"

	"github.com/tenon-ml/tenon/host/fault"
)

// ready answers GET /health and /readyz: whether a completion sent now would be answered.
func (s *Server) ready(w http.ResponseWriter, _ *http.Request) error {
	if state := s.engine.Status(); !state.Ready {
		return &apiError{status: http.StatusServiceUnavailable, code: fault.BackendDown, retry: true, quiet: true,
			message: fmt.Sprintf("the backend is not ready: %s", state.State)}
	}
	writeText(w, "ok")
	return nil
}

// live answers GET /livez: the host itself runs.
func (s *Server) live(w http.ResponseWriter, _ *http.Request) error {
	writeText(w, "ok")
	return nil
}

// showVersion answers GET /api/v1/version.
func (s *Server) showVersion(w http.ResponseWriter, _ *http.Request) error {
	writeJSON(w, http.StatusOK, struct {
		Version string `json:"version"`
		Base    string `json:"base"`
	}{s.version, s.base})
	return nil
}

// chat answers POST /v1/chat/completions.
func (s *Server) chat(http.ResponseWriter, *http.Request) error {
	return &apiError{status: http.StatusNotImplemented, code: fault.UsageFlag, quiet: true,
		message: "chat templates are not supported: write the prompt yourself and send it to /v1/completions"}
}

func writeText(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write([]byte(text)) // the client is gone if this fails
}
