package main

import (
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestFindLlama(t *testing.T) {
	empty := t.TempDir()
	for given, want := range map[string]string{"none": "-llama none", empty: "libllama"} {
		if dir, why := findLlama(t.Context(), given); dir != "" || !strings.Contains(why, want) {
			t.Errorf("%s: found %q, because %q", given, dir, why)
		}
	}
}

// TestHarness asks llama.cpp for all probabilities after a prompt. It needs what an earlier run of the command has installed, and installs nothing.
func TestHarness(t *testing.T) {
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Skip(err)
	}
	libraries := filepath.Join(cache, "tenon", "speed-bench-llama-"+llamaVersion, "node_modules", filepath.FromSlash(llamaPackage), "bins", "linux-x64")
	if _, err := os.Stat(libraries); err != nil {
		t.Skipf("%s is not installed: speed-bench -only decode does that", llamaPackage)
	}
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip("there is no gcc")
	}
	dir := t.TempDir()
	model := filepath.Join(dir, "model.gguf")
	if err := writeBase(filepath.Join(dir, "base"), tiny, 1, 1); err != nil {
		t.Fatal(err)
	}
	if err := writeGGUF(model, filepath.Join(dir, "base"), tiny); err != nil {
		t.Fatal(err)
	}
	c, err := startLlama(t.Context(), libraries, dir, model, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	all := make([]int32, tiny.vocab)
	for i := range all {
		all[i] = int32(i)
	}
	r, err := c.ask(request{Op: "generate", Streams: 2, Tokens: 3, Prompts: []int32{5, 6, 7, 8, 9, 10}, IDs: all})
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, v := range r.Sample {
		sum += math.Exp(v)
	}
	if len(r.Sample) != tiny.vocab || math.Abs(sum-1) > 1e-3 {
		t.Errorf("%d probabilities add up to %g", len(r.Sample), sum)
	}
	if len(r.Seconds) != 2 || !(r.Seconds[0] > 0 && r.Seconds[1] > 0) {
		t.Errorf("it took %v", r.Seconds)
	}
	if _, err := c.ask(request{Op: "generate"}); err == nil || !strings.Contains(err.Error(), "it needs streams") {
		t.Errorf("an empty request: %v", err)
	}
}
