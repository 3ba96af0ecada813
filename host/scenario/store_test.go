package scenario

import (
	"bytes"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/tenon-ml/tenon/host/registry"
)

// edit replaces one text of a file by another.
func edit(t testing.TB, path, old, fresh string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	edited := bytes.Replace(text, []byte(old), []byte(fresh), 1)
	if bytes.Equal(edited, text) {
		t.Fatalf("%s has no %q", path, old)
	}
	if err := os.WriteFile(path, edited, 0o600); err != nil {
		t.Fatal(err)
	}
}

// flip changes the last byte of a file.
func flip(t testing.TB, path string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text[len(text)-1] ^= 1
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// Somebody damages the adapters that the store keeps. Who is served does not notice, not even when the backend is killed. After a restart each
// damaged one is listed as failed, with the reason, the others are live, and loading it again heals it.
func TestDamagedStore(t *testing.T) {
	data := t.TempDir()
	s := quick(t, data)
	refs := map[string]string{"flipped": first, "deleted": second, "linked": scaled(t, "8"), "emptied": scaled(t, "4"), "whole": scaled(t, "16")}
	stored := map[string]string{} // directory by alias
	texts := map[string]string{}
	generations := map[string]string{}
	for name, ref := range refs {
		known := directories(t, data)
		s.load(name, ref)
		for dir := range directories(t, data) {
			if !known[dir] {
				stored[name] = dir
			}
		}
		generations[name], texts[name] = s.text(name, prompts[0])
	}
	if len(stored) != len(refs) {
		t.Fatalf("stored: %v", stored)
	}
	weights := func(name string) string { return filepath.Join(stored[name], "adapter_model.safetensors") }
	flip(t, weights("flipped"))
	if err := os.RemoveAll(stored["deleted"]); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(weights("linked"), filepath.Join(data, "elsewhere")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(data, "elsewhere"), weights("linked")); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(stored["emptied"], "adapter_config.json"), 0); err != nil {
		t.Fatal(err)
	}
	still := func(names ...string) {
		t.Helper()
		for _, name := range names {
			if by, text := s.text(name, prompts[0]); by != generations[name] || text != texts[name] {
				t.Errorf("%s answers as %s: %q, want %s: %q", name, by, text, generations[name], texts[name])
			}
		}
	}
	all := []string{"flipped", "deleted", "linked", "emptied", "whole"}
	still(all...)
	if err := syscall.Kill(s.backend(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	s.replaced(1)
	still(all...)
	s.stop()

	s = quick(t, data)
	views, _ := s.adapters()
	for _, name := range all {
		damaged := name != "whole"
		if v := views[name]; (v.State == "failed") != damaged || (v.Failure != "") != damaged || v.Generation != generations[name] {
			t.Errorf("%s: %+v", name, v)
		}
		if !damaged {
			continue
		}
		code, body, err := s.call(t.Context(), http.MethodPost, "/v1/completions", map[string]any{"model": name, "prompt": "x"})
		if err != nil || code < 400 || code > 503 || bytes.Contains(body, []byte("choices")) {
			t.Errorf("%s answers %d %s %v", name, code, body, err)
		}
	}
	still("whole")
	for _, name := range all[:4] {
		s.load(name, refs[name])
	}
	still(all...)
	s.stop()
	s = quick(t, data)
	still(all...)
	s.stop()
	audit(t, data)
}

// directories are those of the adapters that a store keeps.
func directories(t testing.TB, data string) map[string]bool {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(data, "adapters", "*"))
	if err != nil {
		t.Fatal(err)
	}
	dirs := map[string]bool{}
	for _, path := range found {
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			dirs[path] = true
		}
	}
	return dirs
}

// What a killed host left in the data directory is removed by the next start, which counts it.
func TestLeftovers(t *testing.T) {
	data := t.TempDir()
	s := quick(t, data)
	s.load("menu", first)
	generation, _ := s.text("menu", prompts[0])
	s.kill()
	half := filepath.Join(data, "incoming", "half", "adapter_model.safetensors")
	if err := os.MkdirAll(filepath.Dir(half), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{half, filepath.Join(data, "incoming", "file")} {
		if err := os.WriteFile(path, []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s = quick(t, data)
	if live := s.generations()["menu"]; live != generation {
		t.Errorf("live is %q, want %q", live, generation)
	}
	if left, err := os.ReadDir(filepath.Join(data, "incoming")); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	rows, err := exec.CommandContext(t.Context(), program, "audit", "list", data, "--output", "json").Output()
	if err != nil || !bytes.Contains(rows, []byte(`"leftovers"`)) {
		t.Errorf("the audit does not count them: %s %v", rows, err)
	}
	s.stop()
	audit(t, data)
}

// The database is damaged. The program refuses to start with exit status 3 and says what to do; what it says brings everything back.
func TestDamagedDatabase(t *testing.T) {
	database := func(data string) string { return filepath.Join(data, registry.DatabaseName) }
	for _, c := range []struct {
		name   string
		damage func(data string) error
	}{
		{"deleted", func(data string) error { return os.Remove(database(data)) }},
		{"truncated", func(data string) error { return os.Truncate(database(data), 5000) }},
		{"another file", func(data string) error {
			return os.WriteFile(database(data), bytes.Repeat([]byte("no database "), 1000), 0o600)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			data := t.TempDir()
			s := quick(t, data)
			s.load("menu", first)
			generation, text := s.text("menu", prompts[0])
			s.stop()
			if err := c.damage(data); err != nil {
				t.Fatal(err)
			}
			out, err := exec.CommandContext(t.Context(), program, "serve", "--base", baseDir, "--data", data, "--listen", "127.0.0.1:0").CombinedOutput()
			if exit(err) != 3 || !strings.Contains(string(out), "REG_CORRUPT") || !strings.Contains(string(out), "tenon registry repair --from-store") {
				t.Errorf("it ended with %v: %s", err, out)
			}
			if out, err := exec.CommandContext(t.Context(), program, "registry", "repair", "--from-store", data).CombinedOutput(); err != nil {
				t.Fatalf("repair: %v\n%s", err, out)
			}
			s = quick(t, data)
			if by, again := s.text("menu", prompts[0]); by != generation || again != text {
				t.Errorf("after the repair it answers as %s: %q", by, again)
			}
			s.stop()
			audit(t, data)
		})
	}
}

// exit is the exit status in an error of exec, -1 where there is none.
func exit(err error) int {
	var e *exec.ExitError
	if !errors.As(err, &e) {
		return -1
	}
	return e.ExitCode()
}

// A second server on a data directory refuses to start, names the first, and disturbs nothing; a frozen first is still the first.
func TestSecondServer(t *testing.T) {
	data := t.TempDir()
	s := quick(t, data)
	s.load("menu", first)
	generation, _ := s.text("menu", prompts[0])
	for _, frozen := range []bool{false, true} {
		if frozen {
			s.signal(syscall.SIGSTOP)
		}
		out, err := exec.CommandContext(t.Context(), program, "serve", "--base", baseDir, "--data", data, "--listen", "127.0.0.1:0").CombinedOutput()
		if exit(err) != 3 || !strings.Contains(string(out), "REG_LOCKED") {
			t.Errorf("frozen %t: the second ended with %v: %s", frozen, err, out)
		}
		if frozen {
			s.signal(syscall.SIGCONT)
		}
		if live := s.generations()["menu"]; live != generation {
			t.Errorf("live is %q, want %q", live, generation)
		}
	}
	s.stop()
}
