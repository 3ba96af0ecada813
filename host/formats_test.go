package host

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/tenon-ml/tenon/host/adapter"
	"github.com/tenon-ml/tenon/host/registry"
	"github.com/tenon-ml/tenon/host/safetensors"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// singleFile writes an adapter of one pair as Kohya's scripts do.
func singleFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "any name.safetensors")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const module = "lora_te_text_model_encoder_layers_0_self_attn_q_proj"
	w, err := safetensors.NewWriter(f, []safetensors.Entry{
		{Name: module + ".lora_down.weight", DType: tensor.F32, Shape: []int{2, 8}},
		{Name: module + ".lora_up.weight", DType: tensor.F32, Shape: []int{8, 2}},
	}, nil)
	if err == nil {
		_, err = w.Write(make([]byte, 2*2*8*4))
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestKeptFormats: the store keeps an adapter of any format, and what a restart opens is the same adapter; what is damaged is put aside, and
// a repair knows the rest.
func TestKeptFormats(t *testing.T) {
	gguf, err := filepath.Abs(filepath.Join("..", "..", "shared", "models", "stories260K", "adapter.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	packed := filepath.Join(t.TempDir(), "a.tar.zst")
	if _, err := os.Stat(restaurant); err == nil {
		if _, err := adapter.Pack(filepath.Join(restaurant, "adapter"), packed); err != nil {
			t.Fatal(err)
		}
	}
	dir, kept := t.TempDir(), 0
	r, err := registry.Open(t.Context(), registry.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ format, ref, weights string }{
		{adapter.FormatPEFT, packed, adapter.WeightsName},
		{adapter.FormatKohya, singleFile(t), "adapter.safetensors"},
		{adapter.FormatGGUF, gguf, "adapter.gguf"},
	} {
		t.Run(c.format, func(t *testing.T) {
			if _, err := os.Stat(c.ref); err != nil {
				t.Skipf("no test data: %v", err)
			}
			a, err := adapter.Open(c.ref)
			if err != nil {
				t.Fatal(err)
			}
			defer a.Close()
			for range 2 { // the second time over what was damaged
				if err := keep(t.Context(), r, a); err != nil {
					t.Fatal(err)
				}
				dir, err := r.AdapterDir(a.Digest)
				if err != nil {
					t.Fatal(err)
				}
				back, err := adapter.Open(dir)
				if err != nil {
					t.Fatal(err)
				}
				if back.Digest != a.Digest || back.Format != c.format {
					t.Errorf("it came back as %s %x, and was %s %x", back.Format, back.Digest, a.Format, a.Digest)
				}
				back.Close()
				damage(t, filepath.Join(dir, c.weights))
			}
			if err := keep(t.Context(), r, a); err != nil {
				t.Fatal(err)
			}
			kept++
		})
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	report, err := registry.Repair(t.Context(), dir)
	if err != nil || report.Adapters != kept || report.Quarantined != 0 {
		t.Errorf("%+v, %v; %d adapters were kept", report, err, kept)
	}
}

// damage changes the last byte of a file of the store.
func damage(t *testing.T, path string) {
	t.Helper()
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	end, err := f.Seek(-1, io.SeekEnd)
	b := make([]byte, 1)
	if err == nil {
		_, err = f.ReadAt(b, end)
	}
	if err == nil {
		b[0] ^= 1
		_, err = f.WriteAt(b, end)
	}
	if err != nil {
		t.Fatal(err)
	}
}
