package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"github.com/go-json-experiment/json"
	"golang.org/x/sys/unix"
)

const (
	shards      = 8
	adapterRank = 16
	seed        = 1
)

// Names of the series of files. A series has a figure of every round.
const (
	copyCached  = "cp, cached"
	copyCold    = "cp, cold"
	mergeCached = "tenon merge, cached"
	mergeCold   = "tenon merge, cold"
	firstCached = "tenon merge, cached, a base it has not seen"
	firstCold   = "tenon merge, cold, a base it has not seen"
	checkMerge  = "tenon check, then tenon merge, cached"
	torchCached = "torch: load, merge, save, shard by shard, cached"
	peftCached  = "transformers + PEFT: load, merge_and_unload, save, cached"
)

// fileResult is all about checkpoints on disk.
type fileResult struct {
	bytes   int64
	shapes  shapes
	how     string // caches are dropped
	about   map[string]string
	missing map[string]string
	runs    map[string][]measured // by name; a failed run is not there
}

// fileBench runs programs on one checkpoint.
type fileBench struct {
	base, adapter, out string
	script, python     string
	tenon, cache       string
	result             *fileResult
}

// benchFiles merges a generated checkpoint with everyone in turns.
func benchFiles(ctx context.Context, o options, work, temporary, python, why string) (*fileResult, error) {
	s := llama(int64(o.size * 1e9))
	r := &fileResult{shapes: s, about: map[string]string{}, missing: map[string]string{}, runs: map[string][]measured{}}
	for _, e := range s.tensors() {
		r.bytes += int64(stored(e))
	}
	b := &fileBench{base: filepath.Join(work, "base"), adapter: filepath.Join(work, "adapter"), out: filepath.Join(work, "out"),
		script: filepath.Join(temporary, "peers.py"), python: python, tenon: o.tenon, cache: filepath.Join(work, "cache"), result: r}
	if python == "" {
		r.missing[torchCached], r.missing[peftCached] = why, why
	}
	if runtime.GOOS != "linux" { // where tenon's cache can be put elsewhere
		r.missing[firstCached], r.missing[firstCold] = "only on Linux", "only on Linux"
	}
	if err := b.prepare(ctx, s, work, temporary); err != nil {
		return nil, err
	}
	for round := range o.rounds {
		if err := b.round(ctx, round, o.rounds); err != nil {
			return nil, err
		}
	}
	return r, os.RemoveAll(b.out)
}

// prepare generates what is merged, and builds what merges. What an earlier run left is used if it is of the same shapes.
func (b *fileBench) prepare(ctx context.Context, s shapes, work, temporary string) error {
	if err := os.MkdirAll(work, 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(b.script, peersScript, 0o600); err != nil {
		return err
	}
	generated := filepath.Join(work, "generated") // written last
	want := fmt.Sprintf("%+v in %d shards, rank %d, seed %d\n", s, shards, adapterRank, seed)
	if have, err := os.ReadFile(generated); err != nil || string(have) != want {
		if free, known := freeBytes(work); known && free < 3*b.result.bytes {
			return fmt.Errorf("%s has %.1f GB free, and a base of %.1f GB needs three times that; give -size or -dir", work, float64(free)/1e9,
				float64(b.result.bytes)/1e9)
		}
		note("generating a base of %.2f GB in %s", float64(b.result.bytes)/1e9, b.base)
		for _, dir := range []string{generated, b.base, b.adapter} {
			if err := os.RemoveAll(dir); err != nil {
				return err
			}
		}
		if err := writeBase(b.base, s, shards, seed); err != nil {
			return err
		}
		if err := writeAdapter(b.adapter, s, adapterRank, seed); err != nil {
			return err
		}
		if err := os.WriteFile(generated, []byte(want), 0o600); err != nil {
			return err
		}
	}
	program, err := tenonProgram(ctx, b.tenon, temporary)
	if err != nil {
		return err
	}
	b.tenon = program
	return b.warm(ctx)
}

// warm lets tenon check, merge and verify once: it compiles its diagnostics and remembers the base's digest, and what it writes is right.
func (b *fileBench) warm(ctx context.Context) error {
	note("a first check, merge and verification, not measured")
	for i, command := range []*exec.Cmd{b.check(ctx), b.merge(ctx), b.command(ctx, "verify", b.out)} {
		verdict := func() bool { return i == 0 && command.ProcessState.ExitCode() == 1 }
		if output, err := command.CombinedOutput(); err != nil && !verdict() {
			return fmt.Errorf("%s: %w: %s", command, err, output)
		}
	}
	return nil
}

// command is tenon with a cache of its own.
func (b *fileBench) command(ctx context.Context, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, b.tenon, args...)
	c.Env = append(without(os.Environ(), "XDG_CACHE_HOME"), "XDG_CACHE_HOME="+b.cache)
	return c
}

func (b *fileBench) check(ctx context.Context) *exec.Cmd {
	return b.command(ctx, "check", b.adapter, "--base", b.base)
}

func (b *fileBench) merge(ctx context.Context) *exec.Cmd {
	return b.command(ctx, "merge", b.adapter, "--base", b.base, "--out", b.out, "--no-check", "--reason", "bench")
}

// forget makes the base one that tenon has not seen.
func (b *fileBench) forget() error {
	return os.RemoveAll(filepath.Join(b.cache, "tenon", "base-digests"))
}

// round lets everyone have a turn. A copy comes before each merge that it is compared with.
func (b *fileBench) round(ctx context.Context, round, rounds int) error {
	copyBase := func(ctx context.Context) *exec.Cmd {
		return exec.CommandContext(ctx, "cp", append(copyFlags, b.base, b.out)...)
	}
	peer := func(which string) func(context.Context) *exec.Cmd {
		return func(ctx context.Context) *exec.Cmd {
			return exec.CommandContext(ctx, b.python, b.script, which, b.base, b.adapter, b.out)
		}
	}
	for _, run := range []struct {
		name   string
		cold   bool
		forget bool
		also   func(context.Context) *exec.Cmd // before, and measured as well
		merge  func(context.Context) *exec.Cmd
	}{
		{name: copyCached, merge: copyBase},
		{name: mergeCached, merge: b.merge},
		{name: checkMerge, also: b.check, merge: b.merge},
		{name: copyCold, cold: true, merge: copyBase},
		{name: mergeCold, cold: true, merge: b.merge},
		{name: firstCached, forget: true, merge: b.merge},
		{name: firstCold, cold: true, forget: true, merge: b.merge},
		{name: torchCached, merge: peer("torch")},
		{name: peftCached, merge: peer("peft")},
	} {
		if b.result.missing[run.name] != "" {
			continue
		}
		if err := b.settle(run.cold); err != nil {
			if run.cold {
				b.result.missing[run.name] = err.Error()
				continue
			}
			return err
		}
		if run.forget {
			if err := b.forget(); err != nil {
				return err
			}
		}
		var before measured
		var err error
		if run.also != nil {
			if before, err = measure(ctx, run.also(ctx), b.adapter); err != nil && before.ended == 0 {
				return err // a verdict is an answer; that it did not start is none
			}
		}
		m, err := measure(ctx, run.merge(ctx), b.out)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			note("%s is left out: %v", run.name, err)
			b.result.missing[run.name] = "it failed"
			continue
		}
		m.seconds, m.ended = m.seconds+before.ended, m.ended+before.ended
		m.maxRSS, m.treeRSS = max(m.maxRSS, before.maxRSS), max(m.treeRSS, before.treeRSS)
		note("round %d of %d: %s: %.2f s, %d MiB", round+1, rounds, run.name, m.seconds, m.maxRSS>>20)
		b.result.runs[run.name] = append(b.result.runs[run.name], m)
	}
	return nil
}

// settle removes what the last run wrote, waits until nothing is left to be written, and brings the base into the cache, or out of it.
func (b *fileBench) settle(cold bool) error {
	if err := os.RemoveAll(b.out); err != nil {
		return err
	}
	unix.Sync()
	if cold {
		how, err := dropCache(b.base)
		b.result.how = how
		return err
	}
	paths, err := filepath.Glob(filepath.Join(b.base, "*"))
	if err != nil {
		return err
	}
	for _, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, struct{ io.Reader }{f})
		f.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// series is one figure of every run.
func (r *fileResult) series(name string, of func(measured) float64) series {
	var out series
	for _, m := range r.runs[name] {
		out = append(out, of(m))
	}
	return out
}

func seconds(m measured) float64 { return m.seconds }

// withoutImports is how long a peer took less the time its libraries took to load, which it tells.
func withoutImports(m measured) float64 {
	var told struct {
		Imports float64 `json:"imports"`
	}
	if json.Unmarshal(m.output, &told) != nil {
		return math.NaN()
	}
	return m.seconds - told.Imports
}
