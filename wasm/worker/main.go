package worker

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/go-json-experiment/json"

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

// Main is the worker: it confines itself, compiles and runs one module, writes the result and exits. It never returns.
func Main() {
	if err := serve(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
	os.Exit(0)
}

// ballastBytes count as live to the garbage collector, which next runs when as much again has been allocated.
const ballastBytes = 64 << 20

func serve(in, out *os.File) error {
	kind, body, err := readFrame(in, map[byte]int64{frameRequest: maxRequest})
	if err != nil {
		return fmt.Errorf("reading the request: %w", err)
	}
	var req request
	if err := json.Unmarshal(body, &req); err != nil {
		return fmt.Errorf("reading the request, frame %q: %w", kind, err)
	}
	runtime.GOMAXPROCS(req.Threads)
	// A worker makes and drops matrices all the time, and lives for seconds. This keeps the collector from running after every few of them;
	// it is never touched, so it costs addresses and no memory.
	ballast := make([]byte, ballastBytes)
	defer runtime.KeepAlive(ballast)
	time.Sleep(time.Nanosecond) // the runtime opens its poller now, while it can still open anything

	files := make([]*os.File, req.Files)
	for i := range files {
		files[i] = os.NewFile(uintptr(firstFile+i), fmt.Sprintf("file %d of the request", i))
	}
	// From here on foreign bytes are in play, so the process is confined first: the request is the parent's own.
	if err := writeLayers(out, frameConfined, confineForCompiling(req)); err != nil {
		return err
	}
	_, wasm, err := readFrame(in, map[byte]int64{frameModule: maxModule})
	if err != nil {
		return fmt.Errorf("reading the module: %w", err)
	}
	input, err := req.input(files)
	if err != nil {
		return err
	}
	result := sandbox.Run(context.Background(), sandbox.Options{
		Wasm: wasm, Manifest: req.Manifest, Granted: req.Granted, Limits: req.Limits, Input: input, CacheDir: req.CacheDir,
		Compiled: func() error {
			if err := writeLayers(out, frameCompiled, confineForRunning()); err != nil {
				return err
			}
			_, _, err := readFrame(in, map[byte]int64{frameRun: 0})
			return err
		},
	})
	answer, err := encodeAnswer(result)
	if err != nil {
		return fmt.Errorf("encoding the result: %w", err)
	}
	return writeFrame(out, frameResult, answer)
}

func writeLayers(out *os.File, kind byte, missing []string) error {
	body, err := json.Marshal(layers{Missing: missing})
	if err != nil {
		return err
	}
	return writeFrame(out, kind, body)
}
