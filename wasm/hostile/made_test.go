package hostile

import (
	"bytes"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/wasm/sandbox/wasmtest"
)

// made are modules that are too large to lie in a repository.
var made = map[string]func() []byte{
	"nested-40000":           nested,
	"nested-within-limits":   func() []byte { return wasmtest.Nesting(1_900, 40).Encode() },
	"branches-within-limits": func() []byte { return wasmtest.Branching(8_000, 60).Encode() },
	"functions-40mb":         func() []byte { return functions(100_000, 400) },
	"functions-16mb":         func() []byte { return functions(99_990, 158) },
	"copies":                 func() []byte { return wasmtest.Copying(50_000, 31).Encode() },
	"named-with-escapes":     named,
	"fills":                  func() []byte { return wasmtest.Filling(2_000).Encode() },
}

// nested is a guest with 40,000 blocks in each other.
func nested() []byte {
	blocks := wasmtest.Code(wasmtest.Repeat(40_000, wasmtest.Block()), wasmtest.Repeat(40_000, wasmtest.End))
	return wasmtest.Guest(nil, wasmtest.Code(blocks, wasmtest.Const(0))...).Encode()
}

// named is a guest that traps in a function whose name, which the engine's stack tells, is escape sequences and HTML.
func named() []byte {
	m := wasmtest.Guest(nil, wasmtest.Unreachable)
	names := append([]byte{1, 1}, wasmtest.Text("\x1b[2J\u202e\x00<script>\u009b")...) // function 1
	m.Custom = append(wasmtest.Text("name"), append([]byte{1}, wasmtest.Text(string(names))...)...)
	return m.Encode()
}

// functions is a guest with n functions of so many bytes each, all of one type.
func functions(n, size int) []byte {
	one := wasmtest.Code(wasmtest.Get(0), wasmtest.Get(0), wasmtest.Load32(1), wasmtest.I32Add, wasmtest.Set(0))
	body := wasmtest.Code(wasmtest.Repeat((size-4)/len(one), one))
	body = wasmtest.Text("\x00" + string(body) + "\x0b")
	index, code := [][]byte{{0}, {1}}, [][]byte{wasmtest.Text("\x00\x0b"), wasmtest.Text("\x00\x41\x00\x0b")}
	for range n {
		index, code = append(index, []byte{2}), append(code, body)
	}
	named := func(name string, kind, at byte) []byte { return append(wasmtest.Text(name), kind, at) }
	return bytes.Join([][]byte{[]byte("\x00asm\x01\x00\x00\x00"),
		wasmtest.Section(1, wasmtest.Vector([]byte{0x60, 0, 0}, []byte{0x60, 0, 1, wasmtest.I32}, []byte{0x60, 1, wasmtest.I32, 0})),
		wasmtest.Section(3, wasmtest.Vector(index...)), wasmtest.Section(5, wasmtest.Vector([]byte{0, 1})),
		wasmtest.Section(7, wasmtest.Vector(named("memory", 2, 0), named("tenon_abi_1", 0, 0), named("diagnose", 0, 1))),
		wasmtest.Section(10, wasmtest.Vector(code...))}, nil)
}

// readHex reads a file of bytes in hexadecimal, where # begins a comment.
func readHex(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var digits strings.Builder
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		digits.WriteString(strings.Join(strings.Fields(line), ""))
	}
	wasm, err := hex.DecodeString(digits.String())
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return wasm
}

// TestFixturesAreTheirText: each binary is what its text compiles to. The first line of a text may name flags of wat2wasm.
func TestFixturesAreTheirText(t *testing.T) {
	compiler, err := exec.LookPath("wat2wasm")
	if err != nil {
		t.Skip("no wat2wasm here, which the Debian package wabt has: the binaries are taken as they lie there")
	}
	texts, err := filepath.Glob("testdata/*.wat")
	if err != nil || len(texts) == 0 {
		t.Fatalf("%d texts, %v", len(texts), err)
	}
	for _, path := range texts {
		t.Run(filepath.Base(path), func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			built := filepath.Join(t.TempDir(), "built.wasm")
			arguments := []string{path, "-o", built}
			if first, _, _ := strings.Cut(string(text), "\n"); strings.HasPrefix(first, ";; wat2wasm ") {
				arguments = append(strings.Fields(first)[2:], arguments...)
			}
			if output, err := exec.Command(compiler, arguments...).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, output)
			}
			want, wantErr := os.ReadFile(built)
			have, haveErr := os.ReadFile(strings.TrimSuffix(path, ".wat") + ".wasm")
			if wantErr != nil || haveErr != nil || !bytes.Equal(have, want) {
				t.Errorf("the binary has %d bytes, the text compiles to %d: %v, %v", len(have), len(want), wantErr, haveErr)
			}
		})
	}
}
