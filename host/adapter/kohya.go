package adapter

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/safetensors"
)

// kohya is what was read of an adapter that is one safetensors file without a configuration: as Kohya's sd-scripts write it, LyCORIS, or
// diffusers. What a change is made of, and its scale, is in the tensors alone: their names, shapes and the alpha beside them. The rules are
// those of kohya-ss/sd-scripts (networks), KohakuBlueleaf/LyCORIS 4.1 and of ComfyUI's reader for the dialects of names.
type kohya struct {
	modules []*singleModule // by component, then name
	of      []*singleModule // by index into Adapter.Tensors; nil where the tensor is refused by its name
}

var _ formatReader = (*kohya)(nil)

// singleModule is what the file holds for one module of the model, by the name that the file gives it.
type singleModule struct {
	component component
	prefix    string // as written, such as "lora_unet_" or "unet."
	name      string // the module without the prefix
	flat      bool   // every "." of the module's path is written "_"
	at        map[Part]int
	tensors   []int // all of them, ascending: indices into Adapter.Tensors
	broken    bool  // something of it is refused

	change change // of the module's weight; its kind is noChange where there is none
	alpha  float64
	scale  float64
}

// shown is the module's name as the file writes it.
func (m *singleModule) shown() string { return m.prefix + m.name }

// readKohya makes an Adapter of a single file, which is checked as far as that goes without a base. What is wrong with it is kept for Open and
// Bind to report. The caller fills in Files and Digest. The adapter owns weights from here on, unless there is an error.
func readKohya(ref, shown string, weights *safetensors.File) (*Adapter, error) {
	a := &Adapter{Ref: ref, Dir: shown, Format: FormatKohya, Weights: weights}
	for _, t := range weights.Tensors {
		a.Tensors = append(a.Tensors, Tensor{Tensor: t})
	}
	slices.SortFunc(a.Tensors, func(x, y Tensor) int { return cmp.Compare(x.Name, y.Name) })
	k := &kohya{of: make([]*singleModule, len(a.Tensors))}
	a.reader = k
	k.collect(a)
	settings := k.readSettings(a)
	for _, m := range k.modules {
		if !m.broken {
			k.measure(a, m)
		}
		if !m.broken {
			k.readScale(a, m, settings)
		}
		if !m.broken && m.change.kind == twoFactors {
			a.Pairs = append(a.Pairs, m.change.pair(m))
		}
	}
	if len(k.modules) == 0 {
		a.problems.Add(fault.New(fault.ADNoEffect, "the file holds nothing that changes a model").In(weights.Name()).
			Fix("check that this is the file that was trained"))
	}
	k.checkFinite(a)
	k.noteNegative(a)
	k.noteMetadata(a)
	return a, nil
}

// collect parses every name and gathers the tensors by module. Two tensors that are the same part of one module, by two spellings of its
// name, are refused: which one counts would be a guess.
func (k *kohya) collect(a *Adapter) {
	index := make(map[string]*singleModule)
	unsupported := make(map[string]bool)
	for i := range a.Tensors {
		t := &a.Tensors[i]
		key, reason := parseSingleKey(t.Name)
		id := fmt.Sprintf("%s\x00%t\x00%s", key.prefix, key.flat, key.module)
		t.Key = Key{Prefix: key.prefix, Module: key.module, Part: key.part}
		if reason != "" {
			code := fault.ADKey
			if key.part != Unknown {
				code, unsupported[id] = fault.ADUnsupported, true
			}
			a.refuse(i, fault.New(code, "%s", reason).Fix("%s", key.remedy()))
			continue
		}
		m := index[id]
		if m == nil {
			m = &singleModule{component: key.component, prefix: key.prefix, name: key.module, flat: key.flat, at: map[Part]int{}}
			index[id] = m
			k.modules = append(k.modules, m)
		}
		k.of[i] = m
		m.tensors = append(m.tensors, i)
		if first, twice := m.at[key.part]; twice {
			m.broken = true
			a.refuse(i, fault.New(fault.ADTwice, "the module has this part twice, here and as %q", a.Tensors[first].Name).
				Fix("save the adapter again with one name for each part"))
			a.Tensors[first].Refused = fault.ADTwice
			continue
		}
		m.at[key.part] = i
	}
	for id, m := range index {
		if unsupported[id] { // and what is beside it needs no fault of its own
			m.broken = true
			k.rejectAll(a, m, fault.ADUnsupported)
		} else if m.broken {
			k.rejectAll(a, m, fault.ADTwice)
		}
	}
	slices.SortStableFunc(k.modules, func(x, y *singleModule) int {
		return cmp.Or(cmp.Compare(x.component, y.component), cmp.Compare(x.name, y.name), cmp.Compare(x.prefix, y.prefix))
	})
}

// refuse lists a fault of a module, at the tensor that is part of it, and keeps the module from being merged.
func (k *kohya) refuse(a *Adapter, m *singleModule, part Part, e *fault.Error) {
	m.broken = true
	i, ok := m.at[part]
	if !ok {
		i = m.tensors[0]
	}
	a.refuse(i, e)
	for _, other := range m.tensors {
		a.Tensors[other].Refused = cmp.Or(a.Tensors[other].Refused, e.Code)
	}
}

// has reports whether the module has all of the parts.
func (m *singleModule) has(parts ...Part) bool {
	for _, p := range parts {
		if _, ok := m.at[p]; !ok {
			return false
		}
	}
	return true
}

// tensor is one part of a module, which has it.
func (m *singleModule) tensor(a *Adapter, part Part) safetensors.Tensor {
	return a.Tensors[m.at[part]].Tensor
}
