package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// requirements are what the peers are made of. The default index has torch with CUDA for some systems, which is large and makes no
// difference to a CPU.
var requirements = []string{
	"torch==2.15.0", "peft==0.21.2", "transformers==5.23.0", "accelerate==1.15.0", "safetensors==0.8.0", "numpy==2.4.6", "ml_dtypes==0.6.0",
}

// environmentBytes is what must be free for them.
const environmentBytes = 12 << 30

// findPython returns the interpreter that has the peers: the one given, or that of an environment of its own, which is made where it is not
// there. Where none can be had, why says so, and the interpreter is "".
func findPython(ctx context.Context, given string) (python, why string) {
	switch given {
	case "none":
		return "", "-python none"
	case "":
		return makePython(ctx)
	}
	const needed = "import torch, peft, transformers, safetensors, numpy, ml_dtypes"
	if output, err := exec.CommandContext(ctx, given, "-c", needed).CombinedOutput(); err != nil {
		return "", fmt.Sprintf("%s does not have them: %s", given, last(output, err))
	}
	return given, ""
}

func makePython(ctx context.Context) (python, why string) {
	system, err := exec.LookPath("python3")
	if err != nil {
		return "", "there is no python3"
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err.Error()
	}
	digest := sha256.Sum256([]byte(strings.Join(requirements, "\n")))
	dir := filepath.Join(cache, "tenon", fmt.Sprintf("speed-bench-%x", digest[:4]))
	python = filepath.Join(dir, "bin", "python")
	complete := filepath.Join(dir, "complete") // written last
	if _, err := os.Stat(complete); err == nil {
		return python, ""
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return "", err.Error()
	}
	if free, known := freeBytes(filepath.Dir(dir)); known && free < environmentBytes {
		return "", fmt.Sprintf("an environment for them needs %d GiB, and %s has %d GiB free", environmentBytes>>30, cache, free>>30)
	}
	note("installing %s into %s; this takes minutes", strings.Join(requirements, " "), dir)
	for _, args := range [][]string{
		{system, "-m", "venv", "--clear", dir},
		append([]string{python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"}, requirements...),
	} {
		if output, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput(); err != nil {
			return "", fmt.Sprintf("%s failed: %s", strings.Join(args[:4], " "), last(output, err))
		}
	}
	if err := os.WriteFile(complete, nil, 0o600); err != nil {
		return "", err.Error()
	}
	return python, ""
}

// last is the last line a program printed, or how it ended where it printed nothing.
func last(output []byte, err error) string {
	lines := strings.Split(strings.TrimSpace(string(output)), "\n")
	if line := lines[len(lines)-1]; line != "" {
		return line
	}
	return err.Error()
}
