package modules

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/tenon-ml/tenon/sdk/abi"
)

const stranger = `{"id":"m","version":"1.0.0","title":"t","cost":"factors","needs":["kernels","base"],"base_svd_rank":-1,` +
	`"params":{"top_k":{"default":3,"doc":"d"}},"limits":{"run_ms":20000}}`

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "m.wasm"), "guest")
	write(t, filepath.Join(dir, "m.json"), stranger)
	for _, path := range []string{"m", "m.wasm"} {
		m, err := Open(filepath.Join(dir, path))
		if err != nil {
			t.Fatal(err)
		}
		if string(m.Wasm) != "guest" || m.SHA256 != sha256.Sum256(m.Wasm) || m.ManifestSHA256 != sha256.Sum256([]byte(stranger)) ||
			m.File != filepath.Join(dir, "m.wasm") || m.Manifest.Limits != (abi.Limits{RunMillis: 20000}) {
			t.Errorf("%+v", m)
		}
	}
}

func TestOpenRefusesFiles(t *testing.T) {
	tests := []struct {
		name    string
		prepare func(t *testing.T, name string)
		says    string
	}{
		{"nothing", func(*testing.T, string) {}, "no such file"},
		{"no manifest", func(t *testing.T, name string) { write(t, name+".wasm", "x") }, "m.json: no such file"},
		{"a folder", func(t *testing.T, name string) {
			write(t, name+".json", stranger)
			if err := os.Mkdir(name+".wasm", 0o700); err != nil {
				t.Fatal(err)
			}
		}, "not a regular file"},
		{"a pipe nobody writes to", func(t *testing.T, name string) {
			write(t, name+".json", stranger)
			if err := syscall.Mkfifo(name+".wasm", 0o600); err != nil {
				t.Skipf("no pipes here: %v", err)
			}
		}, "not a regular file"},
		{"a guest too large", func(t *testing.T, name string) {
			write(t, name+".json", stranger)
			write(t, name+".wasm", "")
			if err := os.Truncate(name+".wasm", 1<<40); err != nil {
				t.Skipf("no file with holes here: %v", err)
			}
		}, "more than 16777216 bytes"},
		{"a manifest too large", func(t *testing.T, name string) {
			write(t, name+".wasm", "x")
			write(t, name+".json", strings.Repeat(" ", maxManifest+1))
		}, "more than 1048576 bytes"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			name := filepath.Join(t.TempDir(), "m")
			test.prepare(t, name)
			if _, err := Open(name); err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("error is %v, want it to say %q", err, test.says)
			}
		})
	}
}

func TestManifest(t *testing.T) {
	sum := fmt.Sprintf("%x", sha256.Sum256([]byte("guest")))
	tests := []struct {
		name, from, to string
		says           string // empty: accepted
	}{
		{"good", "", "", ""},
		{"digest of this guest", `"id"`, `"sha256":"` + sum + `","id"`, ""},
		{"digest of another guest", `"id"`, `"sha256":"` + strings.Repeat("0", 64) + `","id"`, "not of one build"},
		{"digest in capitals", `"id"`, `"sha256":"` + strings.ToUpper(sum) + `","id"`, "lower-case hexadecimal"},
		{"pre-release", `1.0.0`, `1.0.0-rc.1+linux`, ""},
		{"no id", `"id":"m",`, ``, "id is"},
		{"id with a capital", `"m"`, `"M"`, "id is"},
		{"id with control characters", `"m"`, `"m\u001b[2J"`, "id is"},
		{"id that hides a rule", `"m"`, `"policy"`, "none of"},
		{"id that hides a probe", `"m"`, `"probe"`, "none of"},
		{"id of 65", `"m"`, `"` + strings.Repeat("a", 65) + `"`, "at most 64"},
		{"no version", `"1.0.0"`, `""`, "semantic version"},
		{"version of one line more", `"1.0.0"`, `"1.0.0\n"`, "semantic version"},
		{"title too long", `"t"`, `"` + strings.Repeat("t", 257) + `"`, "257 bytes"},
		{"a shared guest", `"id"`, `"guest":"factors","id"`, "only modules that ship"},
		{"no cost", `"cost":"factors",`, ``, "cost is"},
		{"unknown capability", `"kernels"`, `"network"`, `needs "network"`},
		{"capability twice", `"base"`, `"kernels"`, "twice"},
		{"member in other case", `"needs"`, `"Needs"`, "Needs"},
		{"member twice", `"id"`, `"id":"m","id"`, "duplicate"},
		{"something after it", `}}`, `}}x`, "invalid"},
		{"a rank no host computes", `-1`, `513`, "base_svd_rank"},
		{"an unknown constant", `-1`, `-4`, "base_svd_rank"},
		{"a rank of no base", `,"base"`, ``, "does not need"},
		{"a param's name", `top_k`, `top-k`, "param"},
		{"a default that is not finite", `"default":3`, `"default":1e999`, "default"},
		{"a default that is text", `"default":3`, `"default":"NaN"`, "default"},
		{"a negative limit", `20000`, `-1`, "negative"},
		{"a limit that overflows", `20000`, `9223372036854775808`, "run_ms"},
		{"an unknown limit", `run_ms`, `runMs`, "runMs"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			text := strings.Replace(stranger, test.from, test.to, 1)
			_, err := assemble("m", []byte("guest"), []byte(text))
			switch {
			case test.says == "" && err != nil:
				t.Error(err)
			case test.says != "" && (err == nil || !strings.Contains(err.Error(), test.says)):
				t.Errorf("error is %v, want it to say %q", err, test.says)
			}
		})
	}
}

// FuzzManifest reads anything. What it accepts holds what the host relies on, and means the same when it is written and read again.
func FuzzManifest(f *testing.F) {
	f.Add([]byte(stranger))
	f.Add([]byte(`{"id":"m","version":"1.0.0","title":"t","cost":"weights","needs":[]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := parse(text)
		if err != nil {
			return
		}
		again, err := json.Marshal(m, json.Deterministic(true))
		if err != nil {
			t.Fatal(err)
		}
		back, err := parse(again)
		if err != nil {
			t.Fatalf("%s was accepted, and as %s refused: %v", text, again, err)
		}
		if once, _ := json.Marshal(back, json.Deterministic(true)); string(once) != string(again) {
			t.Errorf("%s became %s", again, once)
		}
	})
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
