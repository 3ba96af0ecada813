// Package python_test builds and runs the Python example. It is skipped where Python lacks the packages of requirements.txt.
package python_test

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/tenon-ml/tenon/host/backend"
	"github.com/tenon-ml/tenon/host/backend/trial"
	"github.com/tenon-ml/tenon/internal/kernel"
	"github.com/tenon-ml/tenon/sdk/backend/backendtest"
)

// python is an interpreter with what the example needs: $TENON_PYTHON, or the one that the Makefile here makes.
func python(t *testing.T) string {
	t.Helper()
	path := os.Getenv("TENON_PYTHON")
	if path == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			t.Skipf("no TENON_PYTHON, and no cache folder: %v", err)
		}
		path = filepath.Join(cache, "tenon", "python", "bin", "python")
	}
	if out, err := exec.Command(path, "-c", "import grpc, grpc_tools, numpy, cryptography, hashlib; hashlib.file_digest").CombinedOutput(); err != nil {
		t.Skipf("%s cannot run the example: %v\n%s"+
			"run make here, or set TENON_PYTHON to a Python 3.11 with the packages of requirements.txt", path, err, out)
	}
	return path
}

// command runs Python in this folder, and leaves nothing in it.
func command(t *testing.T, python string, env []string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), python, args...)
	cmd.Env = append(append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1"), env...)
	return cmd
}

func TestConformance(t *testing.T) {
	python, generated := python(t), t.TempDir()
	proto := filepath.Join("..", "..", "..", "sdk", "backend", "backendpb")
	out, err := command(t, python, nil, "-m", "grpc_tools.protoc", "-I", proto, "--python_out="+generated, "--grpc_python_out="+generated,
		filepath.Join(proto, "backend.proto")).CombinedOutput()
	if err != nil {
		t.Fatalf("protoc: %v\n%s", err, out)
	}
	program, err := filepath.Abs("backend.py")
	if err != nil {
		t.Fatal(err)
	}
	spec := backend.Spec{Name: "numpy", Command: []string{python, program}, Env: []string{"PYTHONPATH=" + generated, "PYTHONDONTWRITEBYTECODE=1"}}
	trial.Host{Spec: spec}.Test(backendtest.Adapt(t))
}

// calculate reads triples of f32 and writes what fma makes of them.
const calculate = `
import sys
import numpy as np
import rule
x, y, z = np.frombuffer(sys.stdin.buffer.read(), "<f4").reshape(-1, 3).T
with np.errstate(all="ignore"):
    sys.stdout.buffer.write(rule.fma(x, y, z).tobytes())
`

// TestFMA holds numpy's arithmetic against Tenon's own: any bits at all, and products that end beside a midpoint of two f32.
func TestFMA(t *testing.T) {
	python := python(t)
	random := rand.New(rand.NewPCG(3, 4))
	var triples []float32
	for i := range 200_000 {
		x, y, z := math.Float32frombits(random.Uint32()), math.Float32frombits(random.Uint32()), math.Float32frombits(random.Uint32())
		switch i % 3 {
		case 1:
			e := math.Ldexp(1, -random.IntN(24))
			x, y = float32((1+e)*0x1p-12), float32((1-e)*0x1p-12)
			z = math.Float32frombits(0x3f800000 + random.Uint32N(1<<23))
		case 2: // around and below the smallest normal number
			x, y = math.Float32frombits(random.Uint32N(1<<24)), float32(math.Ldexp(random.Float64(), -random.IntN(30)))
			z = math.Float32frombits(random.Uint32N(1 << 24))
		}
		triples = append(triples, x, y, z)
	}
	var input, output bytes.Buffer
	if err := binary.Write(&input, binary.LittleEndian, triples); err != nil {
		t.Fatal(err)
	}
	cmd := command(t, python, nil, "-c", calculate)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = &input, &output, os.Stderr
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	if output.Len() != len(triples)/3*4 {
		t.Fatalf("%d bytes for %d triples", output.Len(), len(triples)/3)
	}
	for i := 0; i < len(triples); i += 3 {
		got := math.Float32frombits(binary.LittleEndian.Uint32(output.Bytes()[i/3*4:]))
		want := kernel.FMA32(triples[i], triples[i+1], triples[i+2])
		if math.Float32bits(got) != math.Float32bits(want) && (got == got || want == want) {
			t.Fatalf("fma(%x, %x, %x) = %x, want %x", triples[i], triples[i+1], triples[i+2], got, want)
		}
	}
}
