package pickle

import (
	"cmp"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tenon-ml/tenon/host/durable"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/reference"
	"github.com/tenon-ml/tenon/host/safetensors"
)

// Summary is what a conversion wrote.
type Summary struct {
	Out     string // the file or directory
	Tensors int
	Bytes   int64 // of all tensors
	Shared  int   // storages that more than one tensor lay in; each tensor has its own bytes now
	Config  bool  // a configuration was copied
}

// The files of a PEFT directory, and what the weights of older ones are called.
const (
	configName    = "adapter_config.json"
	weightsName   = "adapter_model.safetensors"
	olderName     = "adapter_model.bin"
	maxConfig     = 1 << 20
	extension     = ".safetensors"
	remedyOutName = "give --out FILE.safetensors for the weights alone, or put " + configName + " beside the file"
)

// Convert writes the tensors of a PyTorch file as safetensors, without running the pickle in it. in is the file, or a PEFT directory that holds
// adapter_model.bin. An out that ends in .safetensors is a file; any other is a directory, with adapter_model.safetensors and the
// adapter_config.json that lies beside the file. out must not exist; it comes into being complete or not at all. Errors are *fault.Error, or
// a fault.List.
func Convert(in, out string) (Summary, error) {
	f, path, err := openInput(in)
	if err != nil {
		return Summary{}, err
	}
	defer f.Close()
	before, err := f.Stat()
	if err != nil {
		return Summary{}, fault.New(fault.IORead, "its attributes cannot be read").In(path).Wrap(reference.Bare(err)).Fix("check the disk")
	}
	c, err := Read(path, f, before.Size(), DefaultLimits)
	if err != nil {
		return Summary{}, err
	}
	defer c.Close()
	if len(c.Tensors) == 0 {
		return Summary{}, fault.New(fault.ADNoEffect, "the state dict is empty").In(path).Fix("give the file that holds the weights")
	}
	whole := func() error {
		if after, err := f.Stat(); err != nil || after.Size() != before.Size() || !after.ModTime().Equal(before.ModTime()) {
			return fault.New(fault.STChanged, "the file was written to while it was read").In(path).Wrap(err).Fix("use a file that nobody is writing")
		}
		return nil
	}
	s := c.summary(out)
	if strings.EqualFold(filepath.Ext(out), extension) {
		return s, c.writeFile(out, whole)
	}
	config, err := readConfig(filepath.Dir(path))
	if err != nil {
		return Summary{}, err
	}
	s.Config = true
	return s, c.writeDirectory(out, config, whole)
}

// openInput opens the file, or the older weights of a directory.
func openInput(in string) (*os.File, string, error) {
	path := in
	if info, err := os.Stat(in); err == nil && info.IsDir() {
		path = filepath.Join(in, olderName)
	}
	f, err := reference.OpenRegular(path, true)
	return f, path, err
}

// readConfig reads the configuration beside the weights.
func readConfig(dir string) ([]byte, error) {
	path := filepath.Join(dir, configName)
	f, err := reference.OpenRegular(path, true)
	if err != nil {
		if e, ok := errors.AsType[*fault.Error](err); ok && e.Code == fault.IONotFound {
			e.Fix(remedyOutName)
		}
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
	if err != nil {
		return nil, fault.New(fault.IORead, "it cannot be read").In(path).Wrap(reference.Bare(err)).Fix("check the disk")
	}
	if len(text) > maxConfig {
		return nil, fault.New(fault.ADConfig, "the file has more than %d bytes", maxConfig).In(path).Fix("give the file that PEFT saved")
	}
	return text, nil
}

func (c *Checkpoint) summary(out string) Summary {
	s := Summary{Out: out, Tensors: len(c.Tensors)}
	users := map[string]int{}
	for _, t := range c.Tensors {
		s.Bytes += t.view.count() * int64(t.DType.Size())
		if users[t.view.key]++; users[t.view.key] == 2 {
			s.Shared++
		}
	}
	return s
}

// write writes all tensors as a safetensors file: the widest elements first, so that all are aligned, then by name.
func (c *Checkpoint) write(w io.Writer) error {
	tensors := slices.Clone(c.Tensors)
	slices.SortStableFunc(tensors, func(x, y Tensor) int { return cmp.Compare(y.DType.Size(), x.DType.Size()) })
	entries := make([]safetensors.Entry, len(tensors))
	for i, t := range tensors {
		entries[i] = safetensors.Entry{Name: t.Name, DType: t.DType, Shape: t.Shape}
	}
	out, err := safetensors.NewWriter(w, entries, map[string]string{"format": "pt"})
	if err != nil {
		return err
	}
	for _, t := range tensors {
		if err := c.WriteTo(out, t); err != nil {
			return err
		}
	}
	return out.Close()
}

// writeFile writes a single file.
func (c *Checkpoint) writeFile(out string, whole func() error) error {
	return c.publish(out, func(work string) (string, error) {
		path := filepath.Join(work, filepath.Base(out))
		return path, errors.Join(durable.Create(path, c.write), whole())
	})
}

// writeDirectory writes a PEFT directory.
func (c *Checkpoint) writeDirectory(out string, config []byte, whole func() error) error {
	return c.publish(out, func(work string) (string, error) {
		err := durable.Create(filepath.Join(work, configName), func(w io.Writer) error {
			_, err := w.Write(config)
			return err
		})
		if err != nil {
			return work, err
		}
		return work, errors.Join(durable.Create(filepath.Join(work, weightsName), c.write), whole())
	})
}

// publish has something made in a directory of its own beside out, and puts what that names into out's place.
func (c *Checkpoint) publish(out string, fill func(work string) (string, error)) error {
	out, err := filepath.Abs(out)
	if err != nil {
		return fault.New(fault.UsageFlag, "no name for the output").In(out).Wrap(err)
	}
	if _, err := os.Lstat(out); err == nil {
		return fault.New(fault.MergeExists, "the output exists").In(out).Fix("give a new name; nothing is ever written over")
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fault.New(fault.IOWrite, "the output cannot be looked at").In(out).Wrap(reference.Bare(err)).Fix("check its directory")
	}
	work, err := os.MkdirTemp(filepath.Dir(out), "."+filepath.Base(out)+".tenon-*")
	if err != nil {
		return fault.New(fault.IOWrite, "the output's directory cannot be written").In(filepath.Dir(out)).Wrap(reference.Bare(err)).Fix("make it first")
	}
	defer os.RemoveAll(work)
	made, err := fill(work)
	if err != nil {
		return err
	}
	if made == work {
		return durable.Publish(work, out)
	}
	if err := os.Link(made, out); err != nil { // unlike a rename it never takes the place of what somebody made meanwhile
		if errors.Is(err, fs.ErrExist) {
			return fault.New(fault.MergeExists, "somebody made the output meanwhile").In(out).Fix("give a new name; nothing is ever written over")
		}
		return durable.Fault(out, err)
	}
	return durable.SyncDir(filepath.Dir(out))
}
