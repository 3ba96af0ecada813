package kernel

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
)

// TestNEON runs this package's tests on an emulated arm64 processor: with -long all of them, and else those of the assembly that are quick.
func TestNEON(t *testing.T) {
	if runtime.GOARCH == "arm64" {
		t.Skip("this processor is an arm64: the tests run on it as they are")
	}
	if testing.Short() {
		t.Skip("it emulates a processor")
	}
	goCommand := goPath(t)
	emulator, err := exec.LookPath("qemu-aarch64-static")
	if err != nil {
		if emulator, err = exec.LookPath("qemu-aarch64"); err != nil {
			t.Skipf("NEON is not tested: %v", err)
		}
	}
	binary := filepath.Join(t.TempDir(), "kernel.test")
	build := exec.Command(goCommand, "test", "-c", "-o", binary, ".")
	build.Env = append(os.Environ(), "GOOS=linux", "GOARCH=arm64", "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	arguments := []string{"-test.short"}
	if !*long {
		arguments = append(arguments,
			"-test.run=^Test(Rounding|MergeBits|ScaledBits|MatMul32|AddProduct|Vectors|Widen|SignedSum|TakeCensus|TakeLoss|AddWeighted|Exp)",
			"-test.skip=^Test/generic$") // which runs outside as well
	}
	test := exec.Command(emulator, slices.Insert(arguments, 0, binary)...)
	test.Env = append(os.Environ(), "TENON_CPU=neon")
	if output, err := test.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, output)
	}
}

// TestAssemblyIsGenerated compares the committed amd64 assembly with what its generator writes.
func TestAssemblyIsGenerated(t *testing.T) {
	if output, err := exec.Command(goPath(t), "run", "./asm", "-check", "-dir", ".").CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, output)
	}
}

// goPath returns where the go command is, and skips the test where there is none.
func goPath(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("go")
	if err != nil {
		t.Skipf("there is no go command: %v", err)
	}
	return path
}
