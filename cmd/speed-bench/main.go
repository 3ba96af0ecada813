// Command speed-bench measures Tenon beside its peers and the limits of the machine, in turns, and prints medians and ratios with their
// spread: see docs/benchmarks.md.
//
//	speed-bench                                everything, from the root of the repository: 4 GB checkpoints, 5 rounds
//	speed-bench -only merge -rounds 3          merges in memory
//	speed-bench -only files -size 1 -dir DIR   checkpoints on disk of about 1 GB, in DIR
//	speed-bench -only decode -dir DIR          text beside llama.cpp, with a model that is kept in DIR
package main

import (
	"bytes"
	"context"
	_ "embed"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
)

//go:embed peers.py
var peersScript []byte

func main() {
	if os.Args[0] == workerArgv0 {
		if err := serveTenon(); err != nil {
			fmt.Fprintln(os.Stderr, "speed-bench:", err)
			os.Exit(1)
		}
		return
	}
	o := options{}
	flag.IntVar(&o.rounds, "rounds", 5, "turns of everyone")
	flag.Float64Var(&o.size, "size", 4, "size of the checkpoint on disk in `GB`; three times that must be free")
	flag.StringVar(&o.only, "only", "", "measure only `PART`: merge, in memory, files, on disk, or decode, text beside llama.cpp")
	flag.StringVar(&o.dir, "dir", "", "write checkpoints into `DIR`, and keep the base and the adapter for the next run; "+
		"without one, into a temporary directory")
	flag.StringVar(&o.tenon, "tenon", "", "`FILE` to merge checkpoints with; without one, tenon is built")
	flag.StringVar(&o.python, "python", "", "a Python `FILE` that has torch, peft, transformers, safetensors, numpy and ml_dtypes; none leaves the peers out; "+
		"without one, an environment of its own is made in the user's cache directory")
	flag.StringVar(&o.llama, "llama", "", "`DIR` of llama.cpp's shared libraries; none leaves it out; without one, they are installed in the user's cache "+
		"directory")
	flag.IntVar(&o.workers, "threads", runtime.GOMAXPROCS(0), "threads of everyone, in memory and for text")
	flag.StringVar(&o.write, "write", "", "replace the generated parts of this page as well")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "speed-bench:", err)
		os.Exit(1)
	}
}

// options are the flags.
type options struct {
	rounds, workers                 int
	size                            float64 // in units of 1e9 bytes
	only, dir, tenon, python, write string
	llama                           string
}

func (o options) check() error {
	switch {
	case flag.NArg() > 0:
		return fmt.Errorf("%q is no flag; the flags are told by -h", flag.Arg(0))
	case !slices.Contains([]string{"", partMerge, partFiles, partDecode}, o.only):
		return fmt.Errorf("-only %s is none of merge, files and decode", o.only)
	case o.rounds < 1 || o.workers < 1:
		return fmt.Errorf("-rounds and -threads are at least 1")
	case !(o.size > 0):
		return fmt.Errorf("-size is more than 0")
	}
	return nil
}

// Names of the parts.
const (
	partMerge  = "merge"
	partFiles  = "files"
	partDecode = "decode"
)

func run(ctx context.Context, o options) (err error) {
	if err := o.check(); err != nil {
		return err
	}
	if o.write != "" {
		if _, err := os.Stat(o.write); err != nil {
			return err // now, and not after an hour
		}
	}
	temporary, err := os.MkdirTemp("", "tenon-speed-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temporary)
	work := o.dir
	if work == "" {
		work = filepath.Join(temporary, "files")
	}
	var python, why string
	if o.only != partDecode {
		if python, why = findPython(ctx, o.python); why != "" {
			note("the peers in Python are left out: %s", why)
		}
	}
	parts := []struct {
		name  string
		print func(page *bytes.Buffer) error
	}{
		{partMerge, func(page *bytes.Buffer) error {
			s := newSystem(o, temporary)
			m, err := benchMemory(ctx, o, temporary, python, why)
			if err != nil {
				return err
			}
			printSystem(page, s.with(m.about))
			printMemory(page, m)
			return nil
		}},
		{partFiles, func(page *bytes.Buffer) error {
			s := newSystem(o, work)
			f, err := benchFiles(ctx, o, work, temporary, python, why)
			if err != nil {
				return err
			}
			printSystem(page, s.with(f.about))
			printFiles(page, f)
			return nil
		}},
		{partDecode, func(page *bytes.Buffer) error {
			s := newSystem(o, work)
			d, err := benchDecode(ctx, o, work, temporary)
			if err != nil {
				return err
			}
			printSystem(page, s.with(d.about))
			printDecode(page, d)
			return nil
		}},
	}
	for _, part := range parts {
		if o.only != "" && o.only != part.name {
			continue
		}
		var page bytes.Buffer
		if err := part.print(&page); err != nil {
			return err
		}
		if _, err := os.Stdout.Write(page.Bytes()); err != nil {
			return err
		}
		if o.write != "" {
			if err := rewrite(o.write, part.name, page.Bytes()); err != nil {
				return err
			}
		}
	}
	return nil
}

// note says what is being done.
func note(format string, args ...any) { fmt.Fprintf(os.Stderr, "speed-bench: "+format+"\n", args...) }
