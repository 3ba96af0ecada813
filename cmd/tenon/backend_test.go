package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestWriteABackend runs every command of docs/write-a-backend.md, in order, in one empty directory.
func TestWriteABackend(t *testing.T) {
	if testing.Short() {
		t.Skip("builds two programs and starts some 40 processes")
	}
	for _, tool := range []string{"bash", "go"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("the tutorial needs it: %v", err)
		}
	}
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(root, "docs", "write-a-backend.md"))
	if err != nil {
		t.Fatal(err)
	}
	dir, cache := t.TempDir(), t.TempDir()
	runs := func(title, script string, env ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "bash", "-e", "-c", script)
		cmd.Dir = dir
		// What an unfulfilled `!` reports is lost on -e, so each line that begins with one ends the script itself.
		cmd.Args[3] = regexp.MustCompile(`(?m)^! ((?:.*\\\n)*.*)$`).ReplaceAllString(script, `if $1; then echo "it succeeded: $$BASH_COMMAND"; exit 1; fi`)
		cmd.Env = append(append(os.Environ(), "TENON_SOURCE="+root, "TENON_CACHE_DIR="+cache, "GOFLAGS=", "GOPROXY=off"), env...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s\n%s", title, err, cmd.Args[3], out)
		}
		return string(out)
	}
	ran, output := 0, ""
	for _, block := range regexp.MustCompile("(?ms)^```sh( python)?\n(.*?)^```$").FindAllStringSubmatch(string(page), -1) {
		if block[1] != "" {
			t.Run("python", func(t *testing.T) {
				user, err := os.UserCacheDir()
				if err == nil {
					_, err = os.Stat(filepath.Join(user, "tenon", "python", "ready"))
				}
				if err != nil {
					t.Skipf("make in examples/backend/python was not run here: %v", err)
				}
				runs("python", block[2])
			})
			continue
		}
		ran++
		output += runs("block of commands", block[2])
		if strings.Contains(block[2], "cd my-backend") {
			dir = filepath.Join(dir, "my-backend")
		}
	}
	if ran < 6 {
		t.Errorf("only %d blocks of commands were found", ran)
	}
	// What the page shows is what comes.
	for _, shown := range regexp.MustCompile(`(?m)(?:^    \S.*\n(?:^    .*\n)*)`).FindAllString(string(page), -1) {
		if shown = regexp.MustCompile(`(?m)^    `).ReplaceAllString(shown, ""); strings.HasPrefix(shown, "FAILED") && !strings.Contains(output, shown) {
			t.Errorf("the page shows\n%s\nwhich did not come in\n%s", shown, output)
		}
	}
}
