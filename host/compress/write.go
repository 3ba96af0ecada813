package compress

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/tenon-ml/tenon/host/adapter"
	"github.com/tenon-ml/tenon/host/durable"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/safetensors"
)

// layout is the new weights' file: its tensors in the order of the old one, and the bytes of each.
type layout struct {
	entries  []safetensors.Entry
	data     [][]byte
	metadata map[string]string
}

// arrange lays the new weights out and measures them.
func (p *Plan) arrange() error {
	type part struct {
		entry safetensors.Entry
		data  []byte
	}
	parts := map[string]part{}
	for _, t := range p.Targets {
		parts[t.pair.A.Name] = part{safetensors.Entry{DType: t.pair.A.DType, Shape: []int{t.Kept, t.pair.A.Shape[1]}}, t.a}
		parts[t.pair.B.Name] = part{safetensors.Entry{DType: t.pair.B.DType, Shape: []int{t.pair.B.Shape[0], t.Kept}}, t.b}
	}
	for _, old := range p.Adapter.Weights.Tensors { // by offset
		made, ok := parts[old.Name]
		if !ok {
			p.Dropped = append(p.Dropped, old.Name)
			continue
		}
		made.entry.Name = old.Name
		p.layout.entries = append(p.layout.entries, made.entry)
		p.layout.data = append(p.layout.data, made.data)
	}
	slices.Sort(p.Dropped)
	p.layout.metadata = maps.Clone(p.Adapter.Weights.Metadata)
	if p.layout.metadata == nil {
		p.layout.metadata = map[string]string{"format": "pt"}
	}
	_, _, size, err := safetensors.Layout(p.layout.entries, p.layout.metadata)
	p.BytesAfter = size
	return err
}

// Write makes the directory out, with a configuration and weights that PEFT reads. Both are written beside out under a temporary name, synced,
// read back as any adapter is, and held against the change they stand for; only then the directory is renamed. out either does not exist or
// is complete. It must not exist before.
func (p *Plan) Write(ctx context.Context, out string) error {
	out, err := filepath.Abs(out)
	if err != nil {
		return fault.New(fault.UsageFlag, "no output directory").In(out).Wrap(err)
	}
	if _, err := os.Lstat(out); err == nil {
		return fault.New(fault.MergeExists, "the output directory exists").In(out).Fix("give a new name; nothing is ever written over")
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fault.New(fault.IOWrite, "the output cannot be looked at").In(out).Wrap(err)
	}
	work, err := os.MkdirTemp(filepath.Dir(out), "."+filepath.Base(out)+".tenon-*")
	if err != nil {
		return fault.New(fault.IOWrite, "the output's parent directory cannot be written").In(filepath.Dir(out)).Wrap(err).Fix("make it first")
	}
	defer os.RemoveAll(work) // after the rename there is nothing left under this name
	if err := p.fill(work); err != nil {
		return err
	}
	if err := p.verify(ctx, work); err != nil {
		return err
	}
	return durable.Publish(work, out)
}

// fill writes both files.
func (p *Plan) fill(work string) error {
	config := slices.Concat(p.config, []byte("\n"))
	err := durable.Create(filepath.Join(work, configName), func(f io.Writer) error {
		_, err := f.Write(config)
		return err
	})
	if err != nil {
		return err
	}
	return durable.Create(filepath.Join(work, weightsName), func(f io.Writer) error {
		w, err := safetensors.NewWriter(f, p.layout.entries, p.layout.metadata)
		if err != nil {
			return err
		}
		for _, data := range p.layout.data {
			if _, err := w.Write(data); err != nil {
				return err
			}
		}
		return w.Close()
	})
}

// verify opens what was written as any adapter is opened.
func (p *Plan) verify(ctx context.Context, work string) error {
	written, err := adapter.Open(work)
	if err != nil {
		return fault.New(fault.MergeMismatch, "what was written does not read back").In(p.Adapter.Ref).Wrap(err).Fix("report this as a fault of Tenon")
	}
	defer written.Close()
	if len(written.Pairs) != len(p.Targets) {
		return p.mismatch("%d modules were written and %d read back", len(p.Targets), len(written.Pairs))
	}
	for i, t := range p.Targets {
		if err := ctx.Err(); err != nil {
			return fault.New(fault.Canceled, "the adapter was not written").In(p.Adapter.Ref).Wrap(err)
		}
		pair := written.Pairs[i]
		if pair.Module != t.Module || pair.Rank != t.Kept || pair.Scale != 1 {
			return p.mismatch("module %s of rank %d reads back as %s of rank %d with scale %v", t.Module, t.Kept, pair.Module, pair.Rank, pair.Scale)
		}
		if err := p.checkChange(t, written, pair); err != nil {
			return err
		}
	}
	return nil
}

func (p *Plan) mismatch(cause string, args ...any) error {
	return fault.New(fault.MergeMismatch, cause, args...).In(p.Adapter.Ref).Fix("report this as a fault of Tenon")
}
