package modules

import (
	"crypto/sha256"
	"strings"
	"testing"
	"testing/fstest"
)

func TestBuiltin(t *testing.T) {
	all, err := Builtin()
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, module := range all {
		ids = append(ids, module.Manifest.ID)
		if module.SHA256 != sha256.Sum256(module.Wasm) {
			t.Errorf("%s: the digest is not that of the module", module.Manifest.ID)
		}
		if size := len(module.Wasm); size > 5<<19 {
			t.Errorf("%s has %d bytes, which is more than a guest needs: did fmt or encoding/json get in?", module.Manifest.ID, size)
		}
	}
	if got := strings.Join(ids, " "); got != "amplification anomaly base-overlap duplicates hygiene interference intruders merge-loss outliers similarity spectrum" {
		t.Errorf("modules are %s", got)
	}
}

func TestLoadRefuses(t *testing.T) {
	const good = `{"id":"m","version":"1.0.0","title":"t","cost":"factors","needs":["kernels"]}`
	const packed = "\x28\xb5\x2f\xfd\x04\x58\x09\x00\x00\x78\x23\x11\x04\x83" // the zstd frame of "x"
	tests := []struct {
		name  string
		files map[string]string
		says  string // empty: accepted
	}{
		{"good", map[string]string{"m/m.json": good, "m.wasm.zst": packed}, ""},
		{"unknown member", map[string]string{"m/m.json": strings.Replace(good, "needs", "neds", 1), "m.wasm.zst": packed}, "neds"},
		{"member twice", map[string]string{"m/m.json": strings.Replace(good, `"id"`, `"id":"m","id"`, 1), "m.wasm.zst": packed}, "duplicate"},
		{"unknown capability", map[string]string{"m/m.json": strings.Replace(good, "kernels", "network", 1), "m.wasm.zst": packed}, `needs "network"`},
		{"no version", map[string]string{"m/m.json": strings.Replace(good, "1.0.0", "", 1), "m.wasm.zst": packed}, "version"},
		{"guest of another name", map[string]string{"m/m.json": strings.Replace(good, `"id"`, `"guest":"g","id"`, 1), "g.wasm.zst": packed}, ""},
		{"unknown cost", map[string]string{"m/m.json": strings.Replace(good, `"factors"`, `"free"`, 1), "m.wasm.zst": packed}, "cost"},
		{"not zstd", map[string]string{"m/m.json": good, "m.wasm.zst": "x"}, "guest m.wasm.zst"},
		{"id of another", map[string]string{"n/n.json": good, "n.wasm.zst": packed}, `its id is "m"`},
		{"not built", map[string]string{"m/m.json": good}, "make guests"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			fsys := fstest.MapFS{}
			for name, text := range test.files {
				fsys[name] = &fstest.MapFile{Data: []byte(text)}
			}
			all, err := load(fsys)
			switch {
			case test.says == "" && (err != nil || len(all) != 1):
				t.Errorf("%d modules, %v", len(all), err)
			case test.says != "" && (err == nil || !strings.Contains(err.Error(), test.says)):
				t.Errorf("error is %v, want it to say %q", err, test.says)
			}
		})
	}
}
