package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/host/safetensors"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

func TestMain(m *testing.M) {
	if os.Args[0] == workerArgv0 {
		if err := serveTenon(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func startTenon(t *testing.T, env ...string) (*contender, error) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(self)
	command.Args = []string{workerArgv0}
	command.Env = append(without(os.Environ(), "TENON_CPU"), env...)
	c, err := start(t.Context(), "Tenon", command)
	if err == nil {
		t.Cleanup(c.close)
	}
	return c, err
}

// The implementations merge the same, in turns over the copies, and samples are where they are said to be.
func TestTenonMerges(t *testing.T) {
	const size, rank = 64, 4
	dir := t.TempDir()
	r := request{Op: "prepare", DType: "BF16", Size: size, Rank: rank, Scale: 2, Copies: 3, Workers: 2,
		W: filepath.Join(dir, "w"), A: filepath.Join(dir, "a"), B: filepath.Join(dir, "b")}
	for path, e := range map[string]safetensors.Entry{
		r.W: {Name: "weight", DType: tensor.BF16, Shape: []int{size, size}},
		r.A: {Name: "lora_A", DType: tensor.F32, Shape: []int{rank, size}},
		r.B: {Name: "lora_B", DType: tensor.F32, Shape: []int{size, rank}},
	} {
		if err := writeRaw(path, e); err != nil {
			t.Fatal(err)
		}
	}
	var samples [][]float64
	for _, env := range []string{"TENON_CPU=generic", "A=B"} {
		c, err := startTenon(t, env)
		if err != nil {
			t.Fatal(err)
		}
		merge := request{Op: "merge", Workers: 2, First: 3, Step: 100, Times: 5, Enough: 10}
		if _, err := c.ask(merge); err == nil {
			t.Error("merged before anything was prepared")
		}
		if _, err := c.ask(r); err != nil {
			t.Fatal(err)
		}
		got, err := c.ask(merge)
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Seconds) != 5 || len(got.Sample) != 41 {
			t.Errorf("%d times and a sample of %d entries", len(got.Seconds), len(got.Sample))
		}
		samples = append(samples, got.Sample)
	}
	if err := same(samples[0], samples[1], tensor.F32); err != nil {
		t.Errorf("the implementations differ: %v", err)
	}
	stored, err := os.ReadFile(filepath.Join(dir, "w"))
	if err != nil {
		t.Fatal(err)
	}
	pristine := sample(stored, tensor.BF16, 3, 100)
	if same(pristine, samples[0], tensor.F32) == nil {
		t.Error("nothing was merged")
	}
	if err := same(pristine, samples[0], tensor.BF16); err == nil {
		t.Error("a merge is taken for none: the tolerance is too large")
	}
}

func TestContenderThatDoesNotStart(t *testing.T) {
	if _, err := startTenon(t, "TENON_CPU=abacus"); err == nil || !strings.Contains(err.Error(), "abacus") {
		t.Errorf("error %v does not tell what the process said", err)
	}
}

func TestUnknownOp(t *testing.T) {
	c, err := startTenon(t)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []request{{Op: "divide"}, {Op: "prepare", DType: "Q4"}} {
		if _, err := c.ask(r); err == nil {
			t.Errorf("%+v is answered", r)
		}
	}
}

func TestMeasure(t *testing.T) {
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("no sh")
	}
	dir := t.TempDir()
	m, err := measure(t.Context(), exec.Command(shell, "-c", "echo '{\"imports\": 0.25}'; : > "+filepath.Join(dir, "x")), dir)
	if err != nil {
		t.Fatal(err)
	}
	if m.seconds < m.ended || m.ended <= 0 || m.maxRSS < 100<<10 || m.maxRSS > 4<<30 {
		t.Errorf("%+v", m)
	}
	if got := withoutImports(measured{seconds: 1, output: m.output}); got != 0.75 {
		t.Errorf("%g s without imports, want 0.75", got)
	}
	if _, err := measure(t.Context(), exec.Command(shell, "-c", "echo why >&2; exit 3"), dir); err == nil || !strings.Contains(err.Error(), "why") {
		t.Errorf("error %v does not tell what the process said", err)
	}
}

func TestTreeRSS(t *testing.T) {
	proc := t.TempDir()
	for pid, stat := range map[int]string{
		10: "(a) S 1", 11: "(b) c) S 10", 12: "(c) S 11", 13: "(other) S 1",
	} {
		dir := filepath.Join(proc, fmt.Sprint(pid))
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		// Fields 5 to 23 come before the resident pages.
		line := fmt.Sprintf("%d %s%s %d 0\n", pid, stat, strings.Repeat(" 0", 19), pid)
		if err := os.WriteFile(filepath.Join(dir, "stat"), []byte(line), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := treeRSS(proc, 10), int64((10+11+12)*os.Getpagesize()); got != want {
		t.Errorf("got %d bytes, want %d", got, want)
	}
}
