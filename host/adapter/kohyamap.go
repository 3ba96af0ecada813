package adapter

import (
	"slices"
	"strings"

	"github.com/tenon-ml/tenon/host/base"
)

// moduleMap finds the modules of a base by the names of a single file. "." to "_" cannot be undone by the text alone, since the names of
// modules hold "_" themselves, so every module of the base is written the file's way and a name must hit exactly one.
type moduleMap struct {
	dotted map[string]bool     // the modules that own a weight
	flat   map[string][]string // by their paths with "_" in place of "."
	all    []string            // ascending
}

// textModel is the part of the paths of CLIP's text encoders that transformers before version 5 has, and later versions have not.
const textModel = "text_model"

func newModuleMap(b *base.Base) moduleMap {
	m := moduleMap{dotted: map[string]bool{}, flat: map[string][]string{}, all: b.Modules()}
	for _, module := range m.all {
		m.dotted[module] = true
		m.flat[flatten(module)] = append(m.flat[flatten(module)], module)
	}
	return m
}

func flatten(module string) string { return strings.ReplaceAll(module, ".", "_") }

// find returns the modules that a name of the file can mean: one where it is known, none where the base has no such module. renamed tells that
// the module was found without text_model, or with it.
func (m moduleMap) find(s *singleModule) (modules []string, renamed bool) {
	for _, name := range s.candidates() {
		modules = append(modules, m.lookup(name, s.flat)...)
	}
	if len(modules) == 0 && s.component.isText() {
		separator := "."
		if s.flat {
			separator = "_"
		}
		other, had := strings.CutPrefix(s.name, textModel+separator)
		if !had {
			other = textModel + separator + s.name
		}
		modules = m.lookup(other, s.flat)
		renamed = len(modules) > 0
	}
	slices.Sort(modules)
	return slices.Compact(modules), renamed
}

func (m moduleMap) lookup(name string, flat bool) []string {
	switch {
	case flat:
		return m.flat[name]
	case m.dotted[name]:
		return []string{name}
	}
	return nil
}

// candidates are the paths that a name can stand for: a dotted prefix may be the module's own, as "transformer." is in GPT-2's.
func (m *singleModule) candidates() []string {
	if m.flat || m.prefix == "" {
		return []string{m.name}
	}
	return []string{m.name, m.prefix + m.name}
}

// nearest returns the module that a name was probably meant to be: the first of those that differ from it in one place only, by a few
// characters.
func (m moduleMap) nearest(s *singleModule) (string, bool) {
	const most = 4
	best, found := "", false
	limit := most + 1
	for _, module := range m.all {
		have := module
		if s.flat {
			have = flatten(module)
		}
		if d := differing(s.name, have); d < limit {
			best, found, limit = module, true, d
		}
	}
	return best, found && limit < len(s.name)/2
}

// differing is the length of what is between the common beginning of two names and their common end, in the longer one.
func differing(a, b string) int {
	n := min(len(a), len(b))
	head := 0
	for head < n && a[head] == b[head] {
		head++
	}
	tail := 0
	for tail < n-head && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	return max(len(a), len(b)) - head - tail
}
