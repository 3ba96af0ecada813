package cpu

import (
	"context"
	"errors"
	"math"
	"slices"
	"sync"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

func TestMemoryIsRefusedWithNumbers(t *testing.T) {
	b := New(Options{})
	b.available = func() (uint64, bool) { return 1 << 10, true }
	if _, err := b.allocate(1<<10+1, "a test"); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("allocate: %v", err)
	}
	m, err := b.allocate(1<<10, "a test")
	if err != nil {
		t.Fatal(err)
	}
	m.free()
	m.free()
}

func TestGenerationIsFreedByItsLastHolder(t *testing.T) {
	b := New(Options{})
	g := newGeneration("g")
	var err error
	if g.memory, err = b.allocate(100, "a test"); err != nil {
		t.Fatal(err)
	}
	if !g.acquire() {
		t.Fatal("a registered generation cannot be held")
	}
	g.release() // no longer registered
	if g.memory.bytes == nil {
		t.Fatal("freed under its holder")
	}
	g.release()
	if g.memory.bytes != nil || g.acquire() {
		t.Error("not freed, or held again afterwards")
	}
}

// TestPinHammer switches an alias and releases generations while requests pin it: none may see memory that was freed.
func TestPinHammer(t *testing.T) {
	b := New(Options{})
	b.base.Store(&base{pristine: newGeneration("")})
	stop := make(chan struct{})
	var readers sync.WaitGroup
	publish := func(sequence uint64) string {
		id := string([]byte{byte(sequence), byte(sequence >> 8)})
		g := newGeneration(id)
		var err error
		if g.memory, err = b.allocate(1, "a test"); err != nil {
			t.Fatal(err)
		}
		g.memory.bytes[0] = 1
		b.mu.Lock()
		b.generations[id] = g
		b.mu.Unlock()
		if _, err := b.Activate(t.Context(), &backendpb.ActivateRequest{Alias: "live", Generation: []byte(id), Sequence: sequence}); err != nil {
			t.Fatal(err)
		}
		return id
	}
	last := publish(1)
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				g, err := b.pin("live")
				if err != nil || g.memory.bytes[0] != 1 {
					t.Errorf("pinned %v, %v", g, err)
					return
				}
				g.release()
			}
		})
	}
	for sequence := uint64(2); sequence < 3000; sequence++ {
		next := publish(sequence)
		if r, err := b.Release(t.Context(), &backendpb.ReleaseRequest{Generation: []byte(last)}); err != nil || !r.Existed {
			t.Fatalf("release: %v, %v", r, err)
		}
		last = next
	}
	close(stop)
	readers.Wait()
}

func TestInOrder(t *testing.T) {
	broken := errors.New("broken")
	for _, workers := range []int{1, 3, 100} {
		var seen []int
		err := inOrder(t.Context(), 50, workers, func(context.Context, int) error { return nil }, func(i int) error {
			seen = append(seen, i)
			return nil
		})
		if err != nil || len(seen) != 50 || !slices.IsSorted(seen) {
			t.Errorf("%d workers: %v, %v", workers, seen, err)
		}
		if err := inOrder(t.Context(), 50, workers, func(_ context.Context, i int) error {
			if i == 7 {
				return broken
			}
			return nil
		}, func(int) error { return nil }); !errors.Is(err, broken) {
			t.Errorf("%d workers, broken work: %v", workers, err)
		}
		nothing := func(context.Context, int) error { return nil }
		if err := inOrder(t.Context(), 50, workers, nothing, func(int) error { return broken }); !errors.Is(err, broken) {
			t.Errorf("%d workers, broken listener: %v", workers, err)
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if err := inOrder(gone, 50, workers, nothing, func(int) error { return nil }); status.Code(err) != codes.Canceled {
			t.Errorf("%d workers, canceled: %v", workers, err)
		}
	}
}

func TestPick(t *testing.T) {
	inf := float32(math.Inf(1))
	for _, c := range []struct {
		name   string
		logits []float32
		want   int32
		ok     bool
	}{
		{"largest", []float32{1, 5, 2}, 1, true},
		{"lowest id of a tie", []float32{1, 5, 5}, 1, true},
		{"negative zero is zero", []float32{float32(math.Copysign(0, -1)), 0}, 0, true},
		{"NaN first", []float32{inf - inf, 5}, 0, false},
		{"infinity", []float32{1, inf}, 0, false},
		{"minus infinity", []float32{1, -inf}, 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			id, err := newSampler(0, 0, 0).pick(c.logits)
			if (err == nil) != c.ok || c.ok && id != c.want {
				t.Errorf("%d, %v", id, err)
			}
		})
	}
}

// TestDraw compares frequencies with probabilities, within five standard deviations; the seed is fixed, so it does not flicker.
func TestDraw(t *testing.T) {
	logits := []float32{0, 1, 2, 3, -4}
	for _, c := range []struct {
		name              string
		temperature, topP float64
		kept              int // most likely tokens that can come up
	}{{"all", 1, 0, 5}, {"hot", 3, 1, 5}, {"nucleus of two", 1, 0.7, 2}, {"nucleus of one", 1, 0.1, 1}} {
		t.Run(c.name, func(t *testing.T) {
			order := []int{3, 2, 1, 0, 4}[:c.kept]
			want, total := make([]float64, len(logits)), 0.0
			for _, i := range order {
				want[i] = math.Exp(float64(logits[i]) / c.temperature)
				total += want[i]
			}
			const n = 20000
			counts := make([]int, len(logits))
			s := newSampler(c.temperature, c.topP, 42)
			for range n {
				id, err := s.pick(logits)
				if err != nil {
					t.Fatal(err)
				}
				counts[id]++
			}
			for i, count := range counts {
				p := want[i] / total
				if math.Abs(float64(count)-n*p) > 5*math.Sqrt(n*p*(1-p))+1e-9 {
					t.Errorf("token %d came %d times of %d, its probability is %g", i, count, n, p)
				}
			}
		})
	}
}
