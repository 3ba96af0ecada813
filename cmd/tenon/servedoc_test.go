package main

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/internal/toolchain"
)

// TestServeDocument runs every command of docs/serve.md as it stands there, in order, against servers on a port of its own.
func TestServeDocument(t *testing.T) {
	for _, tool := range []string{"sh", "sed", "curl", "openssl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("the page's commands need %s: %v", tool, err)
		}
	}
	root := toolchain.Root(t)
	text, err := os.ReadFile(filepath.Join(root, "docs", "serve.md"))
	if err != nil {
		t.Fatal(err)
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	free.Close()
	var script []string
	for line := range strings.Lines(string(text)) {
		if command, ok := strings.CutPrefix(line, "    $ "); ok {
			script = append(script, strings.ReplaceAll(strings.TrimSpace(command), defaultListen, address))
		}
	}
	if len(script) < 20 {
		t.Fatalf("only %d commands were found", len(script))
	}
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir, bin := t.TempDir(), t.TempDir()
	for from, to := range map[string]string{executable: filepath.Join(bin, "tenon"), filepath.Join(root, "examples"): filepath.Join(dir, "examples")} {
		if err := os.Symlink(from, to); err != nil {
			t.Fatal(err)
		}
	}
	// A command that fails must not leave a server behind.
	command := exec.CommandContext(t.Context(), "sh", "-e", "-c", "trap 'kill $! 2>/dev/null || true' EXIT\n"+strings.Join(script, "\n"))
	command.Dir = dir
	command.Env = append(os.Environ(), "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"), "TENON_CACHE_DIR="+t.TempDir(),
		"TENON_LISTEN="+address, "TENON_SERVER=http://"+address, "XDG_STATE_HOME="+t.TempDir())
	output, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	for _, want := range []string{"restaurant is live", "restaurant is unloaded", "chat is live", "acme/chat", "exit code", "on https://" + address, `"id":"chat"`} {
		if !strings.Contains(string(output), want) {
			t.Errorf("it does not print %q:\n%s", want, output)
		}
	}
	for line := range strings.Lines(string(output)) {
		if strings.HasPrefix(line, "time=") { // of the server's log
			continue
		}
		if len(strings.TrimRight(line, "\n")) > columns && !strings.HasPrefix(line, "{") && !strings.HasPrefix(line, "tenon:") && !strings.HasPrefix(line, "time=") {
			t.Errorf("a line is wider than the screen: %s", line)
		}
	}
	if strings.Contains(string(output), "tenon_") {
		t.Errorf("a secret is printed:\n%s", output)
	}
}
