package cpu

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/tenon-ml/tenon/internal/kernel"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// parts is a file of tensors under construction.
type parts struct {
	random  *rand.Rand
	content []byte
}

func (p *parts) add(name string, values int, shape ...int64) *backendpb.Tensor {
	row := &backendpb.Tensor{Name: name, Dtype: "F32", Shape: shape, Offset: int64(len(p.content)), Length: int64(4 * values)}
	for range values {
		p.content = binary.LittleEndian.AppendUint32(p.content, math.Float32bits(float32(p.random.NormFloat64())))
	}
	return row
}

func (p *parts) of(row *backendpb.Tensor) []byte {
	if row == nil {
		return nil
	}
	return p.content[row.Offset:][:row.Length]
}

// TestStreamsInBlocks merges weights of several blocks by each form, into memory and into a file, and wants what one piece gives.
func TestStreamsInBlocks(t *testing.T) {
	const rows, cols, rank = 700, 1100, 3
	for _, c := range []struct {
		name                                   string
		factors, dense, start, some, magnitude bool
		blocks                                 int
		transposed                             bool
	}{
		{name: "pair", factors: true, blocks: 1},
		{name: "blocks", factors: true, blocks: 7},
		{name: "dense", dense: true},
		{name: "start", start: true},
		{name: "some rows", start: true, some: true},
		{name: "some rows and blocks", factors: true, blocks: 5, start: true, some: true},
		{name: "magnitude", factors: true, blocks: 1, magnitude: true},
		{name: "magnitude of columns", factors: true, blocks: 2, start: true, magnitude: true, transposed: true},
		{name: "magnitude and dense", dense: true, magnitude: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &parts{random: rand.New(rand.NewPCG(1, 2))}
			weight := p.add("w", rows*cols, rows, cols)
			patch := &backendpb.Patch{Tensor: "w", Scale: 1.5, Blocks: int32(c.blocks), FanInFanOut: c.transposed}
			change := &kernel.Change{Rows: rows, Cols: cols, Scale: 1.5, OfColumns: c.transposed}
			if c.factors {
				in, out := cols, rows/c.blocks
				if c.transposed {
					in, out = out, in
				}
				patch.A = p.add("a", c.blocks*rank*in, int64(c.blocks*rank), int64(in))
				patch.B = p.add("b", c.blocks*rank*out, int64(c.blocks*out), rank)
				var err error
				if change.Deltas, err = kernel.NewDeltas(p.of(patch.A), tensor.F32, p.of(patch.B), tensor.F32, c.blocks, rank, in, out, 1.5, c.transposed); err != nil {
					t.Fatal(err)
				}
			}
			if c.dense {
				patch.Dense, change.Dense = p.add("dense", rows*cols, rows, cols), tensor.F32
			}
			n := int64(rows)
			if c.some {
				n = 90
				for i := range n {
					patch.StartRows = append(patch.StartRows, (i*311+5)%rows)
				}
				change.StartRows, _ = kernel.NewStartRows(patch.StartRows, rows)
			}
			if c.start {
				patch.Start, change.Start = p.add("start", int(n)*cols, n, cols), tensor.F32
			}
			start := make([]byte, change.StartBytes(0, rows))
			if err := change.ReadStart(start, bytes.NewReader(p.of(patch.Start)), 0, rows); err != nil {
				t.Fatal(err)
			}
			if c.magnitude {
				outputs, sums := rows, change.Sums()
				if c.transposed {
					outputs = cols
				}
				patch.Magnitude = p.add("magnitude", outputs, int64(outputs))
				magnitudes := make([]float32, outputs)
				if err := tensor.ToF32(magnitudes, p.of(patch.Magnitude), tensor.F32); err != nil {
					t.Fatal(err)
				}
				if err := change.SquareSums(sums, p.of(weight), start, p.of(patch.Dense), tensor.F32, 0, rows); err != nil {
					t.Fatal(err)
				}
				change.Gains = make([]float32, outputs)
				if err := kernel.Gains(change.Gains, magnitudes, sums); err != nil {
					t.Fatal(err)
				}
			}
			want := make([]byte, weight.Length)
			counts, err := change.MergeRows(want, p.of(weight), start, p.of(patch.Dense), tensor.F32, 0, rows)
			if err != nil {
				t.Fatal(err)
			}
			checkStreams(t, p, weight, patch, want, counts)
		})
	}
}

// checkStreams wants these bytes and counts of Stage and Merge.
func checkStreams(t *testing.T, p *parts, weight *backendpb.Tensor, patch *backendpb.Patch, want []byte, counts kernel.Counts) {
	t.Helper()
	file := writeFile(t, p.content)
	client := connect(t, New(Options{Workers: 3}))
	if _, err := client.LoadBase(t.Context(), &backendpb.LoadBaseRequest{
		Digest: file.Sha256, Files: []*backendpb.File{file}, Tensors: []*backendpb.Tensor{weight},
	}); err != nil {
		t.Fatal(err)
	}
	events := receiveAll(t, func() (grpc.ServerStreamingClient[backendpb.MergeEvent], error) {
		return client.Stage(t.Context(), &backendpb.StageRequest{
			Generation: file.Sha256, Base: file.Sha256, Files: []*backendpb.File{file}, Patches: []*backendpb.Patch{patch},
		})
	})
	sum := sha256.Sum256(want)
	if e := events[0]; !bytes.Equal(e.Sha256, sum[:]) || e.Changed != counts.Changed || e.NonFinite != counts.NonFinite {
		t.Errorf("Stage: %v, want %x and %+v", e, sum, counts)
	}
	output := writeFile(t, make([]byte, 9+len(want)))
	output.Sha256 = nil
	merged := proto.CloneOf(weight)
	merged.Offset = 9
	events = receiveAll(t, func() (grpc.ServerStreamingClient[backendpb.MergeEvent], error) {
		return client.Merge(t.Context(), &backendpb.MergeRequest{Inputs: []*backendpb.File{file}, Outputs: []*backendpb.File{output},
			Tensors: []*backendpb.Output{{Base: weight, Patch: patch, Merged: merged}}})
	})
	got, err := os.ReadFile(output.Path)
	if err != nil || !bytes.Equal(got[9:], want) || events[0].Changed != counts.Changed {
		t.Errorf("Merge: equal %v, %v, %v, want %+v", bytes.Equal(got[9:], want), events[0], err, counts)
	}
}

// TestStreamMemory: what is read of a tensor at a time depends on no shape where entries are each on their own.
func TestStreamMemory(t *testing.T) {
	const dim = 1 << 40
	files := []*backendpb.File{{Path: "x", Size: 1 << 50}}
	row := &backendpb.Tensor{Name: "w", Dtype: "BF16", Shape: []int64{2, dim}, Length: 4 * dim}
	weight, err := parseExtent("base tensor", row, files)
	if err != nil {
		t.Fatal(err)
	}
	p, err := parsePatch(&backendpb.Patch{Tensor: "w", Start: row}, weight, files)
	if err != nil {
		t.Fatal(err)
	}
	if n := p.bufferRow(weight.dtype, false); n != 4 {
		t.Errorf("%d bytes of buffer for one entry and its start", n)
	}
}

// TestStreamFailsWithItsFile: a file that was cut after it was opened is lost data, with the place.
func TestStreamFailsWithItsFile(t *testing.T) {
	file := writeFile(t, make([]byte, 64))
	open, err := openFiles([]*backendpb.File{file}, os.O_RDONLY)
	if err != nil {
		t.Fatal(err)
	}
	defer open.close()
	whole := extent{name: "w", dtype: tensor.F32, shape: []int{4, 4}, length: 64}
	if err := os.Truncate(file.Path, 32); err != nil {
		t.Fatal(err)
	}
	for name, p := range map[string]*patch{
		"start": {name: "w", start: whole, blocks: 1, rows: 4, cols: 4},
		"dense": {name: "w", dense: whole, blocks: 1, rows: 4, cols: 4, scale: 1},
	} {
		s := &stream{patch: p, dtype: tensor.F32, resident: make([]byte, 64), inputs: open, buffer: make([]byte, 64)}
		_, err := s.merge(t.Context(), make([]byte, 64), func([]byte, int64) error { return nil })
		if status.Code(err) != codes.DataLoss || !bytes.Contains([]byte(err.Error()), []byte(fmt.Sprintf("%q", file.Path))) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
