// Package machine measures what bounds a computation on this machine: how fast memory can be copied, and how many fused multiply-adds the
// cores complete. Whoever reports a speed measures the bound in the same run, since clocks, neighbours and memory differ from run to run.
package machine

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tenon-ml/tenon/internal/noise"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// Work is what a computation cannot do without.
type Work struct {
	Bytes int64 // read from memory and written to it, together
	FMA32 int64 // fused multiply-adds of f32; each counts as 2 FLOP
	FMA64 int64 // the same of f64
}

// Machine has memory to copy. It is for one goroutine.
type Machine struct {
	src, dst []byte
	at       int // where the next copy begins
}

// New takes and fills 512 MiB, or four times the last-level cache where that is more.
func New() *Machine {
	half := max(256<<20, 2*int(LastLevelCache()))
	m := &Machine{src: make([]byte, half), dst: make([]byte, half)}
	source := noise.Source(1, 1)
	normal := noise.NewNormal(tensor.F32, 1)
	const piece = 1 << 20
	for at := 0; at+piece <= half; at += piece {
		normal.Fill(m.src[at:at+piece], source)
	}
	copy(m.dst, m.src) // so that all pages are there
	return m
}

// LastLevelCache is the size of the largest cache of the first core, in bytes; 32 MiB where the system does not say.
func LastLevelCache() int64 {
	found := int64(0)
	paths, _ := filepath.Glob("/sys/devices/system/cpu/cpu0/cache/index*/size")
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		digits, kib := strings.CutSuffix(strings.TrimSpace(string(text)), "K")
		n, err := strconv.ParseInt(digits, 10, 64)
		if err != nil {
			continue
		}
		if kib {
			n <<= 10
		}
		found = max(found, n)
	}
	if found == 0 {
		return 32 << 20
	}
	return found
}

// Copy moves bytes, half of them reads and half writes, with so many goroutines, and returns how long that took. What it copies was not
// touched lately: successive copies go around memory that no cache holds. Copies are the runtime's, which writes past the caches where the
// processor can.
func (m *Machine) Copy(bytes int64, workers int) time.Duration {
	each := int(bytes) / 2 / workers
	each -= each % 64
	start := time.Now()
	parallel(workers, func(worker int) {
		at, left := m.at+worker*each, each
		for left > 0 {
			at %= len(m.src)
			n := min(left, len(m.src)-at)
			copy(m.dst[at:at+n], m.src[at:at+n])
			at, left = at+n, left-n
		}
	})
	took := time.Since(start)
	m.at = (m.at + workers*each) % len(m.src)
	return took
}

// Bound is how long each part of the work takes at least, one part alone.
type Bound struct{ Copy, FMA time.Duration }

// Bound does nothing but w's copying, and then nothing but its arithmetic, with so many goroutines. The larger of the two is the least time
// that any computation of that work can take whose data are in memory.
func (m *Machine) Bound(w Work, workers int) Bound {
	b := Bound{Copy: m.Copy(w.Bytes, workers)}
	if w.FMA32 > 0 {
		b.FMA += FMA32(w.FMA32, workers)
	}
	if w.FMA64 > 0 {
		b.FMA += FMA64(w.FMA64, workers)
	}
	return b
}

// Loop is what Beside needs of a testing.B.
type Loop interface {
	Loop() bool
	ReportMetric(n float64, unit string)
}

// Beside runs f, which does the work w with so many goroutines, and w's bound in turns for as long as b loops. It reports f alone as ns/op,
// GB/s and GFLOP/s, and as xlimit how many times the bound it takes; each is of the medians.
func (m *Machine) Beside(b Loop, w Work, workers int, f func()) {
	var took, copied, computed []time.Duration
	for b.Loop() {
		start := time.Now()
		f()
		took = append(took, time.Since(start))
		bound := m.Bound(w, workers)
		copied, computed = append(copied, bound.Copy), append(computed, bound.FMA)
	}
	t := median(took)
	b.ReportMetric(t*1e9, "ns/op")
	b.ReportMetric(float64(w.Bytes)/t/1e9, "GB/s")
	b.ReportMetric(2*float64(w.FMA32+w.FMA64)/t/1e9, "GFLOP/s")
	b.ReportMetric(t/max(median(copied), median(computed)), "xlimit")
}

// median is in seconds.
func median(all []time.Duration) float64 {
	slices.Sort(all)
	return (all[len(all)/2] + all[(len(all)-1)/2]).Seconds() / 2
}

// parallel calls work(0) to work(workers-1), each in its own goroutine, and waits for all.
func parallel(workers int, work func(worker int)) {
	var group sync.WaitGroup
	for worker := 1; worker < workers; worker++ {
		group.Go(func() { work(worker) })
	}
	work(0)
	group.Wait()
}
