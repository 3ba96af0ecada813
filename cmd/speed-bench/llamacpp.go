package main

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
)

//go:embed llamacpp/harness.c
var harnessSource []byte

// llamaPackage has the shared libraries of llama.cpp v0.5.0, built for every kind of x86-64 processor; they choose by themselves.
const (
	llamaPackage = "@node-llama-cpp/linux-x64"
	llamaVersion = "3.22.1"
)

// llamaName is llama.cpp in tables.
const llamaName = "llama.cpp"

// findLlama returns the directory of llama.cpp's libraries: the one given, or that of an installation of its own. Where none can be had, why
// says so.
func findLlama(ctx context.Context, given string) (dir, why string) {
	switch {
	case given == "none":
		return "", "-llama none"
	case given != "":
		if _, err := os.Stat(filepath.Join(given, "libllama.v0.5.0.so")); err != nil {
			return "", err.Error()
		}
		return given, ""
	case runtime.GOOS != "linux" || runtime.GOARCH != "amd64":
		return "", fmt.Sprintf("%s has no libraries for %s/%s", llamaPackage, runtime.GOOS, runtime.GOARCH)
	}
	return installLlama(ctx)
}

// installLlama installs the package into the user's cache directory, where it is not there. Nothing of it is run.
func installLlama(ctx context.Context) (dir, why string) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err.Error()
	}
	root := filepath.Join(cache, "tenon", "speed-bench-llama-"+llamaVersion)
	dir = filepath.Join(root, "node_modules", filepath.FromSlash(llamaPackage), "bins", "linux-x64")
	complete := filepath.Join(root, "complete") // written last
	if _, err := os.Stat(complete); err == nil {
		return dir, ""
	}
	npm, err := exec.LookPath("npm")
	if err != nil {
		return "", "there is no npm to install " + llamaPackage + " with"
	}
	if err := os.MkdirAll(root, 0o700); err != nil {
		return "", err.Error()
	}
	note("installing %s %s into %s", llamaPackage, llamaVersion, root)
	install := exec.CommandContext(ctx, npm, "install", "--prefix", root, "--ignore-scripts", "--no-audit", "--no-fund", llamaPackage+"@"+llamaVersion)
	if output, err := install.CombinedOutput(); err != nil {
		return "", fmt.Sprintf("npm install %s failed: %s", llamaPackage, last(output, err))
	}
	if err := os.WriteFile(complete, nil, 0o600); err != nil {
		return "", err.Error()
	}
	return dir, ""
}

// startLlama builds the harness in a temporary directory and has it load a model.
func startLlama(ctx context.Context, libraries, temporary, model string, threads int) (*contender, error) {
	source, program := filepath.Join(temporary, "harness.c"), filepath.Join(temporary, "harness")
	if err := os.WriteFile(source, harnessSource, 0o600); err != nil {
		return nil, err
	}
	if output, err := exec.CommandContext(ctx, "gcc", "-O2", "-o", program, source, "-ldl", "-lm").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("gcc: %s", last(output, err))
	}
	return start(ctx, llamaName, exec.CommandContext(ctx, program, libraries, model, strconv.Itoa(threads)))
}
