package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/host/moduletest"
	"github.com/tenon-ml/tenon/internal/toolchain"
)

// TestTutorialCase: the case that the tutorial shows is one that tenon module new writes, and it fails as shown.
func TestTutorialCase(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(toolchain.Root(t), "docs", "write-a-diagnostic.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "```json\n")
	shown, rest, _ := strings.Cut(rest, "```")
	files, err := languages[0].files("factor-ratio")
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(files, func(f newFile) bool { return f.path == "factor-ratio.cases.json" })
	plain := func(text string) string { return strings.Join(strings.Fields(text), " ") }
	if shown == "" || !strings.Contains(plain(string(files[i].text)), plain(shown)) {
		t.Errorf("no case that is written is\n%s", shown)
	}
	var failure strings.Builder
	(&command{stdout: &failure}).printOutcome(moduletest.Outcome{Name: "B is 40 times as large as A",
		Problems: []moduletest.Problem{{What: "metric ratio of w.weight is 40, want 50 within 1e-09"}}})
	if !strings.Contains(plain(rest), plain(failure.String())) {
		t.Errorf("it does not show\n%s", &failure)
	}
}

// TestTutorial runs every command of docs/write-a-diagnostic.md as it stands there, in order: those of Go first, and each other language's in
// a folder of its own. A language whose compiler is not here is skipped.
func TestTutorial(t *testing.T) {
	root := toolchain.Root(t)
	text, err := os.ReadFile(filepath.Join(root, "docs", "write-a-diagnostic.md"))
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(string(text), "\n## The same in ")
	if len(parts) != 4 {
		t.Fatalf("the tutorial is in %d parts, and should be in one for Go and one for each other language", len(parts))
	}
	// The test binary is the tenon of the commands: see TestMain.
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	if err := os.Symlink(executable, filepath.Join(bin, "tenon")); err != nil {
		t.Fatal(err)
	}
	environment := append(os.Environ(), "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"), "TENON_CACHE_DIR="+t.TempDir(),
		"EXAMPLES="+filepath.Join(root, "examples"), "GOPROXY=off", "GOFLAGS=", "GOWORK=off")
	for i, language := range []struct {
		name  string
		tools func(t *testing.T) []string // variables of make
	}{
		{"Go", func(*testing.T) []string { return nil }},
		{"C", func(t *testing.T) []string { return []string{"CLANG=" + toolchain.Clang(t)} }},
		{"Rust", func(t *testing.T) []string { return []string{"RUSTC=" + toolchain.Rustc(t)} }},
		{"AssemblyScript", func(t *testing.T) []string { return []string{"ASC=" + toolchain.AssemblyScript(t)} }},
	} {
		t.Run(language.name, func(t *testing.T) {
			if i > 0 && !strings.HasPrefix(parts[i], language.name+"\n") {
				t.Fatalf("part %d is not about %s", i, language.name)
			}
			variables := language.tools(t)
			var script []string
			for line := range strings.Lines(parts[i]) {
				command, ok := strings.CutPrefix(line, "    $ ")
				// The compiler of the tests is the one that is here: nothing is fetched.
				if ok && !strings.HasPrefix(command, "npm install") {
					script = append(script, strings.TrimSpace(command))
				}
			}
			if len(script) < 3 {
				t.Fatalf("only %d commands were found", len(script))
			}
			command := exec.Command("sh", "-e", "-x", "-c", strings.Join(script, "\n"))
			command.Dir, command.Env = t.TempDir(), append(environment, variables...)
			output, err := command.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, output)
			}
			if want := "21 of 21 tests and 5 of 5 cases passed"; !strings.Contains(string(output), want) {
				t.Errorf("it does not print %q:\n%s", want, output)
			}
		})
	}
}
