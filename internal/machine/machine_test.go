package machine

import (
	"math"
	"testing"
	"time"
	"unsafe"
)

// sums is how many times its first operand a loop stores in the end: it adds the chains to that, and for NEON, which has no such
// instruction in Go's assembler, combines an even number of equal chains bit by bit into nothing.
func sums(p peak) float64 {
	switch p.name {
	case "generic":
		return float64(p.chains)
	case "neon":
		return 1
	}
	return float64(p.chains + 1)
}

// The loops leave every chain where it was: each product is added and taken away, so a sum is what the number of chains says.
func TestPeaks(t *testing.T) {
	for _, p := range append(peaks[:len(peaks):len(peaks)], peak{name: "generic", usable: true, chains: 8, bytes: 8, f64: fmaGeneric}) {
		t.Run(p.name, func(t *testing.T) {
			if !p.usable {
				t.Skipf("this processor cannot run %s", p.name)
			}
			for _, passes := range []int{1, 1000} {
				data := operands
				p.f64(passes, &data)
				for i := range p.bytes / 8 {
					if got, want := data[16+i], sums(p)*operands[i]; math.Abs(got/want-1) > 1e-12 {
						t.Errorf("f64, %d passes: lane %d is %g, want %g", passes, i, got, want)
					}
				}
				for i := range data {
					if i < 16 && data[i] != operands[i] {
						t.Errorf("f64: operand %d was written over", i)
					}
				}
				if p.f32 == nil {
					continue
				}
				data = operands
				p.f32(passes, &data)
				got, from := (*[48]float32)(unsafe.Pointer(&data)), (*[48]float32)(unsafe.Pointer(&operands))
				for i := range p.bytes / 4 {
					if want := float32(sums(p)) * from[i]; math.Abs(float64(got[32+i]/want-1)) > 1e-5 {
						t.Errorf("f32, %d passes: lane %d is %g, want %g", passes, i, got[32+i], want)
					}
				}
			}
		})
	}
	for i, v := range (*[48]float32)(unsafe.Pointer(&operands)) {
		if !(v >= 1 && v < 8) {
			t.Errorf("operand %d is %g as f32", i, v)
		}
	}
}

func TestCopyGoesAround(t *testing.T) {
	m := &Machine{src: make([]byte, 1<<12), dst: make([]byte, 1<<12)}
	for i := range m.src {
		m.src[i] = byte(i%251) + 1
	}
	for range 3 {
		m.Copy(2*3<<10, 2)
	}
	if string(m.dst) != string(m.src) {
		t.Error("three copies of three quarters do not cover the memory")
	}
	if want := 9 << 10 % (1 << 12); m.at != want {
		t.Errorf("the next copy begins at %d, want %d", m.at, want)
	}
}

// loop runs a few times and keeps what is reported.
type loop struct {
	left    int
	metrics map[string]float64
}

func (l *loop) Loop() bool                       { l.left--; return l.left >= 0 }
func (l *loop) ReportMetric(n float64, u string) { l.metrics[u] = n }

func TestBeside(t *testing.T) {
	m := &Machine{src: make([]byte, 1<<12), dst: make([]byte, 1<<12)}
	l := &loop{left: 3, metrics: map[string]float64{}}
	runs := 0
	m.Beside(l, Work{Bytes: 1 << 10, FMA32: 1000, FMA64: 1000}, 1, func() { runs++; time.Sleep(time.Millisecond) })
	if runs != 3 {
		t.Errorf("%d runs, want 3", runs)
	}
	for _, unit := range []string{"ns/op", "GB/s", "GFLOP/s", "xlimit"} {
		if v := l.metrics[unit]; !(v > 0) || math.IsInf(v, 0) {
			t.Errorf("%s is %g", unit, v)
		}
	}
}

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		all  []time.Duration
		want float64
	}{{[]time.Duration{3, 1, 2}, 2e-9}, {[]time.Duration{4, 1}, 2e-9}, {[]time.Duration{7}, 7e-9}} {
		if got := median(c.all); math.Abs(got-c.want) > 6e-10 {
			t.Errorf("median of %v is %g, want %g", c.all, got, c.want)
		}
	}
}

func TestLastLevelCache(t *testing.T) {
	if n := LastLevelCache(); n < 64<<10 {
		t.Errorf("%d bytes", n)
	}
}
