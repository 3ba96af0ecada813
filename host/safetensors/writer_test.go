package safetensors

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

func TestLayoutBytes(t *testing.T) {
	header, refs, size, err := Layout([]Entry{{"z", tensor.F32, []int{2, 3}}, {`a"\` + "\n", tensor.BF16, nil}},
		map[string]string{"format": "pt", "a": "b"})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"__metadata__":{"a":"b","format":"pt"},"z":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},` +
		`"a\"\\\u000a":{"dtype":"BF16","shape":[],"data_offsets":[24,26]}}`
	want += strings.Repeat(" ", (8-len(want)%8)%8)
	if string(header[8:]) != want || !bytes.Equal(header[:8], lengthField(uint64(len(want)), "")) {
		t.Errorf("header\n got %q\nwant %q", header, want)
	}
	start := int64(len(header))
	wantRefs := []tensor.Ref{{Name: "z", DType: tensor.F32, Shape: []int{2, 3}, Offset: start, Length: 24},
		{Name: `a"\` + "\n", DType: tensor.BF16, Offset: start + 24, Length: 2}}
	if !reflect.DeepEqual(refs, wantRefs) || size != start+26 {
		t.Errorf("refs %v, size %d", refs, size)
	}
}

func TestLayoutRefuses(t *testing.T) {
	tests := []struct {
		name     string
		entries  []Entry
		metadata map[string]string
		code     fault.Code
	}{
		{"name twice", []Entry{{"a", tensor.U8, nil}, {"a", tensor.U8, nil}}, nil, fault.STDup},
		{"name of the metadata", []Entry{{"__metadata__", tensor.U8, nil}}, nil, fault.STDup},
		{"NUL in a name", []Entry{{"a\x00", tensor.U8, nil}}, nil, fault.STHdrUTF8},
		{"invalid UTF-8 in a name", []Entry{{"\xff", tensor.U8, nil}}, nil, fault.STHdrUTF8},
		{"NUL in the metadata", nil, map[string]string{"a": "\x00"}, fault.STHdrUTF8},
		{"no dtype", []Entry{{"a", tensor.Invalid, nil}}, nil, fault.STDType},
		{"half a byte", []Entry{{"a", tensor.F4, []int{1}}}, nil, fault.STDType},
		{"negative axis", []Entry{{"a", tensor.U8, []int{-1}}}, nil, fault.STEntry},
		{"too large", []Entry{{"a", tensor.U8, []int{math.MaxInt / 4, 8}}}, nil, fault.STOverflow},
		{"too large together", []Entry{
			{"a", tensor.U8, []int{math.MaxInt64 / 8}}, {"b", tensor.U8, []int{math.MaxInt64 / 8}}, {"c", tensor.U8, []int{math.MaxInt64 / 8}},
			{"d", tensor.U8, []int{math.MaxInt64 / 8}}, {"e", tensor.U8, []int{math.MaxInt64 / 8}}, {"f", tensor.U8, []int{math.MaxInt64 / 8}},
			{"g", tensor.U8, []int{math.MaxInt64 / 8}}, {"h", tensor.U8, []int{math.MaxInt64 / 8}}, {"i", tensor.U8, []int{8}}}, nil,
			fault.STOverflow},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, _, _, err := Layout(test.entries, test.metadata)
			if list := fault.All(err); len(list) != 1 || list[0].Code != test.code {
				t.Errorf("got %v, want %s", err, test.code)
			}
			if _, err := NewWriter(&bytes.Buffer{}, test.entries, test.metadata); err == nil {
				t.Error("NewWriter accepted it")
			}
		})
	}
}

// randomFile writes a file of random tensors, in pieces of random sizes.
func randomFile(t *testing.T, r *rand.Rand) (raw []byte, entries []Entry, metadata map[string]string) {
	t.Helper()
	for i := range r.IntN(8) {
		e := Entry{Name: fmt.Sprintf("%c.é\"%d", rune('a'+r.IntN(26)), i), DType: tensor.Bool + tensor.DType(r.IntN(int(tensor.F6E3M2)))}
		for range r.IntN(4) {
			e.Shape = append(e.Shape, r.IntN(4))
		}
		if e.DType.Size() == 0 {
			e.Shape = append(e.Shape, 4)
		}
		entries = append(entries, e)
	}
	if r.IntN(2) == 0 {
		metadata = map[string]string{"format": "pt", "\x01": "\"\\\u2028😀"}
	}
	var out bytes.Buffer
	w, err := NewWriter(&out, entries, metadata)
	if err != nil {
		t.Fatal(err)
	}
	data := make([]byte, w.left)
	for i := range data {
		data[i] = byte(r.Uint32())
	}
	for rest := data; len(rest) > 0; {
		n := 1 + r.IntN(len(rest))
		if _, err := w.Write(rest[:n]); err != nil {
			t.Fatal(err)
		}
		rest = rest[n:]
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), entries, metadata
}

func TestRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		raw, entries, metadata := randomFile(t, r)
		h, err := ReadHeader("x", bytes.NewReader(raw), int64(len(raw)), DefaultLimits)
		if err != nil {
			t.Fatalf("%v\n%q", err, raw)
		}
		checkTiles(t, h, int64(len(raw)))
		if h.DataStart%headerAlign != 0 || len(h.Tensors) != len(entries) || !reflect.DeepEqual(h.Metadata, metadata) {
			t.Fatalf("data at %d, %d tensors of %d, metadata %q of %q", h.DataStart, len(h.Tensors), len(entries), h.Metadata, metadata)
		}
		for _, e := range entries {
			x, ok := h.Tensor(e.Name)
			if !ok || x.DType != e.DType || fmt.Sprint(x.Shape) != fmt.Sprint(e.Shape) {
				t.Fatalf("wrote %v, read %v", e, x)
			}
		}
	}
}

// brokenWriter takes the first few bytes.
type brokenWriter struct{ room int }

var errBroken = errors.New("broken")

func (b *brokenWriter) Write(p []byte) (int, error) {
	n := min(len(p), b.room)
	b.room -= n
	if n < len(p) {
		return n, errBroken
	}
	return n, nil
}

func TestWriterCountsBytes(t *testing.T) {
	entries := []Entry{{"a", tensor.F32, []int{2}}}
	header, refs, _, err := Layout(entries, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("too few", func(t *testing.T) {
		w, _ := NewWriter(&bytes.Buffer{}, entries, nil)
		w.Write(make([]byte, 7))
		if w.Close() == nil {
			t.Error("Close accepted 7 bytes of 8")
		}
	})
	t.Run("too many", func(t *testing.T) {
		var out bytes.Buffer
		w, _ := NewWriter(&out, entries, nil)
		if n, err := w.Write(make([]byte, 9)); n != 0 || err == nil || out.Len() != len(header) {
			t.Errorf("Write took %d of 9 bytes: %v", n, err)
		}
		if w.Close() == nil {
			t.Error("Close forgot the failed Write")
		}
	})
	t.Run("write fails", func(t *testing.T) {
		if _, err := NewWriter(&brokenWriter{3}, entries, nil); !errors.Is(err, errBroken) {
			t.Errorf("header: %v", err)
		}
		w, err := NewWriter(&brokenWriter{len(header) + 3}, entries, nil)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := w.Write(make([]byte, 8)); n != 3 || !errors.Is(err, errBroken) {
			t.Errorf("Write = %d, %v", n, err)
		}
		if _, err := w.Write(make([]byte, 1)); !errors.Is(err, errBroken) || !errors.Is(w.Close(), errBroken) {
			t.Error("the writer went on after a failed write")
		}
	})
	t.Run("refs", func(t *testing.T) {
		w, _ := NewWriter(&bytes.Buffer{}, entries, nil)
		if !reflect.DeepEqual(w.Refs(), refs) {
			t.Errorf("got %v, want %v", w.Refs(), refs)
		}
	})
}

// TestPython reads what the Writer wrote with the safetensors package of Python, where it is installed.
func TestPython(t *testing.T) {
	if out, err := exec.Command("python3", "-c", "import safetensors").CombinedOutput(); err != nil {
		t.Skipf("python3 cannot import safetensors: %v\n%s", err, out)
	}
	const script = `
import json, sys, safetensors
files = []
for path in sys.argv[1:]:
    tensors = safetensors.deserialize(open(path, "rb").read())
    files.append({name: [t["dtype"], t["shape"], bytes(t["data"]).hex()] for name, t in tensors})
print(json.dumps(files))`
	r, dir := rand.New(rand.NewPCG(3, 4)), t.TempDir()
	args := []string{"-c", script}
	var want []map[string][]any
	for i := range 20 {
		raw, entries, _ := randomFile(t, r)
		h, err := ReadHeader("x", bytes.NewReader(raw), int64(len(raw)), DefaultLimits)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, fmt.Sprint(i))
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, path)
		tensors := map[string][]any{}
		for _, e := range entries {
			x, _ := h.Tensor(e.Name)
			tensors[e.Name] = []any{e.DType.String(), x.Shape, hex.EncodeToString(raw[x.Offset : x.Offset+x.Length])}
		}
		want = append(want, tensors)
	}
	out, err := exec.Command("python3", args...).Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, err.(*exec.ExitError).Stderr)
	}
	var got, wanted []map[string][]any
	text, _ := json.Marshal(want)
	if err := errors.Join(json.Unmarshal(out, &got), json.Unmarshal(text, &wanted)); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, wanted) {
		t.Errorf("python read\n%s\nwant\n%s", out, text)
	}
}
