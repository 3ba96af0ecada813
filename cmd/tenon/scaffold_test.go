package main

import (
	"go/parser"
	"go/token"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var placeholder = regexp.MustCompile(`\{\{[a-z]+\}\}`)

// TestScaffolds: every language has its files, nothing is left to be replaced, and no two files share a path.
func TestScaffolds(t *testing.T) {
	for _, l := range languages {
		t.Run(l.name, func(t *testing.T) {
			files, err := l.files("some-name")
			if err != nil {
				t.Fatal(err)
			}
			var paths []string
			for _, f := range files {
				if slices.Contains(paths, f.path) {
					t.Errorf("%s is written twice", f.path)
				}
				paths = append(paths, f.path)
				if strings.Contains(f.path, "NAME") || strings.HasSuffix(f.path, ".tmpl") {
					t.Errorf("%s is called like a template", f.path)
				}
				if ours := !strings.HasPrefix(f.path, "tenon/"); ours && placeholder.Match(f.text) {
					t.Errorf("%s has something left to be replaced", f.path)
				}
			}
			for _, want := range []string{"Makefile", "README.md", "some-name.json", "some-name.cases.json", "tenon/ABI.md", l.source} {
				if !slices.Contains(paths, want) {
					t.Errorf("there is no %s among %v", want, paths)
				}
			}
		})
	}
}

// TestGoSDKNeedsNothing: what a new Go module gets imports the standard library and itself.
func TestGoSDKNeedsNothing(t *testing.T) {
	files, err := goSDK()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !strings.HasSuffix(f.path, ".go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), f.path, f.text, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range parsed.Imports {
			path, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if first, _, _ := strings.Cut(path, "/"); strings.Contains(first, ".") && !strings.HasPrefix(path, "github.com/tenon-ml/tenon/sdk/") {
				t.Errorf("%s imports %s", f.path, path)
			}
		}
	}
}
