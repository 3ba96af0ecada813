package kernel

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestNothingIsFused reads the machine code of this package for a machine on which the compiler fuses a product with a sum wherever no
// conversion stands between them. A fused product is not rounded, so it would give other bits there than on amd64.
func TestNothingIsFused(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles for another machine")
	}
	build := exec.Command("go", "build", "-gcflags=-S", ".")
	build.Env = append(os.Environ(), "GOOS=linux", "GOARCH=arm64", "CGO_ENABLED=0")
	assembly, err := build.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, assembly)
	}
	if !strings.Contains(string(assembly), "FMULD") {
		t.Fatal("no machine code to read")
	}
	for _, line := range regexp.MustCompile(`(?m)^.*\bFN?M(ADD|SUB)[DS]\b.*$`).FindAllString(string(assembly), -1) {
		t.Error(strings.TrimSpace(line))
	}
}

// TestLibraryIsExact: of the library's functions, these give the same bits everywhere. Others are assembly on one machine and Go, which
// may be fused, on the next.
func TestLibraryIsExact(t *testing.T) {
	exact := []string{"Abs", "Float64bits", "Float64frombits", "Frexp", "Ilogb", "Inf", "IsInf", "Ldexp", "NaN", "Sqrt"}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, call := range regexp.MustCompile(`\bmath\.([A-Z]\w*)`).FindAllStringSubmatch(string(source), -1) {
			if !strings.HasSuffix(file, "_test.go") && !slices.Contains(exact, call[1]) {
				t.Errorf("%s uses math.%s", file, call[1])
			}
		}
	}
}
