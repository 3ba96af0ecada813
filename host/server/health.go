package server

import (
	"fmt"
	"net/http"

	"github.com/tenon-ml/tenon/host/fault"
)

// ready answers GET /health and /readyz: whether a completion sent now would be answered.
func (s *Server) ready(w http.ResponseWriter, _ *http.Request) error {
	if s.queue.draining() {
		return &apiError{status: http.StatusServiceUnavailable, code: fault.ServerDown, retry: true, quiet: true, message: "the server is being stopped"}
	}
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
	writeJSON(w, http.StatusOK, versionView{s.version, s.base})
	return nil
}

// bareVersion is the answer of GET /version.
type bareVersion struct {
	Version string `json:"version"`
}

// showBareVersion answers GET /version.
func (s *Server) showBareVersion(w http.ResponseWriter, _ *http.Request) error {
	writeJSON(w, http.StatusOK, bareVersion{s.version})
	return nil
}

// status answers GET /api/v1/status.
func (s *Server) status(w http.ResponseWriter, _ *http.Request) error {
	writeJSON(w, http.StatusOK, s.backend())
	return nil
}

func writeText(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write([]byte(text)) // the client is gone if this fails
}
