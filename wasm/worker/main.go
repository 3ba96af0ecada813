package worker

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/wasm/sandbox"
)

// Invoked reports whether this process was started as a worker. A program that uses a Runner without an Executable begins with
//
//	if worker.Invoked() {
//		worker.Main()
//	}
//
// and so does TestMain of a test that runs guests.
func Invoked() bool { return len(os.Args) > 0 && os.Args[0] == Name }

// Main is the worker: it confines itself, compiles and runs one module, writes the result and waits to be ended. It never returns.
func Main() {
	if err := serve(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
	os.Exit(0)
}

// maxPreparedFiles is how many files a request may have that goes to a spare with a module: its limit on descriptors is taken before it.
const maxPreparedFiles = 1024

// ballastBytes count as live to the garbage collector, which next runs when as much again has been allocated.
const ballastBytes = 64 << 20

func serve(in, out *os.File) error {
	// A worker makes and drops matrices all the time, and lives for seconds. This keeps the collector from running after every few of them;
	// it is never touched, so it costs addresses and no memory.
	ballast := make([]byte, ballastBytes)
	defer runtime.KeepAlive(ballast)
	time.Sleep(time.Nanosecond) // the runtime opens its poller now, while it can still open anything

	w := worker{in: in, out: out, missing: confineForWaiting()}
	kind, body, err := readFrame(in, map[byte]int64{framePrepare: maxRequest, frameRequest: maxRequest})
	if err == nil && kind == framePrepare {
		if err := w.prepare(body); err != nil {
			return err
		}
		_, body, err = readFrame(in, map[byte]int64{frameRequest: maxRequest})
	}
	if err == io.EOF {
		return nil // a spare that is not needed
	}
	if err != nil {
		return fmt.Errorf("reading the request: %w", err)
	}
	return w.serve(body)
}

// worker is this process.
type worker struct {
	in, out  *os.File
	missing  []string // layers of its confinement
	wasm     []byte
	prepared *sandbox.Prepared // nil where nothing was known before the request
}

// confine is taken before foreign bytes are in play.
func (w *worker) confine(limits abi.Limits, files int, cache string, cold bool) {
	w.missing = append(w.missing, confineForCompiling(limits, files, cache, cold)...)
}

// prepare compiles the module of the request that is likely to come.
func (w *worker) prepare(body []byte) error {
	var p preparation
	err := json.Unmarshal(body, &p)
	if err != nil {
		return fmt.Errorf("reading what to prepare: %w", err)
	}
	w.confine(p.Limits, maxPreparedFiles, p.CacheDir, false)
	if _, w.wasm, err = readFrame(w.in, map[byte]int64{frameModule: maxModule}); err != nil {
		return fmt.Errorf("reading the module: %w", err)
	}
	w.prepared, err = sandbox.Prepare(context.Background(), sandbox.Options{Wasm: w.wasm, Limits: p.Limits, CacheDir: p.CacheDir})
	return err
}

// serve answers a request.
func (w *worker) serve(body []byte) error {
	var req request
	if err := json.Unmarshal(body, &req); err != nil {
		return fmt.Errorf("reading the request: %w", err)
	}
	runtime.GOMAXPROCS(req.Threads)
	files, err := receiveFiles(w.in, req.Files)
	if err != nil {
		return err
	}
	if w.prepared == nil {
		w.confine(req.Limits, req.Files, req.CacheDir, req.Cold)
	}
	if err := writeLayers(w.out, frameConfined, w.missing); err != nil {
		return err
	}
	if w.prepared == nil {
		if _, w.wasm, err = readFrame(w.in, map[byte]int64{frameModule: maxModule}); err != nil {
			return fmt.Errorf("reading the module: %w", err)
		}
	}
	input, err := req.input(files)
	if err != nil {
		return err
	}
	var trace sandbox.Trace
	if req.Trace {
		trace = sandbox.Trace{}
	}
	result := sandbox.Run(context.Background(), sandbox.Options{
		Wasm: w.wasm, Manifest: req.Manifest, Granted: req.Granted, Limits: req.Limits, Input: input, Prepared: w.prepared, CacheDir: req.CacheDir,
		Trace: trace,
		Compiled: func() error {
			if err := writeLayers(w.out, frameCompiled, confineForRunning()); err != nil {
				return err
			}
			_, _, err := readFrame(w.in, map[byte]int64{frameRun: 0})
			return err
		},
	})
	answer, err := encodeAnswer(result, trace)
	if err != nil {
		return fmt.Errorf("encoding the result: %w", err)
	}
	if err := writeFrame(w.out, frameResult, answer); err != nil {
		return err
	}
	_, _, _ = readFrame(w.in, nil) // the parent looks at what this process has used, and ends it
	return nil
}

func writeLayers(out *os.File, kind byte, missing []string) error {
	body, err := json.Marshal(layers{Missing: missing})
	if err != nil {
		return err
	}
	return writeFrame(out, kind, body)
}
