package adapter

import (
	"iter"
	"strconv"
	"strings"

	"github.com/tenon-ml/tenon/host/fault"
)

// Selector is the part of a configuration that says which modules are adapted (peft/tuners/tuners_utils.py, check_target_module_exists).
// The tensors of the file decide what is merged; the Selector is only held against them.
type Selector struct {
	Targets    []string `json:"targets"`       // target_modules as a list; nil when it was a string or absent
	Expression string   `json:"expression"`    // target_modules as a string: a regular expression, or AllLinear
	Excluded   []string `json:"excluded"`      // exclude_modules as a list
	Exclusion  string   `json:"exclusion"`     // exclude_modules as a regular expression
	Layers     []int64  `json:"layers"`        // layers_to_transform; empty for all
	LayerNames []string `json:"layerPatterns"` // layers_pattern

	targets, excluded     map[string]bool
	expression, exclusion Pattern
	layers                map[int64]bool
	layerPatterns         []Pattern
	saved                 []string // modules_to_save, each between dots: never adapted
	broken                bool     // a field was refused, so Selects means nothing
}

// AllLinear is the target_modules that stands for every linear module but the output head.
const AllLinear = "all-linear"

// anyLayer is the layers_pattern PEFT uses when there is none: the first number that follows some name.
const anyLayer = `[^.]*`

func (f *fields) selector() Selector {
	var s Selector
	before := f.refused
	s.Targets, s.Expression, s.expression = f.selection("target_modules")
	s.Excluded, s.Exclusion, s.exclusion = f.selection("exclude_modules")
	s.targets, s.excluded = set(s.Targets), set(s.Excluded)
	s.Layers = f.layers()
	s.layers = set(s.Layers)
	if m, ok := f.value("layers_pattern"); ok {
		if text, isText := m.text(); isText && text != "" {
			s.LayerNames = []string{text}
		} else if !isText {
			s.LayerNames = f.strings(m)
		}
		for _, text := range s.LayerNames {
			if pattern, ok := f.pattern(m, text, layerPattern); ok {
				s.layerPatterns = append(s.layerPatterns, pattern)
			}
		}
	}
	if len(s.LayerNames) == 0 && len(s.Layers) > 0 {
		if pattern, err := layerPattern(anyLayer); err == nil {
			s.layerPatterns = []Pattern{pattern}
		}
	}
	if m, ok := f.value("modules_to_save"); ok && m.value.Kind() == '[' {
		elements, _ := m.array()
		for _, element := range elements {
			if text, ok := element.text(); ok {
				s.saved = append(s.saved, "."+text+".")
			}
		}
	}
	s.broken = f.refused > before
	return s
}

// selection reads a field that is a list of names, or a string that is a regular expression.
func (f *fields) selection(name string) (list []string, text string, expression Pattern) {
	m, ok := f.value(name)
	if !ok {
		return nil, "", Pattern{}
	}
	text, isText := m.text()
	switch {
	case !isText:
		return f.strings(m), "", Pattern{}
	case text != AllLinear && text != "":
		expression, _ = f.pattern(m, text, fullPattern)
	}
	return nil, text, expression
}

// layers reads layers_to_transform: one index, or a list.
func (f *fields) layers() []int64 {
	m, ok := f.value("layers_to_transform")
	if !ok {
		return nil
	}
	elements := []member{m}
	if list, isList := m.array(); isList {
		elements = list
	}
	var layers []int64
	for _, element := range elements {
		layer, ok := element.integer()
		if !ok || layer < 0 {
			f.refuse(f.at(fault.New(fault.ADConfig, "layers_to_transform holds %s, and a layer's index is a whole number from 0",
				element.excerpt()), element).Fix("write the indices the adapter was trained with"))
			continue
		}
		layers = append(layers, layer)
	}
	return layers
}

// known reports whether the configuration says what is adapted. Without target_modules PEFT chooses by the architecture.
func (s *Selector) known() bool {
	return s.Targets != nil || s.Expression != ""
}

// Selects reports whether PEFT would adapt a module of this path. It takes every module for a linear one under AllLinear.
func (s *Selector) Selects(module string) bool {
	if s.excludes(module) {
		return false
	}
	switch {
	case s.Expression == AllLinear:
		return true
	case s.Targets == nil:
		return s.expression.whole != nil && s.expression.Match(module)
	case s.targets[module]:
		return true // a full path is not subject to layers_to_transform
	}
	return endsIn(module, s.targets) != "" && s.selectsLayer(module)
}

func (s *Selector) excludes(module string) bool {
	if s.excluded[module] || endsIn(module, s.excluded) != "" || s.exclusion.whole != nil && s.exclusion.Match(module) {
		return true
	}
	dotted := "." + module + "."
	for _, name := range s.saved {
		if strings.Contains(dotted, name) {
			return true
		}
	}
	return false
}

func (s *Selector) selectsLayer(module string) bool {
	if len(s.layers) == 0 {
		return true
	}
	for _, pattern := range s.layerPatterns {
		if index, ok := pattern.layer(module); ok {
			layer, err := strconv.ParseInt(index, 10, 64)
			return err == nil && s.layers[layer]
		}
	}
	return false
}

// unused returns the entries of a target_modules list that none of the modules is or ends in, in the order of the file.
func (s *Selector) unused(modules []string) []string {
	used := make(map[string]bool)
	for _, module := range modules {
		used[module] = true
		for suffix := range suffixes(module) {
			if s.targets[suffix] {
				used[suffix] = true
			}
		}
	}
	var unused []string
	for _, target := range s.Targets {
		if !used[target] {
			unused = append(unused, target)
			used[target] = true // a repeated entry is named once
		}
	}
	return unused
}

func (s *Selector) patterns() []Pattern {
	return append([]Pattern{s.expression, s.exclusion}, s.layerPatterns...)
}

// endsIn returns the entry of names that module ends in after a ".", or "".
func endsIn(module string, names map[string]bool) string {
	if len(names) == 0 {
		return ""
	}
	for suffix := range suffixes(module) {
		if names[suffix] {
			return suffix
		}
	}
	return ""
}

// suffixes are what follows each "." of a module's path, longest first.
func suffixes(module string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := range len(module) {
			if module[i] == '.' && !yield(module[i+1:]) {
				return
			}
		}
	}
}

func set[T comparable](list []T) map[T]bool {
	all := make(map[T]bool, len(list))
	for _, item := range list {
		all[item] = true
	}
	return all
}
