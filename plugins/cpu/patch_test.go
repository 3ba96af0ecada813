package cpu

import (
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// claim is a tensor in a file that is as large as it likes.
func claim(name, dtype string, shape ...int64) *backendpb.Tensor {
	size, _ := tensor.ParseDType(dtype)
	length := int64(size.Size())
	for _, d := range shape {
		length *= d
	}
	return &backendpb.Tensor{Name: name, Dtype: dtype, Shape: shape, Length: length}
}

var vast = []*backendpb.File{{Path: "vast", Size: 1 << 60}}

func TestParsePatch(t *testing.T) {
	for _, c := range []struct {
		name   string
		weight *backendpb.Tensor
		patch  *backendpb.Patch
		want   string // in the refusal; "": none
	}{
		{"as many blocks as there are", claim("w", "F16", 1<<17, 2), &backendpb.Patch{
			A: claim("a", "F16", 1<<17, 2), B: claim("b", "F16", 1<<17, 1), Blocks: 1 << 17}, "at most 65536"},
		{"blocks and rows that overflow", claim("w", "F16", 4), &backendpb.Patch{
			A: claim("a", "F16", 1<<16, 1<<41), B: claim("b", "F16", 1<<16, 1), Blocks: 1 << 16, FanInFanOut: true}, "do not fit"},
		{"rank 0", claim("w", "F32", 3, 2), &backendpb.Patch{A: claim("a", "F32", 0, 2), B: claim("b", "F32", 3, 0)}, "r at least 1"},
		{"no entries", claim("w", "F32", 3, 0), &backendpb.Patch{Start: claim("s", "F32", 3, 0)}, "no entries"},
		{"weight of F64", claim("w", "F64", 3), &backendpb.Patch{Start: claim("s", "F32", 3)}, "F64 cannot be merged into"},
		{"parts of F64", claim("w", "F32", 3), &backendpb.Patch{Start: claim("s", "F64", 3), Dense: claim("d", "F64", 3)}, ""},
		{"another shape of as many entries", claim("w", "F32", 3, 2), &backendpb.Patch{
			A: claim("a", "F32", 1, 3), B: claim("b", "F32", 2, 1)}, "do not fit"},
		{"a start of another shape", claim("w", "F32", 3, 2), &backendpb.Patch{Start: claim("s", "F32", 6)}, ""},
		{"a number", claim("w", "BF16"), &backendpb.Patch{Start: claim("s", "F16", 1)}, ""},
		{"nothing", claim("w", "F32", 3), &backendpb.Patch{Scale: 1}, "neither factors"},
	} {
		t.Run(c.name, func(t *testing.T) {
			weight, err := parseExtent("base tensor", c.weight, vast)
			if err != nil {
				t.Fatal(err)
			}
			c.patch.Tensor = "w"
			_, err = parsePatch(c.patch, weight, vast)
			if c.want == "" && err == nil {
				return
			}
			if c.want == "" || status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), `"w"`) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

// FuzzParsePatch: what is accepted fits the weight, whatever was claimed.
func FuzzParsePatch(f *testing.F) {
	weight := claim("w", "BF16", 6, 4)
	for _, p := range []*backendpb.Patch{
		{A: claim("a", "F32", 2, 4), B: claim("b", "F32", 6, 2), Scale: 1},
		{A: claim("a", "F32", 6, 2), B: claim("b", "F16", 12, 2), Scale: 1, Blocks: 3, FanInFanOut: true, Magnitude: claim("m", "F32", 4)},
		{Dense: claim("d", "F16", 24), Scale: 1, Magnitude: claim("m", "BF16", 2), MagnitudeOfInputs: true},
		{Start: claim("s", "F32", 2, 4), StartRows: []int64{5, 0}},
	} {
		text, err := proto.Marshal(p)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text, int64(6), int64(4))
	}
	f.Fuzz(func(t *testing.T, text []byte, rows, cols int64) {
		p := &backendpb.Patch{}
		if proto.Unmarshal(text, p) != nil || rows < 0 || cols < 0 || rows > 64 || cols > 64 {
			return
		}
		weight.Shape, weight.Length = []int64{rows, cols}, 2*rows*cols
		extent, err := parseExtent("base tensor", weight, vast)
		if err != nil {
			t.Fatal(err)
		}
		got, err := parsePatch(p, extent, vast)
		if err != nil {
			if status.Code(err) != codes.InvalidArgument {
				t.Fatalf("refused as %v", err)
			}
			return
		}
		if got.rows*got.cols != int(rows*cols) || got.rows < 1 || got.bufferRow(extent.dtype, false) < 2 {
			t.Fatalf("%d x %d of %d x %d", got.rows, got.cols, rows, cols)
		}
		room := 0
		for _, s := range got.held() {
			s.bytes, room = make([]byte, min(s.length, 1<<16)), room+int(s.length)
		}
		if room > 1<<12 {
			return
		}
		if c, err := got.change(); err != nil {
			t.Fatal(err)
		} else if c.Rows*c.Cols != int(rows*cols) {
			t.Fatalf("%d x %d", c.Rows, c.Cols)
		}
	})
}
