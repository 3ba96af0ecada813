package pickle

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/safetensors"
)

// golden is a tensor as torch.load reads it.
type golden struct {
	DType  string `json:"dtype"`
	Shape  []int  `json:"shape"`
	SHA256 string `json:"sha256"`
}

// goldens are what testdata/generate.py wrote, by file and tensor.
func goldens(t *testing.T) map[string]map[string]golden {
	t.Helper()
	text, err := os.ReadFile("testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(text, &raw); err != nil {
		t.Fatal(err)
	}
	delete(raw, "generator")
	out := map[string]map[string]golden{}
	for name, text := range raw {
		var file map[string]golden
		if err := json.Unmarshal(text, &file); err != nil {
			t.Fatal(err)
		}
		out[name] = file
	}
	return out
}

// names are PyTorch's names of types.
var names = map[string]string{"float32": "F32", "float16": "F16", "bfloat16": "BF16", "float64": "F64", "int64": "I64", "bool": "BOOL"}

// TestConvert holds every tensor of what is converted against the digest of what PyTorch itself reads.
func TestConvert(t *testing.T) {
	for file, tensors := range goldens(t) {
		t.Run(file, func(t *testing.T) {
			in := filepath.Join("testdata", file)
			if _, err := os.Stat(in); err != nil {
				in = filepath.Join("..", "..", "..", "shared", "models", "real", "roberta-mnli", file)
				if _, err := os.Stat(in); err != nil {
					t.Skip("the published checkpoint is not on this machine")
				}
			}
			out := filepath.Join(t.TempDir(), "out.safetensors")
			s, err := Convert(in, out)
			if err != nil {
				t.Fatal(err)
			}
			f, err := safetensors.Open(out)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if len(f.Tensors) != len(tensors) || s.Tensors != len(tensors) || f.Metadata["format"] != "pt" {
				t.Errorf("%+v, %d tensors, want %d", s, len(f.Tensors), len(tensors))
			}
			for name, want := range tensors {
				got, found := f.Tensor(name)
				data, err := f.Read(got)
				sum := sha256.Sum256(data)
				if !found || err != nil || got.DType.String() != names[want.DType] || !slices.Equal(got.Shape, want.Shape) || hex.EncodeToString(sum[:]) != want.SHA256 {
					t.Errorf("%s: %v %v %x, %v; want %+v", name, got.DType, got.Shape, sum, err, want)
				}
			}
		})
	}
}

func TestConvertDirectory(t *testing.T) {
	model, err := os.ReadFile("testdata/module.bin")
	if err != nil {
		t.Fatal(err)
	}
	in := t.TempDir()
	if err := os.WriteFile(filepath.Join(in, olderName), model, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = Convert(in, filepath.Join(t.TempDir(), "out"))
	wantFault(t, err, fault.IONotFound, remedyOutName)
	if err := os.WriteFile(filepath.Join(in, configName), []byte(`{"r":1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "out")
	s, err := Convert(in, out)
	if err != nil || !s.Config || s.Out != out {
		t.Fatalf("%+v, %v", s, err)
	}
	config, err := os.ReadFile(filepath.Join(out, configName))
	if err != nil || string(config) != `{"r":1}` {
		t.Errorf("%s, %v", config, err)
	}
	f, err := safetensors.Open(filepath.Join(out, weightsName))
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	for _, again := range []string{out, filepath.Join(out, weightsName)} {
		_, err = Convert(in, again)
		wantFault(t, err, fault.MergeExists, "")
	}
	entries, err := os.ReadDir(filepath.Dir(out))
	if err != nil || len(entries) != 1 {
		t.Errorf("%v, %v are left", entries, err)
	}
}

func TestConvertRefuses(t *testing.T) {
	for _, c := range []struct {
		in   string
		code fault.Code
		says string
	}{
		{"testdata/legacy.bin", fault.ADPickle, "before its version 1.6"},
		{"testdata/training.pt", fault.ADPickle, `"epoch" is a number`},
		{"testdata/object.pt", fault.ADPickle, "torch.nn.modules.linear.Linear"},
		{"testdata/golden.json", fault.STWrongType, "JSON"},
		{"testdata/none.pt", fault.IONotFound, ""},
	} {
		t.Run(c.in, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "out.safetensors")
			_, err := Convert(c.in, out)
			wantFault(t, err, c.code, c.says)
			if _, err := os.Lstat(out); err == nil {
				t.Error("something was written")
			}
		})
	}
}

// wantFault fails unless a fault of err has this code, a place, a remedy and the text.
func wantFault(t *testing.T, err error, code fault.Code, says string) {
	t.Helper()
	for _, e := range fault.All(err) {
		if e.Code == code && e.File != "" && e.Remedy != "" && strings.Contains(e.Error(), says) {
			return
		}
	}
	t.Errorf("got %v, want %s with %q", err, code, says)
}
