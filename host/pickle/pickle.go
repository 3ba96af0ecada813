// Package pickle reads the tensors of PyTorch's checkpoint files (.bin, .pt, .pth) without running them. A pickle is a program: who loads one
// runs whatever its maker wrote. This package interprets the few opcodes and names that state dicts are written with, as data, and refuses
// everything else by name and place. Nothing is imported, called or looked up.
//
// The formats are those of CPython's pickletools (protocols 2 to 5) and of torch.save since PyTorch 1.6: a zip archive of data.pkl and one file
// for each storage.
package pickle

import (
	"cmp"
	"io"
	"slices"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// Limits bound what a checkpoint may make of the machine.
type Limits struct {
	PickleBytes int64 // of data.pkl
	Values      int   // that the pickle builds
	Stack       int
	Tensors     int
	Bytes       int64 // of all tensors, written out
	Entries     int   // of the zip archive
}

// DefaultLimits allow what an adapter may be.
var DefaultLimits = Limits{PickleBytes: 16 << 20, Values: 4 << 20, Stack: 1 << 20, Tensors: 65_536, Bytes: 2 << 30, Entries: 65_536}

// remedyStrange is what to do about a pickle that is more than tensors.
const remedyStrange = "do not load this file: ask for the weights as safetensors, or for a state dict of tensors only"

// Tensor is one tensor of a checkpoint.
type Tensor struct {
	Name  string
	DType tensor.DType
	Shape []int
	view  strided
}

// Checkpoint is an open file and the tensors in it. Whoever opened it closes it.
type Checkpoint struct {
	Name    string
	Tensors []Tensor // by name
	archive *archive
}

// Read reads what tensors a checkpoint holds. The name is what errors call it; they are *fault.Error, or a fault.List. The caller keeps f open
// until Close, and nobody may write to it: a private copy is best.
func Read(name string, f io.ReaderAt, size int64, limits Limits) (*Checkpoint, error) {
	a, err := openArchive(name, f, size, limits)
	if err != nil {
		return nil, err
	}
	text, err := a.pickle()
	if err != nil {
		return nil, err
	}
	m := &machine{name: name + "!/" + a.root + pickleName, text: text, limits: limits}
	top, err := m.run()
	if err != nil {
		return nil, err
	}
	c := &Checkpoint{Name: name, archive: a}
	if err := c.take(m.name, top, limits); err != nil {
		return nil, err
	}
	return c, nil
}

// take makes tensors of the state dict.
func (c *Checkpoint) take(name string, top any, limits Limits) error {
	state, isDict := top.(*dict)
	if !isDict {
		return fault.New(fault.ADPickle, "the file holds %s, not a state dict", kindOf(top)).In(name).Fix(remedyState)
	}
	if len(state.keys) > limits.Tensors {
		return fault.New(fault.STTooMany, "the state dict has %d entries; the limit is %d", len(state.keys), limits.Tensors).In(name).Fix(remedyState)
	}
	var wrong fault.List
	seen := map[string]bool{}
	total := int64(0)
	for i, key := range state.keys {
		text, isText := key.(string)
		view, isTensor := state.values[i].(strided)
		switch {
		case !isText:
			wrong.Add(fault.New(fault.ADPickle, "a key of the state dict is %s, not a name", kindOf(key)).In(name).Fix(remedyState))
			continue
		case !isTensor:
			wrong.Add(fault.New(fault.ADPickle, "the entry %s is %s, not a tensor", shown(text), kindOf(state.values[i])).In(name).Fix(remedyState))
			continue
		case seen[text]:
			wrong.Add(fault.New(fault.STDup, "the name is in the state dict twice").In(name).Of(text).Fix("save the state dict again"))
			continue
		}
		seen[text] = true
		t := Tensor{Name: text, DType: view.dtype, Shape: make([]int, len(view.shape)), view: view}
		for k, d := range view.shape {
			t.Shape[k] = int(d)
		}
		if n := view.count(); n > (limits.Bytes-total)/int64(view.dtype.Size()) {
			return fault.New(fault.STTooLarge, "the tensors have more than %d bytes together", limits.Bytes).In(name).Of(text).Fix("give an adapter's weights")
		} else {
			total += n * int64(view.dtype.Size())
		}
		if refused := c.archive.holds(view.stored); refused != nil {
			wrong.Add(refused.Of(text))
			continue
		}
		c.Tensors = append(c.Tensors, t)
	}
	slices.SortFunc(c.Tensors, func(x, y Tensor) int { return cmp.Compare(x.Name, y.Name) })
	return wrong.Err()
}

// remedyState says what is read.
const remedyState = "save the adapter's state dict alone, a dictionary of names and tensors, or use PEFT's save_pretrained"

// kindOf names a value of a pickle.
func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "None"
	case string:
		return "a text"
	case int64, float64:
		return "a number"
	case bool:
		return "a truth value"
	case tuple, *list:
		return "a list"
	case *dict:
		return "a dictionary"
	case strided:
		return "one tensor"
	case stored:
		return "a storage"
	}
	return "a name"
}

// Close releases what was unpacked.
func (c *Checkpoint) Close() { c.archive.close() }
