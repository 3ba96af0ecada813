package main

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/tenon-ml/tenon/sdk/abi"
)

// parameter is a named parameter of an import.
type parameter struct {
	name string
	kind abi.ValueType
}

// parameters reads the names of a function's parameters from its Doc, which begins with "(target, out *TargetInfo)". What follows a name is
// what a pointer points to; "key length" becomes key_length. A Doc that names another number of parameters is a fault of package abi.
func parameters(f abi.Function) []parameter {
	list, _, closed := strings.Cut(strings.TrimPrefix(f.Doc, "("), ") -> ")
	var names []string
	if list != "" {
		names = strings.Split(list, ", ")
	}
	if !strings.HasPrefix(f.Doc, "(") || !closed || len(names) != len(f.Params) {
		panic(fmt.Sprintf("%s has %d parameters and its Doc names %d: %s", f.Name, len(f.Params), len(names), f.Doc))
	}
	out := make([]parameter, len(names))
	for i, name := range names {
		name, _, _ = strings.Cut(name, " *")
		out[i] = parameter{strings.ReplaceAll(name, " ", "_"), f.Params[i]}
	}
	return out
}

// signature lists a function's parameters, each written by write.
func signature(f abi.Function, write func(parameter) string) []string {
	var parts []string
	for _, p := range parameters(f) {
		parts = append(parts, write(p))
	}
	return parts
}

// snake writes a Go name in lower case with underscores: FirstNonFinite is first_non_finite, BaseDType is base_dtype, NaN is nan.
func snake(name string) string {
	name = strings.NewReplacer("DType", "Dtype", "NaN", "Nan").Replace(name)
	var b strings.Builder
	for i, r := range name {
		if unicode.IsUpper(r) && i > 0 {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// camel writes a Go name as AssemblyScript writes one: firstNonFinite.
func camel(name string) string {
	words := strings.Split(snake(name), "_")
	for i := 1; i < len(words); i++ {
		words[i] = strings.ToUpper(words[i][:1]) + words[i][1:]
	}
	return strings.Join(words, "")
}

// scream writes a Go name in capitals with underscores.
func scream(name string) string { return strings.ToUpper(snake(name)) }
