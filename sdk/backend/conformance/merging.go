package conformance

import (
	"bytes"
	"context"
	"crypto/sha256"
	"math"
	"path/filepath"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

func testLoad(t T, k *kit) {
	client, b := k.start(t), k.plainBase(t)
	first, err := client.LoadBase(t.Context(), b.Request())
	if err != nil {
		t.Fatalf("%v", err)
	}
	if first.ResidentBytes == 0 {
		t.Errorf("a base of no bytes is resident")
	}
	again, err := client.LoadBase(t.Context(), b.Request())
	if err != nil || again.ResidentBytes != first.ResidentBytes {
		t.Errorf("loading it again: %v, %v; the first time %v", again, err, first)
	}
	if s := currentStatus(t, client); !bytes.Equal(s.Base, b.digest) || len(s.Generations)+len(s.Aliases) != 0 {
		t.Errorf("status after loading: %v", s)
	}
	other := b.Request()
	other.Digest = digest("another base")
	_, err = client.LoadBase(t.Context(), other)
	wantCode(t, "a second base", err, codes.FailedPrecondition)
}

func testLoadRefuses(t T, k *kit) {
	client, b := k.start(t), k.plainBase(t)
	for _, c := range []struct {
		name  string
		spoil func(*backendpb.LoadBaseRequest)
		want  codes.Code
	}{
		{"wrong digest of a file", func(r *backendpb.LoadBaseRequest) { r.Files[1].Sha256[3] ^= 1 }, codes.DataLoss},
		{"file of another size", func(r *backendpb.LoadBaseRequest) { r.Files[0].Size-- }, codes.DataLoss},
		{"file that is not there", func(r *backendpb.LoadBaseRequest) { r.Files[0].Path += ".gone" }, codes.NotFound},
		{"directory", func(r *backendpb.LoadBaseRequest) { r.Files[0].Path = filepath.Dir(r.Files[0].Path) }, codes.InvalidArgument},
		{"digest of three bytes", func(r *backendpb.LoadBaseRequest) { r.Digest = r.Digest[:3] }, codes.InvalidArgument},
		{"unknown dtype", func(r *backendpb.LoadBaseRequest) { r.Tensors[0].Dtype = "bf16" }, codes.InvalidArgument},
		{"length that is not shape times dtype", func(r *backendpb.LoadBaseRequest) { r.Tensors[0].Length -= 2 }, codes.InvalidArgument},
		{"negative offset", func(r *backendpb.LoadBaseRequest) { r.Tensors[0].Offset = -1 }, codes.InvalidArgument},
		{"past the end", func(r *backendpb.LoadBaseRequest) { r.Tensors[0].Offset = r.Files[0].Size - 1 }, codes.InvalidArgument},
		{"offset that overflows", func(r *backendpb.LoadBaseRequest) { r.Tensors[0].Offset = math.MaxInt64 }, codes.InvalidArgument},
		{"shape that overflows", func(r *backendpb.LoadBaseRequest) { r.Tensors[0].Shape = []int64{1 << 40, 1 << 40} }, codes.InvalidArgument},
		{"negative dimension", func(r *backendpb.LoadBaseRequest) { r.Tensors[0].Shape = []int64{-24, -40} }, codes.InvalidArgument},
		{"file out of the table", func(r *backendpb.LoadBaseRequest) { r.Tensors[0].File = 2 }, codes.InvalidArgument},
		{"name twice", func(r *backendpb.LoadBaseRequest) { r.Tensors[1].Name = r.Tensors[0].Name }, codes.InvalidArgument},
		{"overlap", func(r *backendpb.LoadBaseRequest) { r.Tensors[2].Offset = r.Tensors[0].Offset + 4 }, codes.InvalidArgument},
		{"no tensors", func(r *backendpb.LoadBaseRequest) { r.Tensors = nil }, codes.InvalidArgument},
	} {
		t.Run(c.name, func(t T) {
			req := proto.CloneOf(b.Request())
			c.spoil(req)
			_, err := client.LoadBase(t.Context(), req)
			wantCode(t, "LoadBase", err, c.want)
			if s := currentStatus(t, client); len(s.Base) != 0 {
				t.Errorf("base %x is resident", s.Base)
			}
		})
	}
	load(t, client, b) // and the right one still loads
}

func testStage(t T, k *kit) {
	client, b := k.start(t), k.plainBase(t)
	a := k.plainAdapter(t, b)
	_, err := drain(client.Stage(t.Context(), a.request()))
	wantCode(t, "Stage without a base", err, codes.FailedPrecondition)
	load(t, client, b)
	events := stage(t, client, a.request())
	if len(events) != len(a.patches) {
		t.Fatalf("%d events for %d patches", len(events), len(a.patches))
	}
	checkEvents(t, client, a)
	again := stage(t, client, a.request())
	if !slices.EqualFunc(events, again, func(x, y *backendpb.MergeEvent) bool { return proto.Equal(x, y) }) {
		t.Errorf("staging again answers %v, first %v", again, events)
	}
	s := currentStatus(t, client)
	if len(s.Generations) != 1 || !bytes.Equal(s.Generations[0].Generation, a.generation()) || s.Generations[0].Bytes == 0 {
		t.Errorf("status: %v", s)
	}
}

func testStageRefuses(t T, k *kit) {
	client, b := k.start(t), k.plainBase(t)
	load(t, client, b)
	for _, c := range []struct {
		name  string
		spoil func(*backendpb.StageRequest)
		want  codes.Code
	}{
		{"another base", func(r *backendpb.StageRequest) { r.Base = digest("elsewhere") }, codes.FailedPrecondition},
		{"wrong digest of the factors", func(r *backendpb.StageRequest) { r.Files[0].Sha256[0] ^= 1 }, codes.DataLoss},
		{"no patches", func(r *backendpb.StageRequest) { r.Patches = nil }, codes.InvalidArgument},
		{"tensor not in the base", func(r *backendpb.StageRequest) { r.Patches[0].Tensor = "frist" }, codes.InvalidArgument},
		{"tensor twice", func(r *backendpb.StageRequest) { r.Patches[1] = r.Patches[0] }, codes.InvalidArgument},
		{"vector", func(r *backendpb.StageRequest) { r.Patches[0].Tensor = "vector" }, codes.InvalidArgument},
		{"dtype it does not merge", func(r *backendpb.StageRequest) {
			f := newAdapter(t, b, "foreign", 4, target{"foreign", 1, tensor.F32, 1, false, 0.1})
			r.Files, r.Patches = f.files, f.patches
		}, codes.InvalidArgument},
		{"factors swapped", func(r *backendpb.StageRequest) { p := r.Patches[0]; p.A, p.B = p.B, p.A }, codes.InvalidArgument},
		{"transposed", func(r *backendpb.StageRequest) { r.Patches[0].FanInFanOut = true }, codes.InvalidArgument},
		{"ranks differ", func(r *backendpb.StageRequest) {
			a := r.Patches[0].A
			a.Shape, a.Length = []int64{3, 40}, 3*40*4
		}, codes.InvalidArgument},
		{"factor of integers", func(r *backendpb.StageRequest) { r.Patches[0].A.Dtype = "I32" }, codes.InvalidArgument},
		{"factor past the end", func(r *backendpb.StageRequest) { r.Patches[0].A.Offset = r.Files[0].Size }, codes.InvalidArgument},
		{"factors overlap in part", func(r *backendpb.StageRequest) { r.Patches[0].B.Offset = r.Patches[0].A.Offset + 4 }, codes.InvalidArgument},
		{"no factor", func(r *backendpb.StageRequest) { r.Patches[0].B = nil }, codes.InvalidArgument},
		{"scale NaN", func(r *backendpb.StageRequest) { r.Patches[0].Scale = math.NaN() }, codes.InvalidArgument},
		{"scale beyond f32", func(r *backendpb.StageRequest) { r.Patches[0].Scale = 1e300 }, codes.InvalidArgument},
		{"generation without a name", func(r *backendpb.StageRequest) { r.Generation = nil }, codes.InvalidArgument},
	} {
		t.Run(c.name, func(t T) {
			req := k.plainAdapter(t, b).request()
			c.spoil(req)
			_, err := drain(client.Stage(t.Context(), req))
			wantCode(t, "Stage", err, c.want)
			if s := currentStatus(t, client); len(s.Generations) != 0 {
				t.Errorf("left behind: %v", s.Generations)
			}
		})
	}
}

func testOverflow(t T, k *kit) {
	client, b := k.start(t), k.plainBase(t)
	load(t, client, b)
	a := k.overflowing(t, b)
	events, err := drain(client.Stage(t.Context(), a.request()))
	wantCode(t, "Stage", err, codes.OutOfRange)
	for _, e := range events {
		if (e.NonFinite > 0) != (e.Tensor == "second") {
			t.Errorf("event %v", e)
		}
	}
	if s := currentStatus(t, client); len(s.Generations) != 0 {
		t.Errorf("left behind: %v", s.Generations)
	}
	_, err = client.Verify(t.Context(), &backendpb.VerifyRequest{Generation: a.generation()})
	wantCode(t, "Verify", err, codes.NotFound)
}

// testStageCanceled cancels after the first tensor of many. Staging may win that race, but an error must have left nothing.
func testStageCanceled(t T, k *kit) {
	client, b := k.start(t), k.wideBase(t)
	a := wideAdapter(t, b)
	load(t, client, b)

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stream, err := client.Stage(ctx, a.request())
	if err != nil {
		t.Fatalf("%v", err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatalf("%v", err)
	}
	cancel()
	_, canceled := drain(stream, nil)
	// A second staging of the same generation waits for the first to be over.
	if events := stage(t, client, a.request()); len(events) != len(a.patches) {
		t.Errorf("after a canceled staging (%v): %d events for %d patches", canceled, len(events), len(a.patches))
	}
	if s := currentStatus(t, client); len(s.Generations) != 1 {
		t.Errorf("status: %v", s)
	}
}

// wideBase is large enough that staging takes a moment: 4 or 8 MiB in eight tensors.
func (k *kit) wideBase(t T) *Base {
	s := newShelf(t, 4)
	values := s.numbers(512*512, 0.1)
	for _, name := range wideNames {
		s.add(0, name, k.dtype(tensor.BF16), []int64{512, 512}, values)
	}
	return &Base{shelf: s, digest: digest("wide"), files: s.write()}
}

var wideNames = []string{"a", "b", "c", "d", "e", "f", "g", "h"}

func wideAdapter(t T, b *Base) *Adapter {
	var targets []target
	for _, name := range wideNames {
		targets = append(targets, target{name, 8, tensor.F32, 1, false, 0.1})
	}
	return newAdapter(t, b, "wide", 5, targets...)
}

func testVerify(t T, k *kit) {
	client, b := k.start(t), k.plainBase(t)
	a := k.plainAdapter(t, b)
	load(t, client, b)
	_, err := client.Verify(t.Context(), &backendpb.VerifyRequest{Generation: a.generation()})
	wantCode(t, "Verify before staging", err, codes.NotFound)
	stage(t, client, a.request())
	checkProbes(t, client, a)
}

// checkProbes wants the reference's digests and products of a staged generation.
func checkProbes(t T, client backendpb.BackendClient, a *Adapter) {
	t.Helper()
	const seed = 0x9e3779b97f4a7c15
	got, err := client.Verify(t.Context(), &backendpb.VerifyRequest{Generation: a.generation(), Seed: seed})
	if err != nil {
		t.Fatalf("%v", err)
	}
	if len(got.Probes) != len(a.patches) {
		t.Fatalf("%d probes of %d tensors", len(got.Probes), len(a.patches))
	}
	for _, probe := range got.Probes {
		i := slices.IndexFunc(a.patches, func(p *backendpb.Patch) bool { return p.Tensor == probe.Tensor })
		if i < 0 {
			t.Errorf("probe of %q", probe.Tensor)
			continue
		}
		row := a.base.tensor(probe.Tensor)
		rows, cols := matrix(row)
		dtype, _ := tensor.ParseDType(row.Dtype)
		want := a.merged(a.patches[i]).bytes
		if sum := sha256.Sum256(want); !bytes.Equal(probe.Sha256, sum[:]) {
			t.Errorf("%s: digest %x, want %x", probe.Tensor, probe.Sha256, sum)
		}
		if x := product(probe.Tensor, want, dtype, rows, cols, seed); !slices.Equal(probe.Product, x) {
			t.Errorf("%s: product %v, want %v", probe.Tensor, probe.Product, x)
		}
	}
}
