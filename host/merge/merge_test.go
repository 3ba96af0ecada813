package merge_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"io"
	"math"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/tenon-ml/tenon/host/adapter"
	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/merge"
	"github.com/tenon-ml/tenon/plugins/cpu"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

const restaurant = "../../examples/restaurant"

// newPlan plans the merge of the example.
func newPlan(t *testing.T, multiplier float64) *merge.Plan {
	t.Helper()
	b, err := base.Open(filepath.Join(restaurant, "base"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	binding, err := adapter.Load(filepath.Join(restaurant, "adapter"), b)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { binding.Adapter.Close() })
	p, err := merge.NewPlan(binding, multiplier)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// newClient is the CPU backend in this process, with the base loaded.
func newClient(t testing.TB, p *merge.Plan) backendpb.BackendClient {
	t.Helper()
	listener := bufconn.Listen(1 << 20)
	server := grpc.NewServer()
	backendpb.RegisterBackendServer(server, cpu.New(cpu.Options{}))
	go server.Serve(listener)
	t.Cleanup(server.Stop)
	connection, err := grpc.NewClient("passthrough:///cpu", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { connection.Close() })
	client := backendpb.NewBackendClient(connection)
	_, err = client.LoadBase(t.Context(), &backendpb.LoadBaseRequest{Digest: p.Base.Digest[:], Files: p.Base.BackendFiles(), Tensors: p.Base.BackendTensors()})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// liar is a backend that tells something else than it did.
type liar struct {
	backendpb.BackendClient
	events   func([]*backendpb.MergeEvent) []*backendpb.MergeEvent
	verified func(*backendpb.VerifyResponse)
	written  func(*backendpb.MergeRequest) // after the merge
	released int
}

// events is a stream that has been read to its end.
type events struct {
	grpc.ServerStreamingClient[backendpb.MergeEvent]
	list []*backendpb.MergeEvent
}

func (e *events) Recv() (*backendpb.MergeEvent, error) {
	if len(e.list) == 0 {
		return nil, io.EOF
	}
	event := e.list[0]
	e.list = e.list[1:]
	return event, nil
}

func (l *liar) distort(stream grpc.ServerStreamingClient[backendpb.MergeEvent], err error) (grpc.ServerStreamingClient[backendpb.MergeEvent], error) {
	if err != nil {
		return nil, err
	}
	var list []*backendpb.MergeEvent
	for {
		event, err := stream.Recv()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		list = append(list, event)
	}
	if l.events != nil {
		list = l.events(list)
	}
	return &events{list: list}, nil
}

func (l *liar) Stage(ctx context.Context, in *backendpb.StageRequest, opts ...grpc.CallOption) (grpc.ServerStreamingClient[backendpb.MergeEvent], error) {
	return l.distort(l.BackendClient.Stage(ctx, in, opts...))
}

func (l *liar) Merge(ctx context.Context, in *backendpb.MergeRequest, opts ...grpc.CallOption) (grpc.ServerStreamingClient[backendpb.MergeEvent], error) {
	stream, err := l.distort(l.BackendClient.Merge(ctx, in, opts...))
	if err == nil && l.written != nil {
		l.written(in)
	}
	return stream, err
}

func (l *liar) Verify(ctx context.Context, in *backendpb.VerifyRequest, opts ...grpc.CallOption) (*backendpb.VerifyResponse, error) {
	response, err := l.BackendClient.Verify(ctx, in, opts...)
	if err == nil && l.verified != nil {
		l.verified(response)
	}
	return response, err
}

func (l *liar) Release(ctx context.Context, in *backendpb.ReleaseRequest, opts ...grpc.CallOption) (*backendpb.ReleaseResponse, error) {
	l.released++
	return l.BackendClient.Release(ctx, in, opts...)
}

func TestStage(t *testing.T) {
	p := newPlan(t, 1)
	client := newClient(t, p)
	first, err := p.Stage(t.Context(), client)
	if err != nil {
		t.Fatal(err)
	}
	again, err := p.Stage(t.Context(), client)
	if err != nil {
		t.Fatal(err)
	}
	if first.Content != again.Content || len(first.Digests) != 42 || first.Changed == 0 {
		t.Errorf("staged %x and %x, %d tensors, %d entries changed", first.Content, again.Content, len(first.Digests), first.Changed)
	}
	if half := newPlan(t, .5); half.Digest == p.Digest {
		t.Error("another scale has the same plan")
	}
}

// TestLyingBackends stages with backends that got something wrong, or pretend.
func TestLyingBackends(t *testing.T) {
	p := newPlan(t, 1)
	client := newClient(t, p)
	honest, err := p.Stage(t.Context(), client)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		liar liar
		want fault.Code
	}{
		{"leaves a tensor out", liar{events: func(e []*backendpb.MergeEvent) []*backendpb.MergeEvent { return e[1:] }}, fault.MergeMismatch},
		{"reports one twice", liar{events: func(e []*backendpb.MergeEvent) []*backendpb.MergeEvent { return append(e, e[0]) }}, fault.MergeMismatch},
		{"reports one nobody asked for", liar{events: func(e []*backendpb.MergeEvent) []*backendpb.MergeEvent {
			return append(e, &backendpb.MergeEvent{Tensor: "model.norm.weight", Sha256: e[0].Sha256})
		}}, fault.MergeMismatch},
		{"gives no digest", liar{events: func(e []*backendpb.MergeEvent) []*backendpb.MergeEvent { e[0].Sha256 = nil; return e }}, fault.MergeMismatch},
		{"gives another digest", liar{events: func(e []*backendpb.MergeEvent) []*backendpb.MergeEvent { e[0].Sha256[0]++; return e }}, fault.MergeMismatch},
		{"overflowed", liar{events: func(e []*backendpb.MergeEvent) []*backendpb.MergeEvent { e[0].NonFinite = 3; return e }}, fault.ADOverflowOnMerge},
		{"changed nothing", liar{events: func(e []*backendpb.MergeEvent) []*backendpb.MergeEvent {
			for _, event := range e {
				event.Changed = 0
			}
			return e
		}}, fault.ADNoEffect},
		{"verifies one tensor less", liar{verified: func(r *backendpb.VerifyResponse) { r.Probes = r.Probes[1:] }}, fault.MergeMismatch},
		{"gives a short product", liar{verified: func(r *backendpb.VerifyResponse) { r.Probes[3].Product = r.Probes[3].Product[1:] }}, fault.MergeMismatch},
		{"did not add the delta", liar{verified: func(r *backendpb.VerifyResponse) { r.Probes[5].Product = make([]float64, len(r.Probes[5].Product)) }}, fault.MergeMismatch},
		{"gives NaN", liar{verified: func(r *backendpb.VerifyResponse) { r.Probes[5].Product[0] = math.NaN() }}, fault.MergeMismatch},
		{"rounds one value in another way", liar{verified: func(r *backendpb.VerifyResponse) {
			r.Probes[7].Product[0] += 0x1p-12 // one unit of a small weight: no bound over a row could see it
		}}, fault.MergeMismatch},
		{"hashes other bytes, twice the same", liar{
			events:   func(e []*backendpb.MergeEvent) []*backendpb.MergeEvent { e[0].Sha256[0]++; return e },
			verified: func(r *backendpb.VerifyResponse) { r.Probes[0].Sha256[0]++ },
		}, fault.MergeMismatch},
		{"counts one change more", liar{events: func(e []*backendpb.MergeEvent) []*backendpb.MergeEvent { e[0].Changed++; return e }}, fault.MergeMismatch},
	} {
		t.Run(c.name, func(t *testing.T) {
			lying := c.liar
			lying.BackendClient = client
			_, err := p.Stage(t.Context(), &lying)
			if list := fault.All(err); len(list) == 0 || list[0].Code != c.want {
				t.Errorf("got %v, want %s", err, c.want)
			}
			if lying.verified != nil && lying.released != 1 {
				t.Errorf("released %d times, want once: what did not verify must not stay", lying.released)
			}
		})
	}
	if again, err := p.Stage(t.Context(), client); err != nil || again.Content != honest.Content {
		t.Errorf("after all that an honest backend stages %v", err)
	}
}

// TestWriteChecksTheFiles merges to disk with a backend that damages what it wrote: nothing appears.
func TestWriteChecksTheFiles(t *testing.T) {
	p := newPlan(t, 1)
	client := newClient(t, p)
	dir := t.TempDir()
	for _, c := range []struct {
		name    string
		written func(*backendpb.MergeRequest)
	}{
		{"a bit of a merged tensor", func(r *backendpb.MergeRequest) { flip(t, r.Outputs[0].Path, r.Tensors[4].Merged.Offset+9) }},
		{"the header", func(r *backendpb.MergeRequest) { flip(t, r.Outputs[0].Path, 20) }},
		{"the whole file", func(r *backendpb.MergeRequest) { os.Truncate(r.Outputs[0].Path, 100) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := filepath.Join(dir, "merged")
			if _, err := p.Write(t.Context(), &liar{BackendClient: client, written: c.written}, merge.Output{Gate: admitted, Dir: out}); err == nil {
				t.Error("it was accepted")
			}
			if left, _ := os.ReadDir(dir); len(left) != 0 {
				t.Errorf("%v was left behind", left)
			}
		})
	}
}

func flip(t *testing.T, path string, offset int64) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text[offset] ^= 4
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestWriteAndStageAgree merges to disk what was also staged, and reads the result as a stranger would.
func TestWriteAndStageAgree(t *testing.T) {
	p := newPlan(t, 1)
	client := newClient(t, p)
	staged, err := p.Stage(t.Context(), client)
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "merged")
	receipt, err := p.Write(t.Context(), client, merge.Output{Gate: admitted, Dir: out})
	if err != nil {
		t.Fatal(err)
	}
	if receipt.Content != merge.DigestString(staged.Content) {
		t.Errorf("on disk %s, in memory %s", receipt.Content, merge.DigestString(staged.Content))
	}
	if _, err := merge.Verify(t.Context(), out); err != nil {
		t.Error(err)
	}
	file, err := os.ReadFile(filepath.Join(out, "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	for name, sum := range staged.Digests {
		if got := sha256.Sum256(tensorBytes(t, file, name)); got != sum {
			t.Errorf("%s hashes to %x, want %x", name, got, sum)
		}
	}
	merged, err := base.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	defer merged.Close()
	if err := merged.Servable(); err != nil {
		t.Errorf("the merged checkpoint cannot be served: %v", err)
	}
	if merged.Digest == p.Base.Digest {
		t.Error("the merged checkpoint has the base's digest")
	}
}

// tensorBytes reads a tensor by the format's definition, without the reader under test.
func tensorBytes(t *testing.T, file []byte, name string) []byte {
	t.Helper()
	length := int(file[0]) | int(file[1])<<8 | int(file[2])<<16 | int(file[3])<<24
	var header map[string]struct {
		Offsets [2]int `json:"data_offsets"`
	}
	decoder := json.NewDecoder(bytes.NewReader(file[8 : 8+length]))
	if err := decoder.Decode(&header); err != nil {
		t.Fatal(err)
	}
	at := header[name].Offsets
	return file[8+length+at[0] : 8+length+at[1]]
}

func TestVerifyRefuses(t *testing.T) {
	p := newPlan(t, 1)
	client := newClient(t, p)
	out := filepath.Join(t.TempDir(), "merged")
	if _, err := p.Write(t.Context(), client, merge.Output{Gate: admitted, Dir: out}); err != nil {
		t.Fatal(err)
	}
	original, err := os.ReadFile(filepath.Join(out, merge.ReceiptName))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name     string
		old, new string
		want     fault.Code
	}{
		{"another schema", merge.ReceiptSchema, "tenon.receipt/v9", fault.ReceiptBad},
		{"a path that leaves", `"name": "config.json"`, `"name": "../config.json"`, fault.ReceiptBad},
		{"a file twice", `"name": "config.json"`, `"name": "tokenizer.json"`, fault.ReceiptBad},
		{"a tensor of no file", `"file": "model.safetensors"`, `"file": "other.safetensors"`, fault.ReceiptBad},
		{"a shard with a digest", `"headerSha256"`, `"sha256"`, fault.ReceiptBad},
		{"a file with both digests", `"headerSha256"`, `"sha256": "00", "headerSha256"`, fault.ReceiptBad},
		{"a tensor twice", `"name": "model.norm.weight"`, `"name": "model.embed_tokens.weight"`, fault.ReceiptBad},
		{"an unknown key", `"rule"`, `"ruse"`, fault.ReceiptBad},
		{"a duplicate key", `"rule"`, `"schemaVersion": "tenon.receipt/v1", "rule"`, fault.ReceiptBad},
		{"not JSON", `{`, `[`, fault.ReceiptBad},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := bytes.Replace(original, []byte(c.old), []byte(c.new), 1)
			if bytes.Equal(text, original) {
				t.Fatalf("the receipt has no %s", c.old)
			}
			if err := os.WriteFile(filepath.Join(out, merge.ReceiptName), text, 0o644); err != nil {
				t.Fatal(err)
			}
			_, err := merge.Verify(t.Context(), out)
			if list := fault.All(err); !slices.ContainsFunc(list, func(e *fault.Error) bool { return e.Code == c.want }) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

func TestPlanRefusesScales(t *testing.T) {
	p := newPlan(t, 1)
	binding, err := p.Adapter.Bind(p.Base)
	if err != nil {
		t.Fatal(err)
	}
	for _, scale := range []float64{0, math.NaN(), math.Inf(1)} {
		if _, err := merge.NewPlan(binding, scale); fault.ClassOf(err) != fault.Usage {
			t.Errorf("scale %v: %v", scale, err)
		}
	}
}
