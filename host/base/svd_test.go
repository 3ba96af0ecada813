package base

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/safetensors"
	"github.com/tenon-ml/tenon/sdk/tensor"
	"github.com/tenon-ml/tenon/wasm/kernel"
)

// svdBase is a base with one weight w of rows x cols and a vector v, and w's values.
func svdBase(t *testing.T, rows, cols int, poison bool) (*Base, *kernel.Matrix) {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	w := kernel.NewMatrix(rows, cols)
	var raw []byte
	for i := range w.Data {
		value := float32(random.NormFloat64())
		if poison && i == 5 {
			value = float32(math.NaN())
		}
		w.Data[i] = float64(value)
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(value))
	}
	var file bytes.Buffer
	out, err := safetensors.NewWriter(&file, []safetensors.Entry{{Name: "w.weight", DType: tensor.F32, Shape: []int{rows, cols}},
		{Name: "v.weight", DType: tensor.F32, Shape: []int{1}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := out.Write(append(raw, 0, 0, 0, 0)); err != nil {
		t.Fatal(err)
	}
	config, err := json.Marshal(map[string]any{"model_type": "llama"})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, text := range map[string][]byte{"config.json": config, "model.safetensors": file.Bytes()} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b, w
}

// triples opens the decomposition of w.weight and reads it.
func triples(t *testing.T, b *Base, transposed bool, k int, cacheDir string) (u, s, v []float64, file []byte) {
	t.Helper()
	w, _ := b.Tensor("w.weight")
	svd, err := b.SVD(t.Context(), w, transposed, k, cacheDir)
	if err != nil {
		t.Fatal(err)
	}
	defer svd.Close()
	read := func(ref tensor.Ref) []float64 {
		raw, err := svd.Read(safetensors.Tensor{Ref: ref})
		if err != nil {
			t.Fatal(err)
		}
		values := make([]float64, ref.Elements())
		if err := tensor.ToF64(values, raw, ref.DType); err != nil {
			t.Fatal(err)
		}
		return values
	}
	u, s, v = read(svd.U), read(svd.S), read(svd.V)
	file = make([]byte, svd.Size())
	if _, err := svd.ReadAt(file, 0); err != nil {
		t.Fatal(err)
	}
	if len(s) != svd.K {
		t.Errorf("%d values and K %d", len(s), svd.K)
	}
	return u, s, v, file
}

func TestSVD(t *testing.T) {
	for _, shape := range []struct{ rows, cols, k, want int }{{40, 30, 3, 16}, {30, 40, 17, 30}, {64, 80, 17, 32}, {7, 9, 7, 7}} {
		for _, transposed := range []bool{false, true} {
			t.Run(fmt.Sprintf("%dx%d k %d transposed %v", shape.rows, shape.cols, shape.k, transposed), func(t *testing.T) {
				b, w := svdBase(t, shape.rows, shape.cols, false)
				u, s, v, _ := triples(t, b, transposed, shape.k, "")
				_, exact, _, err := kernel.SVD(w)
				if err != nil {
					t.Fatal(err)
				}
				if len(s) != shape.want {
					t.Fatalf("%d triples, want %d", len(s), shape.want)
				}
				for i := range s {
					if math.Abs(s[i]-exact[i]) > 1e-9*exact[0] {
						t.Errorf("singular value %d is %v, want %v", i, s[i], exact[i])
					}
				}
				// u_i' W v_i = s_i, W being out x in.
				out, in := shape.rows, shape.cols
				at := func(i, j int) float64 { return w.Data[i*shape.cols+j] }
				if transposed {
					out, in = in, out
					at = func(i, j int) float64 { return w.Data[j*shape.cols+i] }
				}
				k := len(s)
				for c := range min(3, k) {
					sum, largest := 0.0, 0.0
					for i := range out {
						if x := u[i*k+c]; math.Abs(x) > math.Abs(largest) {
							largest = x
						}
						for j := range in {
							sum += u[i*k+c] * at(i, j) * v[j*k+c]
						}
					}
					if math.Abs(sum-s[c]) > 1e-5*s[c] || largest < 0 {
						t.Errorf("triple %d: u'Wv is %v and s is %v; the largest entry of u is %v", c, sum, s[c], largest)
					}
				}
			})
		}
	}
}

func TestSVDCache(t *testing.T) {
	b, _ := svdBase(t, 40, 30, false)
	dir := t.TempDir()
	_, _, _, fresh := triples(t, b, false, 4, "")
	_, _, _, first := triples(t, b, false, 4, dir)
	if !bytes.Equal(fresh, first) {
		t.Error("the cache changes the result")
	}
	files, err := filepath.Glob(filepath.Join(dir, "base-svd", fmt.Sprintf("%x", b.Digest), "*-k16.safetensors"))
	if err != nil || len(files) != 1 {
		t.Fatalf("the cache holds %v, %v", files, err)
	}
	if info, err := os.Stat(files[0]); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the cache file has mode %v, %v", info.Mode(), err)
	}
	// A smaller and a larger k of the same bucket read the same file; what was asked for first does not matter.
	mark := []byte(nil)
	if before, err := os.Stat(files[0]); err != nil {
		t.Fatal(err)
	} else if _, _, _, mark = triples(t, b, false, 16, dir); !bytes.Equal(mark, first) {
		t.Error("another k of the bucket gives other bytes")
	} else if after, err := os.Stat(files[0]); err != nil || !os.SameFile(before, after) {
		t.Errorf("the file was written again, %v", err)
	}
	triples(t, b, true, 4, dir)
	triples(t, b, false, 17, dir)
	if all, err := filepath.Glob(filepath.Join(dir, "base-svd", "*", "*")); err != nil || len(all) != 3 {
		t.Errorf("the cache holds %v, %v", all, err)
	}

	damage := map[string]func() error{
		"one bit of the values": func() error {
			bad := bytes.Clone(first)
			bad[len(bad)-1] ^= 1
			return os.WriteFile(files[0], bad, 0o600)
		},
		"cut short":       func() error { return os.Truncate(files[0], int64(len(first)-8)) },
		"empty":           func() error { return os.Truncate(files[0], 0) },
		"not safetensors": func() error { return os.WriteFile(files[0], []byte("hello, world"), 0o600) },
		"of another k": func() error {
			other, err := filepath.Glob(filepath.Join(dir, "base-svd", "*", "*-k30.safetensors"))
			if err != nil || len(other) != 1 {
				return fmt.Errorf("no other file: %v %w", other, err)
			}
			text, err := os.ReadFile(other[0])
			return errors.Join(err, os.WriteFile(files[0], text, 0o600))
		},
		"of the transposed weight": func() error {
			other, err := filepath.Glob(filepath.Join(dir, "base-svd", "*", "*-t-k16.safetensors"))
			if err != nil || len(other) != 1 {
				return fmt.Errorf("no other file: %v %w", other, err)
			}
			text, err := os.ReadFile(other[0])
			return errors.Join(err, os.WriteFile(files[0], text, 0o600))
		},
		"a directory": func() error { return errors.Join(os.Remove(files[0]), os.Mkdir(files[0], 0o700)) },
	}
	for name, do := range damage {
		t.Run(name, func(t *testing.T) {
			if err := do(); err != nil {
				t.Fatal(err)
			}
			if _, _, _, again := triples(t, b, false, 4, dir); !bytes.Equal(again, first) {
				t.Error("the result changed")
			}
			if name == "a directory" {
				if err := os.Remove(files[0]); err != nil {
					t.Fatal(err)
				}
				return
			}
			if healed, err := os.ReadFile(files[0]); err != nil || !bytes.Equal(healed, first) {
				t.Errorf("the file was not written again: %v", err)
			}
		})
	}
}

func TestSVDWithoutAWritableCache(t *testing.T) {
	b, _ := svdBase(t, 40, 30, false)
	notADirectory := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(notADirectory, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, _, _, want := triples(t, b, false, 4, "")
	if _, _, _, got := triples(t, b, false, 4, notADirectory); !bytes.Equal(got, want) {
		t.Error("the result changed")
	}
}

func TestSVDRefuses(t *testing.T) {
	b, _ := svdBase(t, 20, 20, true)
	w, _ := b.Tensor("w.weight")
	v, _ := b.Tensor("v.weight")
	dir := t.TempDir()
	var e *fault.Error
	if _, err := b.SVD(t.Context(), w, false, 4, dir); !errors.As(err, &e) || e.Code != fault.BSTensor || e.Tensor != "w.weight" {
		t.Errorf("of NaN: %v", err)
	}
	if _, err := b.SVD(t.Context(), v, false, 1, dir); !errors.As(err, &e) || e.Code != fault.BSTensor || e.Tensor != "v.weight" {
		t.Errorf("of a vector: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.SVD(ctx, w, false, 4, dir); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "base-svd", "*", "*")); len(left) != 0 {
		t.Errorf("the cache holds %v", left)
	}
}
