package convert

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/tenon-ml/tenon/host/adapter"
	"github.com/tenon-ml/tenon/host/durable"
	"github.com/tenon-ml/tenon/host/fault"
)

// Write makes out: the file of a GGUF adapter, or the directory of a PEFT adapter. It is written beside out under a temporary name, synced, read
// back as any adapter is and held against the plan; only then it appears as out. out either does not exist or is complete, and must not exist
// before.
func (p *Plan) Write(ctx context.Context, out string) error {
	out, err := filepath.Abs(out)
	if err != nil {
		return fault.New(fault.UsageFlag, "the output is no path").In(out).Wrap(err)
	}
	if _, err := os.Lstat(out); err == nil {
		return exists(out, nil)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fault.New(fault.IOWrite, "the output cannot be looked at").In(out).Wrap(err)
	}
	work, err := os.MkdirTemp(filepath.Dir(out), "."+filepath.Base(out)+".tenon-*")
	if err != nil {
		return fault.New(fault.IOWrite, "the output's parent directory cannot be written").In(filepath.Dir(out)).Wrap(err).Fix("make it first")
	}
	defer os.RemoveAll(work) // and what it still holds
	made := filepath.Join(work, "adapter")
	if err := p.form.write(p, made); err != nil {
		return err
	}
	if err := p.form.verify(p, made); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return fault.New(fault.Canceled, "the adapter was not written").In(p.source.Ref).Wrap(err)
	}
	if p.To == adapter.FormatPEFT {
		return durable.Publish(made, out)
	}
	return publishFile(made, out)
}

func exists(out string, err error) error {
	return fault.New(fault.MergeExists, "the output exists").In(out).Wrap(err).Fix("give a new name; nothing is ever written over")
}

// publishFile makes a finished file appear as out in one step, and never in the place of another.
func publishFile(made, out string) error {
	err := os.Link(made, out)
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOTSUP) { // a file system without links
		if _, statErr := os.Lstat(out); statErr == nil {
			return exists(out, nil)
		}
		err = os.Rename(made, out)
	}
	switch {
	case errors.Is(err, fs.ErrExist):
		return exists(out, err)
	case err != nil:
		return durable.Fault(out, err)
	}
	return durable.SyncDir(filepath.Dir(out))
}
