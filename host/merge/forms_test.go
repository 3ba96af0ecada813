package merge_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/grpc"

	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/merge"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// wide are the entries of a tensor.
func wide(t *testing.T, text []byte, dtype tensor.DType) []float64 {
	t.Helper()
	values := make([]float64, len(text)/dtype.Size())
	if err := tensor.ToF64(values, text, dtype); err != nil {
		t.Fatal(err)
	}
	return values
}

// readTensor reads a tensor of a checkpoint, whatever file it is in.
func readTensor(t *testing.T, dir, name string) []byte {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text[:binary.LittleEndian.Uint64(text)+8]), fmt.Sprintf("%q", name)) {
			return tensorBytes(t, text, name)
		}
	}
	t.Fatalf("no tensor %q in %s", name, dir)
	return nil
}

// baseEntries are those of the base's tensor.
func baseEntries(t *testing.T, b *base.Base, x form) []float64 {
	t.Helper()
	weight, _ := b.Tensor(x.name)
	text, err := b.Read(weight)
	if err != nil {
		t.Fatal(err)
	}
	return wide(t, text, x.dtype)
}

// TestForms merges every form, in memory and on disk, into one file and into several, and holds the result against the words in f64.
func TestForms(t *testing.T) {
	for _, c := range []struct {
		shards     int
		shardBytes int64
	}{{1, 0}, {3, 0}, {3, 500}, {1, 1 << 20}} {
		t.Run(fmt.Sprintf("%d shards, cut at %d", c.shards, c.shardBytes), func(t *testing.T) {
			f := newFormed(t, c.shards, forms, added)
			p, err := merge.NewPlan(f.binding, 1)
			if err != nil {
				t.Fatal(err)
			}
			client := newClient(t, p)
			staged, err := p.Stage(t.Context(), client)
			if err != nil {
				t.Fatal(err)
			}
			out := filepath.Join(t.TempDir(), "merged")
			receipt, err := p.Write(t.Context(), client, merge.Output{Gate: admitted, Dir: out, ShardBytes: c.shardBytes})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := merge.Verify(t.Context(), out); err != nil {
				t.Error(err)
			}
			if receipt.Rule != merge.FormsRule || len(staged.Digests) != len(forms) || len(p.Notes) != len(added) {
				t.Errorf("rule %q, %d staged, notes %v", receipt.Rule, len(staged.Digests), p.Notes)
			}
			for _, x := range forms {
				weight := baseEntries(t, p.Base, x)
				x.compare(t, wide(t, readTensor(t, out, x.name), x.dtype), weight, f.merged(x, weight))
			}
			for _, x := range added {
				if got := wide(t, readTensor(t, out, x.name), x.dtype); !slices.Equal(got, f.data[x.name]) {
					t.Errorf("%s is %v, want %v", x.name, got, f.data[x.name])
				}
			}
			merged, err := base.Open(out)
			if err != nil {
				t.Fatalf("the merged checkpoint does not open: %v", err)
			}
			defer merged.Close()
			if want := len(p.Base.Tensors) + len(added); len(merged.Tensors) != want {
				t.Errorf("%d tensors, want %d", len(merged.Tensors), want)
			}
			checkIndex(t, out, c.shardBytes, merged)
		})
	}
}

// checkIndex looks at what the index of several files says of them all.
func checkIndex(t *testing.T, dir string, shardBytes int64, merged *base.Base) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "model.safetensors.index.json"))
	if len(merged.Shards) == 1 {
		if err == nil {
			t.Error("a single file has an index")
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	var index struct {
		Metadata struct {
			TotalSize       int64  `json:"total_size"`
			TotalParameters int64  `json:"total_parameters"`
			MadeBy          string `json:"made_by"`
		} `json:"metadata"`
	}
	if err := json.Unmarshal(text, &index); err != nil {
		t.Fatal(err)
	}
	size := int64(0)
	for _, x := range merged.Tensors {
		size += x.Length
	}
	m := index.Metadata
	if m.TotalSize != size || shardBytes == 0 && (m.TotalParameters != merged.Parameters() || m.MadeBy != "x") {
		t.Errorf("the index says %+v, want %d bytes of %d parameters", m, size, merged.Parameters())
	}
}

// compare allows the rounding of the dtype, and what f32 loses before it.
func (x form) compare(t *testing.T, got, weight, wanted []float64) {
	t.Helper()
	half := map[tensor.DType]float64{tensor.BF16: 0x1p-8, tensor.F16: 0x1p-11, tensor.F32: 0x1p-22}[x.dtype]
	changed := false
	for i, want := range wanted {
		changed = changed || got[i] != weight[i]
		if math.Abs(got[i]-want) > half*math.Abs(want)+0x1p-20 {
			t.Errorf("%s: entry %d is %v, want %v", x.name, i, got[i], want)
			return
		}
	}
	if !changed {
		t.Errorf("%s is the base's", x.name)
	}
}

// TestFormsAreChecked has a backend that gets one entry of one tensor wrong, for each form. It must be found, in memory and on disk.
func TestFormsAreChecked(t *testing.T) {
	f := newFormed(t, 1, forms, added)
	p, err := merge.NewPlan(f.binding, 1)
	if err != nil {
		t.Fatal(err)
	}
	client := newClient(t, p)
	for _, x := range forms {
		t.Run(x.name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "merged")
			spoil := &liar{BackendClient: client, written: func(r *backendpb.MergeRequest) {
				for _, o := range r.Tensors {
					if o.Merged.Name == x.name {
						flip(t, r.Outputs[o.Merged.File].Path, o.Merged.Offset+o.Merged.Length/2)
					}
				}
			}}
			if _, err := p.Write(t.Context(), spoil, merge.Output{Gate: admitted, Dir: out}); !isMismatch(err, x.name) {
				t.Errorf("on disk: %v", err)
			}
			lie := &liar{BackendClient: client, verified: func(r *backendpb.VerifyResponse) {
				for _, probe := range r.Probes {
					if probe.Tensor == x.name {
						last := len(probe.Product) - 1
						probe.Product[last] = math.Nextafter(probe.Product[last], 1e9)
					}
				}
			}}
			if _, err := p.Stage(t.Context(), lie); !isMismatch(err, x.name) {
				t.Errorf("in memory: %v", err)
			}
		})
	}
}

func isMismatch(err error, tensor string) bool {
	list := fault.All(err)
	return len(list) > 0 && list[0].Code == fault.MergeMismatch && list[0].Tensor == tensor
}

// poor is a backend that does not say that it computes a form, and must not be asked for it.
type poor struct {
	backendpb.BackendClient
	without string
}

func (p *poor) Describe(ctx context.Context, in *backendpb.DescribeRequest, opts ...grpc.CallOption) (*backendpb.DescribeResponse, error) {
	d, err := p.BackendClient.Describe(ctx, in, opts...)
	if err == nil {
		d.Forms = slices.DeleteFunc(d.Forms, func(form string) bool { return form == p.without })
	}
	return d, err
}

func (p *poor) Stage(context.Context, *backendpb.StageRequest, ...grpc.CallOption) (grpc.ServerStreamingClient[backendpb.MergeEvent], error) {
	return nil, errors.New("it was asked to stage")
}

func (p *poor) Merge(context.Context, *backendpb.MergeRequest, ...grpc.CallOption) (grpc.ServerStreamingClient[backendpb.MergeEvent], error) {
	return nil, errors.New("it was asked to merge")
}

// TestFormsThatABackendLacks gives a backend what it does not compute: nothing is written, and nothing is sent.
func TestFormsThatABackendLacks(t *testing.T) {
	f := newFormed(t, 1, forms, nil)
	p, err := merge.NewPlan(f.binding, 1)
	if err != nil {
		t.Fatal(err)
	}
	client, dir := newClient(t, p), t.TempDir()
	for _, form := range []string{backendpb.FormReshaped, backendpb.FormBlocks, backendpb.FormDense, backendpb.FormStart, backendpb.FormMagnitude} {
		t.Run(form, func(t *testing.T) {
			lacking := &poor{client, form}
			_, staged := p.Stage(t.Context(), lacking)
			_, written := p.Write(t.Context(), lacking, merge.Output{Gate: admitted, Dir: filepath.Join(dir, "merged")})
			for _, err := range []error{staged, written} {
				if list := fault.All(err); len(list) != 1 || list[0].Code != fault.UsageFlag || !strings.Contains(list[0].Cause, strconv.Quote(form)) {
					t.Errorf("%v, want a refusal of %q", err, form)
				}
			}
			if names := left(t, dir); len(names) != 0 {
				t.Errorf("%v was left behind", names)
			}
		})
	}
	if err := p.RefuseUnmerged(); fault.ClassOf(err) != fault.Usage {
		t.Errorf("unmerged: %v", err)
	}
	if _, err := p.Unmerge().Stage(t.Context(), &poor{client, ""}); fault.ClassOf(err) != fault.Usage {
		t.Errorf("unmerged and staged: %v", err)
	}
}

// TestResumeForms takes up a merge that was ended in all places but the last, with parameters that the base does not have.
func TestResumeForms(t *testing.T) {
	f := newFormed(t, 2, forms, added)
	p, err := merge.NewPlan(f.binding, 1)
	if err != nil {
		t.Fatal(err)
	}
	client := newClient(t, p)
	want := write(t, p, client, filepath.Join(t.TempDir(), "merged"))
	out := filepath.Join(t.TempDir(), "merged")
	work := interrupt(t, p, client, out)
	last := filepath.Join(work, "model", p.Base.Shards[1].Name)
	info, err := os.Stat(last)
	if err != nil {
		t.Fatal(err)
	}
	flip(t, last, info.Size()-1) // of what is added
	watching := &watcher{BackendClient: client}
	wantSame(t, write(t, p, watching, out), want)
	if len(watching.asked) != 0 {
		t.Errorf("%v were merged again", watching.asked)
	}
}
