package server

import (
	"net/http"
	"path/filepath"
	"strings"

	"github.com/tenon-ml/tenon/host/fault"
)

// Within holds a reference against the directory that the principal may load from, and returns it as the engine reads it. What is outside gets
// one answer, whether it exists or not.
func (p Principal) Within(ref string) (string, error) {
	if p.root == "" {
		return ref, nil
	}
	outside := &apiError{status: http.StatusForbidden, code: fault.UsageKey, param: "ref", message: "the adapter is outside of the directory that this API key may load from"}
	path := strings.TrimPrefix(ref, "file://")
	if strings.Contains(path, "://") || strings.Contains(path, "\x00") {
		return "", outside
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(p.root, path)
	}
	if path = filepath.Clean(path); !inside(p.root, path) {
		return "", outside
	}
	root, err := filepath.EvalSymlinks(p.root)
	if err != nil {
		return "", outside
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return path, nil // it does not exist, which the engine says as it always does
	}
	if !inside(root, real) {
		return "", outside
	}
	return real, nil
}

// inside reports whether a cleaned path is below a directory, or the directory itself.
func inside(dir, path string) bool {
	rest, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(rest)
}
