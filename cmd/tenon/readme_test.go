package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestReadmeCommands runs every command line of the README that calls tenon alone, in order, and holds the prompt it shows against what
// the demo prints.
func TestReadmeCommands(t *testing.T) {
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("TENON_CACHE_DIR", t.TempDir())
	dir := t.TempDir()
	if err := os.Symlink(filepath.Join(root, "examples"), filepath.Join(dir, "examples")); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	ran := 0
	for _, match := range regexp.MustCompile(`(?m)^    bin/tenon (check|merge|verify|inspect|policy|module) (.*)$`).FindAllStringSubmatch(string(readme), -1) {
		var stdout, stderr bytes.Buffer
		words, _, _ := strings.Cut(match[2], " #")
		if code := run(append([]string{match[1]}, strings.Fields(words)...), &stdout, &stderr); code != exitOK {
			t.Errorf("%s: exit code %d\n%s%s", strings.TrimSpace(match[0]), code, stdout.String(), stderr.String())
		}
		ran++
	}
	if ran < 7 {
		t.Errorf("only %d commands of the README were found", ran)
	}
	_, shown, ok := strings.Cut(string(readme), "    prompt  ")
	if !ok {
		t.Fatal("the README shows no prompt")
	}
	prompt, shown, _ := strings.Cut(shown, "\n")
	shown, _, _ = strings.Cut(shown, "\n\n")
	var stdout, stderr bytes.Buffer
	args := []string{"serve", "--base", "examples/restaurant/base", "--adapter", "restaurant=examples/restaurant/adapter", "--listen", "127.0.0.1:0", "--try", prompt, "--once"}
	if code := run(args, &stdout, &stderr); code != exitOK {
		t.Fatalf("serve: exit code %d\n%s", code, stderr.String())
	}
	_, printed, _ := strings.Cut(stdout.String(), "\nprompt  "+prompt+"\n")
	if got, want := strings.Join(strings.Fields(printed), " "), strings.Join(strings.Fields(shown), " "); got != want {
		t.Errorf("the README shows\n%s\nthe demo prints\n%s", want, got)
	}
}
