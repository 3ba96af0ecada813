package merge

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/host/durable"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/report"
	"github.com/tenon-ml/tenon/host/safetensors"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// Write merges into a new checkpoint directory: same shards, tensor order, dtypes and metadata as the base, the base's other files, and a
// receipt. Everything is written beside out under a temporary name, synced, read back and verified, and only then renamed: out either
// does not exist or is complete. out must not exist.
func (p *Plan) Write(ctx context.Context, client backendpb.BackendClient, out string, gate ReceiptGate) (*Receipt, error) {
	out, err := filepath.Abs(out)
	if err != nil {
		return nil, fault.New(fault.UsageFlag, "no output directory").In(out).Wrap(err)
	}
	if err := p.checkRoom(out); err != nil {
		return nil, err
	}
	work, err := os.MkdirTemp(filepath.Dir(out), "."+filepath.Base(out)+".tenon-*")
	if err != nil {
		return nil, fault.New(fault.IOWrite, "the output's parent directory cannot be written").In(filepath.Dir(out)).Wrap(err)
	}
	defer os.RemoveAll(work) // after the rename there is nothing left under this name
	receipt, err := p.fill(ctx, client, work, gate)
	if err != nil {
		return nil, err
	}
	if err := durable.Publish(work, out); err != nil {
		return nil, err
	}
	return receipt, nil
}

// checkRoom refuses what can be known to fail before a byte is written.
func (p *Plan) checkRoom(out string) error {
	if _, err := os.Lstat(out); err == nil {
		return fault.New(fault.MergeExists, "the output directory exists").In(out).Fix("give a new name; nothing is ever merged over")
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fault.New(fault.IOWrite, "the output cannot be looked at").In(out).Wrap(err)
	}
	var need int64
	for _, f := range p.Base.Files {
		need += f.Size
	}
	for _, s := range p.Base.Shards {
		need += s.Size
	}
	var disk syscall.Statfs_t
	if err := syscall.Statfs(filepath.Dir(out), &disk); err != nil {
		return fault.New(fault.IONotFound, "the output's parent directory cannot be used").In(filepath.Dir(out)).Wrap(err).Fix("make it first")
	}
	if free := int64(disk.Bavail) * int64(disk.Bsize); free < need {
		return fault.New(fault.IOSpace, "the merged checkpoint needs %d bytes and %d are free", need, free).In(filepath.Dir(out)).Fix("free some space, or choose another disk")
	}
	return nil
}

// fill writes, verifies and lists everything in the working directory.
func (p *Plan) fill(ctx context.Context, client backendpb.BackendClient, work string, gate ReceiptGate) (*Receipt, error) {
	shards := make([]shard, len(p.Base.Shards))
	for i := range shards {
		var err error
		if shards[i], err = p.layout(work, i); err != nil {
			return nil, err
		}
	}
	digests, counts, err := p.mergeInto(ctx, client, shards)
	if err != nil {
		return nil, err
	}
	for i := range shards {
		if err := p.copyUntouched(ctx, i, shards[i]); err != nil {
			return nil, err
		}
	}
	receipt := &Receipt{
		SchemaVersion: ReceiptSchema, Rule: Rule, Generation: DigestString(p.Digest), Gate: gate,
		Base:     ReceiptBase{p.Base.Ref, DigestString(p.Base.Digest)},
		Adapters: []ReceiptAdapter{{p.Adapter.Ref, DigestString(p.Adapter.Digest), report.Number(p.Multiplier)}},
	}
	content, err := p.contentDigest(digests)
	if err != nil {
		return nil, err
	}
	receipt.Content = DigestString(content)
	if err := p.list(ctx, work, shards, digests, counts, receipt); err != nil {
		return nil, err
	}
	text, err := receipt.Marshal()
	if err != nil {
		return nil, err
	}
	return receipt, writeText(filepath.Join(work, ReceiptName), text)
}

// shard is one output file: its header is written, its data is as long as it will be.
type shard struct {
	path string
	refs []tensor.Ref // in the order of the base's shard
}

// layout creates an output shard with the base shard's tensors and metadata.
func (p *Plan) layout(work string, index int) (shard, error) {
	source := p.Base.Shards[index]
	entries := make([]safetensors.Entry, len(source.Tensors))
	for i, t := range source.Tensors {
		entries[i] = safetensors.Entry{Name: t.Name, DType: t.DType, Shape: t.Shape}
	}
	header, refs, size, err := safetensors.Layout(entries, source.Metadata)
	if err != nil {
		return shard{}, err
	}
	s := shard{path: filepath.Join(work, source.Name), refs: refs}
	if err := os.MkdirAll(filepath.Dir(s.path), 0o755); err != nil {
		return shard{}, durable.Fault(s.path, err)
	}
	if err := os.WriteFile(s.path, header, 0o644); err != nil {
		return shard{}, durable.Fault(s.path, err)
	}
	if err := os.Truncate(s.path, size); err != nil {
		return shard{}, durable.Fault(s.path, err)
	}
	return s, nil
}

// mergeInto has the backend write every planned tensor, and checks what it wrote from the file itself.
func (p *Plan) mergeInto(ctx context.Context, client backendpb.BackendClient, shards []shard) (Digests, map[string]int64, error) {
	request := &backendpb.MergeRequest{Inputs: p.Base.BackendFiles()}
	factors := int32(len(request.Inputs))
	request.Inputs = append(request.Inputs, backendFile(p.Adapter.Weights))
	outputs := map[string]output{}
	for i, s := range shards {
		size := s.refs[len(s.refs)-1].Offset + s.refs[len(s.refs)-1].Length
		request.Outputs = append(request.Outputs, &backendpb.File{Path: s.path, Size: size})
		for _, ref := range s.refs {
			outputs[ref.Name] = output{ref, i}
		}
	}
	for _, item := range p.Items {
		merged := outputs[item.Name]
		request.Tensors = append(request.Tensors, &backendpb.Output{
			Base: backendTensor(item.Base.Ref, int32(item.Base.File)), Patch: item.patch(factors), Merged: backendTensor(merged.Ref, int32(merged.shard)),
		})
	}
	stream, err := client.Merge(ctx, request)
	if err != nil {
		return nil, nil, err
	}
	counts := map[string]int64{}
	digests, _, err := p.collect(func() (*backendpb.MergeEvent, error) {
		event, err := stream.Recv()
		if err == nil {
			counts[event.Tensor] = event.Changed
		}
		return event, err
	})
	if err != nil {
		return nil, nil, err
	}
	return digests, counts, p.verifyOutputs(ctx, shards, outputs, digests)
}

type output struct {
	tensor.Ref
	shard int
}

// copyUntouched copies the base's bytes of every tensor no delta touches, and syncs the shard.
func (p *Plan) copyUntouched(ctx context.Context, index int, s shard) error {
	planned := map[string]bool{}
	for _, item := range p.Items {
		planned[item.Name] = true
	}
	f, err := os.OpenFile(s.path, os.O_WRONLY, 0)
	if err != nil {
		return durable.Fault(s.path, err)
	}
	defer f.Close()
	source := p.Base.Shards[index]
	for i, t := range source.Tensors {
		if planned[t.Name] {
			continue
		}
		section := io.NewSectionReader(source.Os(), t.Offset, t.Length)
		if n, err := io.Copy(io.NewOffsetWriter(f, s.refs[i].Offset), contextReader{ctx, section}); err != nil || n != t.Length {
			return fault.New(fault.IOWrite, "copied %d of %d bytes", n, t.Length).In(s.path).Of(t.Name).Wrap(err)
		}
	}
	if err := f.Sync(); err != nil {
		return durable.Fault(s.path, err)
	}
	return f.Close()
}

func backendTensor(ref tensor.Ref, file int32) *backendpb.Tensor {
	shape := make([]int64, len(ref.Shape))
	for i, d := range ref.Shape {
		shape[i] = int64(d)
	}
	return &backendpb.Tensor{Name: ref.Name, Dtype: ref.DType.String(), Shape: shape, File: file, Offset: ref.Offset, Length: ref.Length}
}

// copyFile carries over one of the base's other files, holding its bytes against the digest it was opened with.
func copyFile(f base.File, path string) error {
	text, err := os.ReadFile(f.Path)
	if err != nil {
		return fault.New(fault.IORead, "it cannot be read").In(f.Path).Wrap(err)
	}
	h := newDigest()
	h.Write(text)
	if [32]byte(h.Sum(nil)) != f.SHA256 {
		return fault.New(fault.STChanged, "the file changed while the base was open").In(f.Path).Fix("merge again")
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return durable.Fault(path, err)
	}
	return writeText(path, text)
}

func writeText(path string, text []byte) error {
	return durable.Create(path, func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	})
}
