package scenario

import (
	"context"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/go-json-experiment/json"
)

// policyFile writes a policy without diagnostics, so that a test spends its time on what comes after the gate. It denies what when is true of.
func policyFile(t testing.TB, when string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "policy.yaml")
	writePolicy(t, path, when)
	return path
}

// nothingApplied is true of no adapter that can be bound to its base.
const nothingApplied = "coverage.applied == 0"

func writePolicy(t testing.TB, path, when string) {
	t.Helper()
	text := "schema: tenon.policy/v1\nname: quick\nmodules: []\nrules:\n" +
		"  - {code: TEST_RULE, severity: deny, when: " + when + ", message: the rule of a test}\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// quick is a server behind such a policy, ready.
func quick(t testing.TB, data string, flags ...string) *server {
	t.Helper()
	s := start(t, data, nil, append([]string{"--policy", policyFile(t, nothingApplied)}, flags...)...)
	if s == nil {
		t.Fatal("the server did not start")
	}
	s.ready()
	return s
}

// view is an alias, as the server shows it.
type view struct {
	Alias, State, Failure, Generation, Mode, ModeReason string
	Sequence                                            uint64
	Bytes                                               int64
}

// adapters lists the aliases by name, those that could not be brought back included, and what the server says of its backend.
func (s *server) adapters() (views map[string]view, backend status) {
	s.Helper()
	var list struct {
		Backend  status
		Adapters []view
	}
	s.read("/api/v1/adapters", &list)
	views = map[string]view{}
	for _, v := range list.Adapters {
		views[v.Alias] = v
	}
	return views, list.Backend
}

// status is what a server says of its backend.
type status struct {
	State                   string
	Ready                   bool
	Restarts                int64
	Running, Waiting        int
	MemoryUsed, MemoryLimit int64
}

// resident lists the generations that the backend holds.
func (s *server) resident() (generations []string) {
	s.Helper()
	var list struct {
		Generations []struct{ Generation string }
	}
	s.read("/api/v1/generations", &list)
	for _, g := range list.Generations {
		generations = append(generations, g.Generation)
	}
	return generations
}

// read gets an answer, which has more members than out.
func (s *server) read(path string, out any) {
	s.Helper()
	code, text, err := s.call(s.Context(), http.MethodGet, path, nil)
	if err == nil {
		err = json.Unmarshal(text, out, json.DefaultOptionsV2(), json.MatchCaseInsensitiveNames(true))
	}
	if err != nil || code != http.StatusOK {
		s.Fatalf("%s: %d %s %v", path, code, text, err)
	}
}

// post loads an adapter with Tenon's own route, where a mode can be asked for.
func (s *server) post(ctx context.Context, name, dir, mode string) (int, []byte, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return 0, nil, err
	}
	return s.call(ctx, http.MethodPost, "/api/v1/adapters/"+url.PathEscape(name), map[string]any{"ref": dir, "mode": mode})
}

// unload makes a name mean nothing, by vLLM's route.
func (s *server) unload(name string) (int, []byte, error) {
	return s.call(s.Context(), http.MethodPost, "/v1/unload_lora_adapter", map[string]string{"lora_name": name})
}

// scaled is a copy of the first adapter with another alpha: another generation.
func scaled(t testing.TB, alpha string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "scaled")
	if err := os.CopyFS(dir, os.DirFS(first)); err != nil {
		t.Fatal(err)
	}
	edit(t, filepath.Join(dir, "adapter_config.json"), `"lora_alpha": 32`, `"lora_alpha": `+alpha)
	return dir
}
