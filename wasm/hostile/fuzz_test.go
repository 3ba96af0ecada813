package hostile

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"testing"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/wasm/sandbox"
	"github.com/tenon-ml/tenon/wasm/sandbox/wasmtest"
	"github.com/tenon-ml/tenon/wasm/worker"
)

// everything is every capability.
var everything = []abi.Capability{abi.CapBase, abi.CapPeers, abi.CapKernels}

// tight are the limits of a fuzzed module.
var tight = abi.Limits{CompileMillis: 2_000, RunMillis: 200, GuestMemory: 2 << 20, HostTensors: 1 << 20, Metrics: 100, GridValues: 1_000,
	Findings: 100, LogBytes: 1_000, HostCalls: 100_000}

// FuzzAccepted holds the promise of the pre-check: what it accepts ends in one of the ways a module can end, and never takes the worker
// down otherwise. Bytes that begin like a module are one; any others are the choices of a module that validates. Then flips, of an offset
// of three bytes and a value each, change it.
func FuzzAccepted(f *testing.F) {
	for _, m := range []wasmtest.Module{
		wasmtest.Quiet(), wasmtest.Recursing(), wasmtest.Growing(), wasmtest.Nesting(3, 1), wasmtest.Branching(3, 1), wasmtest.Filling(2),
		wasmtest.Measuring(2), wasmtest.Script(wasmtest.Do("target_info", 0, 64), wasmtest.Do("log", "text")),
	} {
		f.Add(m.Encode(), []byte{})
	}
	for i := range 64 {
		f.Add([]byte{byte(4 * i), byte(i)}, []byte{})
		f.Add([]byte{byte(4 * i), byte(i + 64)}, []byte{byte(37 * i), byte(i % 4), 0, byte(i)})
	}
	input := sampleInput(f)
	runner := &worker.Runner{Executable: executable}
	f.Fuzz(func(t *testing.T, content, flips []byte) {
		wasm := content
		if !bytes.HasPrefix(wasm, []byte("\x00asm")) {
			wasm = wasmtest.Random(content)
		}
		if len(wasm) > 64<<10 {
			return
		}
		wasm = flip(bytes.Clone(wasm), flips)
		job := worker.Job{Wasm: wasm, SHA256: sha256.Sum256(wasm), Manifest: abi.Manifest{ID: "fuzzed", Needs: everything, BaseSVDRank: 2},
			Granted: everything, Limits: tight, Input: input}
		if sandbox.Precheck(wasm, job.Manifest, job.Granted, job.Limits) != nil {
			return
		}
		result, _ := runner.Run(context.Background(), job)
		switch result.Status {
		case sandbox.OK, sandbox.GuestError, sandbox.Trap, sandbox.Timeout, sandbox.Memory, sandbox.Denied, sandbox.Invalid:
		default:
			t.Errorf("%s %q\n%s\nof a module of %d bytes: %x", result.Status, result.Error, result.Log, len(wasm), wasm)
		}
	})
}

// flip changes bytes of a module, four bytes of flips each.
func flip(wasm, flips []byte) []byte {
	for ; len(flips) >= 4; flips = flips[4:] {
		at := int(binary.LittleEndian.Uint32(flips) & 0xffffff)
		wasm[at%len(wasm)] ^= flips[3]
	}
	return wasm
}
