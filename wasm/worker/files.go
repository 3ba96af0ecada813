package worker

import (
	"fmt"
	"io"
	"os"

	"github.com/tenon-ml/tenon/sdk/tensor"
	"github.com/tenon-ml/tenon/wasm/sandbox"
)

// fileTable collects the open files of a job and replaces each Ref.File by an index into them.
type fileTable struct {
	files []*os.File
	index map[*os.File]int
	err   error
}

func (f *fileTable) target(t *sandbox.Target) *target {
	if t == nil {
		return nil
	}
	return &target{
		Name: t.Name, Rank: t.Rank, In: t.In, Out: t.Out, Scale: bitsOf(t.Scale), Alpha: bitsOf(t.Alpha),
		FanInFanOut: t.FanInFanOut, RsLoRA: t.RsLoRA,
		A: f.ref(t.A), B: f.ref(t.B), Base: f.ref(t.Base), U: f.ref(t.BaseSVD.U), S: f.ref(t.BaseSVD.S), V: f.ref(t.BaseSVD.V),
	}
}

// ref returns nil for a source that is not there.
func (f *fileTable) ref(s sandbox.Source) *tensor.Ref {
	if !s.Present() {
		return nil
	}
	file, err := osFile(s.Reader)
	if err != nil {
		if f.err == nil {
			f.err = fmt.Errorf("tensor %s: %w", s.Name, err)
		}
		return nil
	}
	index, known := f.index[file]
	if !known {
		if f.index == nil {
			f.index = map[*os.File]int{}
		}
		index = len(f.files)
		f.index[file] = index
		f.files = append(f.files, file)
	}
	ref := s.Ref
	ref.File = index
	return &ref
}

// osFile finds the open file behind a reader.
func osFile(r io.ReaderAt) (file *os.File, err error) {
	switch r := r.(type) {
	case *os.File:
		file = r
	case interface{ Os() *os.File }:
		file = r.Os()
	case interface{ OpenOs() (*os.File, error) }:
		file, err = r.OpenOs()
	}
	if file == nil && err == nil {
		err = errNotAFile
	}
	return file, err
}

// input rebuilds the sandbox's input in the worker, which has received the files.
func (q request) input(files []*os.File) (sandbox.Input, error) {
	in := sandbox.Input{Attrs: q.Attrs, Params: map[string]float64{}}
	for name, value := range q.Params {
		in.Params[name] = value.float()
	}
	in.Bank = q.Bank.rebuild()
	for _, t := range q.Targets {
		rebuilt, err := t.rebuild(files)
		if err != nil {
			return in, err
		}
		in.Targets = append(in.Targets, *rebuilt)
	}
	for _, p := range q.Peers {
		rebuilt := sandbox.Peer{Name: p.Name}
		for _, t := range p.Targets {
			if t == nil {
				rebuilt.Targets = append(rebuilt.Targets, nil)
				continue
			}
			of, err := t.rebuild(files)
			if err != nil {
				return in, err
			}
			rebuilt.Targets = append(rebuilt.Targets, of)
		}
		in.Peers = append(in.Peers, rebuilt)
	}
	return in, nil
}

func (t *target) rebuild(files []*os.File) (*sandbox.Target, error) {
	if t == nil {
		return nil, fmt.Errorf("a target is missing")
	}
	var err error
	source := func(ref *tensor.Ref) sandbox.Source {
		if ref == nil {
			return sandbox.Source{}
		}
		if ref.File < 0 || ref.File >= len(files) {
			err = fmt.Errorf("tensor %s lies in file %d of %d", ref.Name, ref.File, len(files))
			return sandbox.Source{}
		}
		return sandbox.Source{Ref: *ref, Reader: files[ref.File]}
	}
	rebuilt := &sandbox.Target{
		Name: t.Name, Rank: t.Rank, In: t.In, Out: t.Out, Scale: t.Scale.float(), Alpha: t.Alpha.float(),
		FanInFanOut: t.FanInFanOut, RsLoRA: t.RsLoRA,
		A: source(t.A), B: source(t.B), Base: source(t.Base),
		BaseSVD: sandbox.BaseSVD{U: source(t.U), S: source(t.S), V: source(t.V)},
	}
	return rebuilt, err
}
