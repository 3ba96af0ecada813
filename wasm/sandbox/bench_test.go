//go:build unix

package sandbox_test

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/diag"
	"github.com/tenon-ml/tenon/sdk/diag/diagtest"
	"github.com/tenon-ml/tenon/sdk/tensor"
	"github.com/tenon-ml/tenon/wasm/modules"
	"github.com/tenon-ml/tenon/wasm/modules/amplification"
	"github.com/tenon-ml/tenon/wasm/modules/anomaly"
	"github.com/tenon-ml/tenon/wasm/modules/duplicates"
	"github.com/tenon-ml/tenon/wasm/modules/hygiene"
	"github.com/tenon-ml/tenon/wasm/modules/interference"
	mergeloss "github.com/tenon-ml/tenon/wasm/modules/merge-loss"
	"github.com/tenon-ml/tenon/wasm/modules/outliers"
	"github.com/tenon-ml/tenon/wasm/modules/similarity"
	"github.com/tenon-ml/tenon/wasm/modules/spectrum"
	"github.com/tenon-ml/tenon/wasm/sandbox"
	"github.com/tenon-ml/tenon/wasm/worker"
)

func TestMain(m *testing.M) {
	if worker.Invoked() {
		worker.Main()
	}
	os.Exit(m.Run())
}

var _ diagtest.Host = (*sandbox.Native)(nil)

// diagnostics are built-in ones as Go functions: those that pass over each weight, and those that look at factors alone.
var (
	overWeights = map[string]func(*diag.Run) error{
		"amplification": amplification.Diagnose, "hygiene": hygiene.Diagnose, "merge-loss": mergeloss.Diagnose,
	}
	overFactors = map[string]func(*diag.Run) error{
		"anomaly": anomaly.Diagnose, "duplicates": duplicates.Diagnose, "interference": interference.Diagnose, "outliers": outliers.Diagnose,
		"similarity": similarity.Diagnose, "spectrum": spectrum.Diagnose,
	}
)

// randomInput is an adapter of rank 16 with targets of size x size on bf16 weights, and a peer, all in one file.
func randomInput(tb testing.TB, targets, size int) sandbox.Input {
	tb.Helper()
	const rank = 16
	file, err := os.Create(filepath.Join(tb.TempDir(), "weights"))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { file.Close() })
	random := rand.New(rand.NewPCG(1, 2))
	var offset int64
	source := func(name string, dtype tensor.DType, rows, cols int, scale float64) sandbox.Source {
		var content []byte
		for range rows * cols {
			bits := math.Float32bits(float32(scale * random.NormFloat64()))
			if dtype == tensor.BF16 {
				content = binary.LittleEndian.AppendUint16(content, uint16(bits>>16))
			} else {
				content = binary.LittleEndian.AppendUint32(content, bits)
			}
		}
		if _, err := file.WriteAt(content, offset); err != nil {
			tb.Fatal(err)
		}
		s := sandbox.Source{Reader: file, Ref: tensor.Ref{Name: name, DType: dtype, Shape: []int{rows, cols}, Offset: offset,
			Length: int64(len(content))}}
		offset += int64(len(content))
		return s
	}
	var in sandbox.Input
	peer := sandbox.Peer{Name: "peer"}
	for i := range targets {
		name := "model.layers." + strconv.Itoa(i) + ".self_attn.q_proj.weight"
		t := sandbox.Target{Name: name, A: source("a", tensor.F32, rank, size, 0.02), B: source("b", tensor.F32, size, rank, 0.02),
			Base: source("w", tensor.BF16, size, size, 0.02), Rank: rank, In: size, Out: size, Scale: 2, Alpha: 32}
		other := t
		other.A, other.Base = source("other", tensor.F32, rank, size, 0.02), sandbox.Source{}
		in.Targets, peer.Targets = append(in.Targets, t), append(peer.Targets, &other)
	}
	in.Peers = []sandbox.Peer{peer}
	in.Bank = &sandbox.Bank{Features: make([]sandbox.Matrix, 1+targets)}
	return in
}

// builtin is a built-in module and the options of its runs on an input.
func builtin(tb testing.TB, id string, in sandbox.Input) sandbox.Options {
	tb.Helper()
	all, err := modules.Builtin()
	if err != nil {
		tb.Fatal(err)
	}
	i := slices.IndexFunc(all, func(m modules.Module) bool { return m.Manifest.ID == id })
	m := all[i]
	in.Params = map[string]float64{}
	for name, p := range m.Manifest.Params {
		in.Params[name] = p.Default
	}
	return sandbox.Options{Wasm: m.Wasm, Manifest: m.Manifest, Granted: m.Manifest.Needs, Input: in, Limits: abi.Limits{RunMillis: 600_000}}
}

// cost is the least that a run took, of wall and of processor time, over all threads.
type cost struct{ wall, cpu time.Duration }

func (c *cost) lower(wall, cpu time.Duration) { c.wall, c.cpu = min(c.wall, wall), min(c.cpu, cpu) }

// compare runs a diagnostic natively and in a worker, turn by turn. A worker's processor time has everything in it, from its start.
func compare(b *testing.B, r *worker.Runner, o sandbox.Options, diagnose func(*diag.Run) error) (native, sandboxed cost) {
	b.Helper()
	job := worker.Job{Wasm: o.Wasm, SHA256: sha256.Sum256(o.Wasm), Manifest: o.Manifest, Granted: o.Granted, Limits: o.Limits, Input: o.Input}
	native, sandboxed = cost{math.MaxInt64, math.MaxInt64}, cost{math.MaxInt64, math.MaxInt64}
	for n := range b.N + 2 { // the first fills the cache, the second has a spare loaded
		begun, used := time.Now(), processorTime(b)
		host := sandbox.NewNative(o)
		if err := diagtest.RunOn(host, diagnose); err != nil {
			b.Fatal(err)
		}
		alone, aloneCPU := time.Since(begun), processorTime(b)-used
		if r.Spares > 0 {
			time.Sleep(300 * time.Millisecond) // the next job comes when a spare is loaded; without spares one follows the other
		}
		begun = time.Now()
		result, _ := r.Run(context.Background(), job)
		if result.Status != sandbox.OK {
			b.Fatalf("%s %q", result.Status, result.Error)
		}
		if want := host.Result(); len(want.Metrics) != len(result.Metrics) || len(want.Findings) != len(result.Findings) {
			b.Fatalf("%d metrics and %d findings natively, %d and %d in the sandbox", len(want.Metrics), len(want.Findings),
				len(result.Metrics), len(result.Findings))
		}
		if n >= 2 {
			native.lower(alone, aloneCPU)
			sandboxed.lower(time.Since(begun), time.Duration(result.Usage.CPU))
		}
	}
	return native, sandboxed
}

// processorTime is what this process has used.
func processorTime(b *testing.B) time.Duration {
	var used unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

func runner(b *testing.B, spares int) *worker.Runner {
	r := &worker.Runner{CacheDir: filepath.Join(b.TempDir(), "cache"), Spares: spares}
	b.Cleanup(func() { r.Close() })
	return r
}

// BenchmarkOverWeights is what the sandbox costs a diagnostic that passes over the weights of the base, as a multiple of the same Go code
// with the same kernels in this process: 4096 x 4096, r = 16, eight of them, the whole run with starting its process.
func BenchmarkOverWeights(b *testing.B) {
	in := randomInput(b, 8, 4096)
	for _, id := range []string{"amplification", "hygiene", "merge-loss"} {
		b.Run(id, func(b *testing.B) {
			native, sandboxed := compare(b, runner(b, 4), builtin(b, id, in), overWeights[id])
			b.ReportMetric(float64(sandboxed.wall)/float64(native.wall), "xnative")
			b.ReportMetric(float64(sandboxed.cpu)/float64(native.cpu), "xnative-cpu")
			b.ReportMetric(float64(native.wall)/1e6, "native-ms/op")
		})
	}
}

// BenchmarkOverFactors is how much longer a diagnostic of factors takes in the sandbox: from a worker that waits for it, and from one that is
// started for it.
func BenchmarkOverFactors(b *testing.B) {
	in := randomInput(b, 8, 1024)
	for _, id := range []string{"anomaly", "duplicates", "interference", "outliers", "similarity", "spectrum"} {
		for _, spares := range []int{4, 0} {
			b.Run(fmt.Sprintf("%s/spares=%d", id, spares), func(b *testing.B) {
				native, sandboxed := compare(b, runner(b, spares), builtin(b, id, in), overFactors[id])
				b.ReportMetric(float64(sandboxed.wall-native.wall)/1e6, "extra-ms/op")
				b.ReportMetric(float64(sandboxed.cpu-native.cpu)/1e6, "extra-cpu-ms/op")
				b.ReportMetric(float64(native.wall)/1e6, "native-ms/op")
			})
		}
	}
}
