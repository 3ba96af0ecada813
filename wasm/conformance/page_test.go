package conformance

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/internal/toolchain"
	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/conformance/input"
	"github.com/tenon-ml/tenon/wasm/sandbox"
	"github.com/tenon-ml/tenon/wasm/sandbox/wasmtest"
)

// pageDumps reads the examples of ABI.md: the bytes of each block of lines "offset  bytes  name = value".
func pageDumps(t *testing.T) [][]byte {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(toolchain.Root(t), "sdk", "abi", "ABI.md"))
	if err != nil {
		t.Fatal(err)
	}
	var dumps [][]byte
	line := regexp.MustCompile(`(?m)^(\d\d)  ((?:[0-9a-f]{2} )+) +\w+ = `)
	for _, match := range line.FindAllStringSubmatch(string(page), -1) {
		if match[1] == "00" {
			dumps = append(dumps, nil)
		}
		raw, err := hex.DecodeString(strings.ReplaceAll(match[2], " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		last := &dumps[len(dumps)-1]
		*last = append(*last, raw...)
	}
	return dumps
}

// matrixOf makes a source in memory, of zeros after the values given.
func matrixOf(dtype abi.DType, rows, cols int, values ...float32) sandbox.Source {
	var w weights
	s := w.add(input.Matrix{Rows: rows, Cols: cols, DType: dtype, Values: append(values, make([]float32, rows*cols-len(values))...)})
	s.Reader = bytes.NewReader(w.content)
	return s
}

// What ABI.md shows, the host answers.
func TestPageExamplesAreWhatTheHostAnswers(t *testing.T) {
	const info, stats, loss, rounding, text, words = 64, 128, 256, 384, 512, 640
	do := wasmtest.Do
	bf16 := []float64{math.Float64frombits(uint64(abi.FormatBF16))}
	steps := []wasmtest.Step{ // r0, r1 and so on are what each gives
		do("target_info", 0, info), do("grid", -1, -1, "info", 1, 8, info),
		do("tensor_put_f64", []float64{1, -2, 0, math.NaN(), 0.5, 0}, 2, 3),
		do("stats", 3, stats), do("grid", -1, -1, "stats", 1, 12, stats),
		do("round_loss", 1, 0, loss), do("grid", -1, -1, "loss", 1, 10, loss),
		do("rounding", 1, int64(0), int64(1), bf16, 1, rounding), do("grid", -1, -1, "rounding", 1, 12, rounding),
		do("attr", "base.architecture", text, 0), do("attr", "base.architecture", text, 15), do("grid", -1, -1, "unwritten", 1, 2, text),
		do("attr", "base.architecture", text, 16), do("grid", -1, -1, "written", 1, 2, text),
		do("attr", "base.", text, 16), do("last_error", words, 64), do("grid", -1, -1, "words", 1, 5, words),
		do("matmul", 1, 0, 0), do("matmul", 0, 1, 3), do("matmul", 0, 0, 2), do("matmul", 1, 1, 1), do("matmul", 0, 1, 2), do("matmul", 0, 1, 4),
	}
	results := []float64{0, 0, 3, 0, 0, 0, 0, 0, 0, 16, 16, 0, 16, 0, -1, 34, 0, 4, 5, 6, 7, -4, -7}
	in := sandbox.Input{Attrs: map[string]string{"base.architecture": "LlamaForCausalLM"}, Targets: []sandbox.Target{
		{Name: "q_proj", Rank: 16, In: 192, Out: 192, Scale: 2, Alpha: 32, A: matrixOf(abi.DTypeF32, 16, 192),
			B: matrixOf(abi.DTypeF32, 192, 16), Base: matrixOf(abi.DTypeBF16, 192, 192)},
		{Name: "tiny", Rank: 1, In: 2, Out: 1, Scale: 1, Alpha: 1, A: matrixOf(abi.DTypeF32, 1, 2, 0x1p-10, 0x1p-7),
			B: matrixOf(abi.DTypeF32, 1, 1, 1), Base: matrixOf(abi.DTypeBF16, 1, 2, 1, 1)},
	}}
	wasm := wasmtest.Script(steps...)
	result := sandbox.Run(t.Context(), sandbox.Options{Wasm: wasm.Encode(), Manifest: input.Manifest,
		Granted: input.Manifest.Needs, Input: in})
	if result.Status != sandbox.OK {
		t.Fatalf("%s: %s", result.Status, result.Error)
	}
	for i, m := range result.Metrics {
		if m.Value != results[i] {
			t.Errorf("step %d, %s, gives %v, want %v", i, steps[i].Function, m.Value, results[i])
		}
	}
	raw := map[string][]byte{}
	for _, g := range result.Grids {
		for _, v := range g.Values {
			raw[g.Name] = binary.LittleEndian.AppendUint64(raw[g.Name], math.Float64bits(v))
		}
	}
	dumps := pageDumps(t)
	if len(dumps) != 4 {
		t.Fatalf("ABI.md has %d dumps", len(dumps))
	}
	for i, name := range []string{"info", "stats", "loss", "rounding"} {
		if !bytes.Equal(raw[name], dumps[i]) {
			t.Errorf("%s is\n% x, ABI.md shows\n% x", name, raw[name], dumps[i])
		}
	}
	if string(raw["unwritten"]) != string(make([]byte, 16)) || string(raw["written"]) != "LlamaForCausalLM" {
		t.Errorf("the text is %q, and %q where it does not fit", raw["written"], raw["unwritten"])
	}
	if got := strings.TrimRight(string(raw["words"]), "\x00"); got != `attr: not found: attribute "base."` {
		t.Errorf("last_error gives %q", got)
	}
}
