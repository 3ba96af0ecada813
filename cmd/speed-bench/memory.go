package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/tenon-ml/tenon/internal/machine"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// Merges in memory: one matrix of size x size.
const (
	size  = 4096
	scale = 2
	// rest is how long nothing happens before a contender's turn: threads of OpenMP and OpenBLAS spin for a while after their work.
	rest = 100 * time.Millisecond
)

var (
	ranks  = []int{8, 16, 64, 256}
	dtypes = []tensor.DType{tensor.BF16, tensor.F32}
)

// Names of the series of a case, beside those of the implementations that TENON_CPU knows.
const (
	tenonBest = "Tenon" // the implementation that is chosen where TENON_CPU is not set
	tenonOne  = "Tenon, 1 thread"
	peftPlain = "PEFT"
	peftTuned = "PEFT, malloc tuned"
	numpyName = "numpy + OpenBLAS"
	limitCopy = "limit: copy"
	limitFMA  = "limit: FMA"
)

// implementations are what TENON_CPU may name on this architecture, fastest first.
func implementations() []string {
	switch runtime.GOARCH {
	case "amd64":
		return []string{"avx512", "avx2", "generic"}
	case "arm64":
		return []string{"neon", "generic"}
	}
	return []string{"generic"}
}

// memoryCase is one dtype and rank, with the seconds that each contender's merges take: of each round the median.
type memoryCase struct {
	dtype   tensor.DType
	rank    int
	seconds map[string]series
}

// memoryResult is all about merges in memory.
type memoryResult struct {
	workers int
	copies  map[tensor.DType]int
	about   map[string]string // versions, and what Tenon chose
	missing map[string]string // why a contender is not there
	limits  []limitFigure
	cases   []memoryCase
}

// limitFigure is one of the machine's limits.
type limitFigure struct {
	name, unit string
	one, all   series // with 1 thread and with all
}

// memoryBench runs the contenders.
type memoryBench struct {
	dir        string
	rounds     int
	contenders []*contender
	result     *memoryResult
}

// benchMemory merges one matrix with everyone in turns. python is the interpreter of the peers; where it is "", why says why there are none.
func benchMemory(ctx context.Context, o options, dir, python, why string) (*memoryResult, error) {
	b := &memoryBench{dir: dir, rounds: o.rounds, result: &memoryResult{workers: o.workers, copies: map[tensor.DType]int{},
		about: map[string]string{}, missing: map[string]string{}}}
	defer func() {
		for _, c := range b.contenders {
			c.close()
		}
	}()
	if err := b.startAll(ctx, o, python, why); err != nil {
		return nil, err
	}
	if err := b.limits(ctx); err != nil {
		return nil, err
	}
	for _, dtype := range dtypes {
		b.result.copies[dtype] = min(16, max(2, int(4*machine.LastLevelCache())/(size*size*dtype.Size())))
		for _, rank := range ranks {
			if err := b.one(ctx, dtype, rank); err != nil {
				return nil, err
			}
		}
	}
	return b.result, nil
}

// startAll starts everyone. The first contender is Tenon as it runs where nothing is said; it also measures the machine.
func (b *memoryBench) startAll(ctx context.Context, o options, python, why string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	for _, name := range append([]string{""}, implementations()...) {
		command := exec.CommandContext(ctx, self)
		command.Args = []string{workerArgv0}
		command.Env = append(without(os.Environ(), "TENON_CPU"), fmt.Sprintf("GOMAXPROCS=%d", o.workers))
		if name != "" {
			command.Env = append(command.Env, "TENON_CPU="+name)
		}
		c, err := start(ctx, implementationName(name), command)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && name == "":
			return err
		case err != nil:
			b.result.missing[implementationName(name)] = fmt.Sprintf("no %s here", name)
			continue
		}
		b.contenders = append(b.contenders, c)
	}
	script := filepath.Join(b.dir, "peers.py")
	if err := os.WriteFile(script, peersScript, 0o600); err != nil {
		return err
	}
	for _, p := range []struct {
		name, peer string
		env        []string
	}{{peftPlain, "peft", nil}, {peftTuned, "peft", mallocTuned}, {numpyName, "numpy", nil}} {
		if python == "" {
			b.result.missing[p.name] = why
			continue
		}
		command := exec.CommandContext(ctx, python, script, "serve", p.peer)
		threads := fmt.Sprint(o.workers)
		command.Env = append(os.Environ(), append(p.env, "OMP_NUM_THREADS="+threads, "MKL_NUM_THREADS="+threads, "OPENBLAS_NUM_THREADS="+threads)...)
		c, err := start(ctx, p.name, command)
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			note("%s is left out: %v", p.name, err)
			b.result.missing[p.name] = "it did not start"
			continue
		}
		for k, v := range c.about {
			b.result.about[k] = v
		}
		b.contenders = append(b.contenders, c)
	}
	b.result.about["implementation"], b.result.about["limit"] = b.contenders[0].about["implementation"], b.contenders[0].about["limit"]
	return nil
}

// mallocTuned keeps glibc from giving pages back to the system, and from taking them with mmap, so that a merge finds its pages there.
var mallocTuned = []string{"MALLOC_MMAP_MAX_=0", "MALLOC_TRIM_THRESHOLD_=17179869184", "MALLOC_TOP_PAD_=268435456"}

func implementationName(name string) string {
	if name == "" {
		return tenonBest
	}
	return tenonBest + " " + name
}

// without leaves a variable out of an environment.
func without(env []string, name string) []string {
	return slices.DeleteFunc(env, func(v string) bool { return len(v) > len(name) && v[:len(name)+1] == name+"=" })
}

// limits measures the machine by itself: what one thread can do, and what all can.
func (b *memoryBench) limits(ctx context.Context) error {
	note("limits of the machine")
	const moved, products = 256 << 20, 1 << 31
	figures := []limitFigure{{name: "copy", unit: "GB/s"}, {name: "fma32", unit: "GFLOP/s"}, {name: "fma64", unit: "GFLOP/s"}}
	for range b.rounds {
		for i := range figures {
			f := &figures[i]
			amount, each := int64(products), 2.0
			if f.name == "copy" {
				amount, each = moved, 1
			}
			for _, of := range []struct {
				workers int
				to      *series
			}{{1, &f.one}, {b.result.workers, &f.all}} {
				r, err := b.ask(ctx, b.contenders[0], request{Op: f.name, Amount: amount, Workers: of.workers, Times: 3, Enough: 1})
				if err != nil {
					return err
				}
				*of.to = append(*of.to, float64(amount)*each/series(r.Seconds).median()/1e9)
			}
		}
	}
	b.result.limits = figures
	return nil
}

// ask lets what ran before come to rest, and asks.
func (b *memoryBench) ask(ctx context.Context, c *contender, r request) (reply, error) {
	select {
	case <-ctx.Done():
		return reply{}, ctx.Err()
	case <-time.After(rest):
	}
	return c.ask(r)
}
