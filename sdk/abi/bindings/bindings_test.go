package main

import (
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/sdk/abi"
)

// The files in the repository are what package abi says.
func TestBindingsAreUpToDate(t *testing.T) {
	sdk, err := findSDK()
	if err != nil {
		t.Fatal(err)
	}
	if err := run(sdk, true); err != nil {
		t.Error(err)
	}
}

// What run writes passes its own check, the same every time, and a changed file does not.
func TestRunWritesWhatItChecks(t *testing.T) {
	dir := t.TempDir()
	if err := run(dir, true); err == nil {
		t.Error("files that are not there pass the check")
	}
	for range 2 {
		if err := run(dir, false); err != nil {
			t.Fatal(err)
		}
		if err := run(dir, true); err != nil {
			t.Error(err)
		}
	}
}

func TestParameters(t *testing.T) {
	for _, test := range []struct {
		f    abi.Function
		want string
	}{
		{abi.Function{Name: "none", Doc: "() -> 0"}, ""},
		{abi.Function{Name: "pointer", Params: []abi.ValueType{abi.I32, abi.I32}, Doc: "(target, out *[2]i64) -> 0"}, "target i32, out i32"},
		{abi.Function{Name: "length", Params: []abi.ValueType{abi.I32, abi.I64}, Doc: "(key, key length) -> 0"}, "key i32, key_length i64"},
	} {
		got := strings.Join(signature(test.f, func(p parameter) string { return p.name + " " + wasmTypes[p.kind] }), ", ")
		if got != test.want {
			t.Errorf("%s: %q, want %q", test.f.Name, got, test.want)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("a Doc that names too few parameters is accepted")
		}
	}()
	parameters(abi.Function{Name: "wrong", Params: []abi.ValueType{abi.I32}, Doc: "() -> 0"})
}

func TestNames(t *testing.T) {
	for _, test := range [][4]string{
		{"FirstNonFinite", "first_non_finite", "firstNonFinite", "FIRST_NON_FINITE"},
		{"BaseDType", "base_dtype", "baseDtype", "BASE_DTYPE"},
		{"NaN", "nan", "nan", "NAN"},
		{"In", "in", "in", "IN"},
	} {
		if got := [4]string{test[0], snake(test[0]), camel(test[0]), scream(test[0])}; got != test {
			t.Errorf("%q, want %q", got, test)
		}
	}
}

// Every function and every constant is in every file.
func TestEverythingIsBound(t *testing.T) {
	for _, b := range bindings {
		var p page
		b.write(&p)
		text := p.String()
		for _, f := range abi.Functions {
			if !strings.Contains(text, f.Name+"(") {
				t.Errorf("%s lacks %s", b.path, f.Name)
			}
		}
		for _, group := range abi.Constants {
			for _, c := range group.Constants {
				if !strings.Contains(text, group.Prefix+"_"+c.Name) {
					t.Errorf("%s lacks %s_%s", b.path, group.Prefix, c.Name)
				}
			}
		}
		for line := range strings.Lines(text) {
			if len(line) > 141 {
				t.Errorf("%s has a line of %d bytes: %s", b.path, len(line), line)
			}
		}
	}
}
