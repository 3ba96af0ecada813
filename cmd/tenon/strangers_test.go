package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/wasm/sandbox/wasmtest"
)

// TestStrangersPage does what docs/run-a-strangers-module.md says, in order: it writes the policy as the page gives it, with the digests of a
// module of this test under the manifest of examples/diagnostics/watermark, and runs every command. A command behind which "# exits N" stands must end so, and the others well.
func TestStrangersPage(t *testing.T) {
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skipf("no shell here: %v", err)
	}
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(root, "docs", "run-a-strangers-module.md"))
	if err != nil {
		t.Fatal(err)
	}
	dir, bin := t.TempDir(), t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range [][2]string{{self, filepath.Join(bin, "tenon")}, {filepath.Join(root, "examples"), filepath.Join(dir, "examples")}} {
		if err := os.Symlink(link[0], link[1]); err != nil {
			t.Fatal(err)
		}
	}
	guest := wasmtest.Guest(wasmtest.Host("log"), wasmtest.Code(wasmtest.Const(8), wasmtest.Const(13), wasmtest.Call(0))...)
	guest.Data = []wasmtest.Data{{Offset: 8, Bytes: []byte("no mark \x1b[31m!")}}
	wasm := guest.Encode()
	manifest, err := os.ReadFile(filepath.Join(root, "examples", "diagnostics", "watermark", "watermark.json"))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{"watermark.wasm": wasm, "watermark.json": manifest}
	if err := os.Mkdir(filepath.Join(dir, "downloads"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, "downloads", name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	policy := pinned(string(page), wasm, manifest)

	ran, said := 0, ""
	for _, match := range regexp.MustCompile(`(?m)^    ((?:tenon|mkdir|cp|echo|sha256sum) .*)$`).FindAllStringSubmatch(string(page), -1) {
		if ran == 2 { // the page gives the policy before the third command of it
			if err := os.MkdirAll(filepath.Join(dir, "gate"), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "gate", "policy.yaml"), []byte(policy), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		code, out := shell(t.Context(), dir, bin, match[1])
		want := 0
		if _, exits, ok := strings.Cut(match[1], "# exits "); ok {
			if _, err := fmt.Sscan(exits, &want); err != nil {
				t.Fatal(err)
			}
		}
		if code != want {
			t.Errorf("%s: exit code %d, want %d\n%s", match[1], code, want, out)
		}
		ran++
		said += out
	}
	if ran != 10 {
		t.Errorf("%d commands were found", ran)
	}
	for _, text := range []string{"watermark: not part of Tenon, from watermark.wasm", `watermark says: no mark \x1b[31`, "each ran twice on the same input",
		"tells its author the weights", "[MODULE_REVOKED · watermark, not part of Tenon]"} {
		if !strings.Contains(strings.Join(strings.Fields(said), " "), text) {
			t.Errorf("nothing says %q in\n%s", text, said)
		}
	}
}

// pinned is the policy of the page with the digests of a guest and its manifest.
func pinned(page string, wasm, manifest []byte) string {
	_, policy, _ := strings.Cut(page, "```yaml\n")
	policy, _, _ = strings.Cut(policy, "```")
	policy = regexp.MustCompile(`( sha256: )[0-9a-f]{64}`).ReplaceAllString(policy, fmt.Sprintf("${1}%x", sha256.Sum256(wasm)))
	return regexp.MustCompile(`(manifest_sha256: )[0-9a-f]{64}`).ReplaceAllString(policy, fmt.Sprintf("${1}%x", sha256.Sum256(manifest)))
}

// shell runs a command line in dir, with what is in bin before everything else.
func shell(ctx context.Context, dir, bin, line string) (code int, out string) {
	command := exec.CommandContext(ctx, "sh", "-c", line)
	command.Dir = dir
	command.Env = append(os.Environ(), "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"), "TENON_CACHE_DIR="+filepath.Join(bin, "cache"))
	var both bytes.Buffer
	command.Stdout, command.Stderr = &both, &both
	if err := command.Run(); err != nil && command.ProcessState == nil {
		return -1, err.Error()
	}
	return command.ProcessState.ExitCode(), both.String()
}
