package main

import (
	"bytes"
	"embed"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/tenon-ml/tenon/sdk"
)

// The templates end in .tmpl, so that no tool takes them for parts of this program. NAME in a file's name, and words in double braces in its
// text, are replaced.
//
//go:embed all:scaffold
var scaffolds embed.FS

// language is one that a diagnostic can be begun in.
type language struct {
	name, title string
	source      string // the file to edit
	toolchain   string // what make needs
	tests       string // what make test does
	sdk         func() ([]newFile, error)
}

var languages = []language{
	{"go", "Go", "main.go", "Go 1.26 or later.", "unit tests, the conformance tests and the cases", goSDK},
	{"c", "C", "main.c", "clang and wasm-ld (Debian: apt install clang lld).", "the conformance tests and the cases", cSDK},
	{"rust", "Rust", "main.rs", "rustc 1.63 or later with the target wasm32-unknown-unknown (rustup target add wasm32-unknown-unknown, or " +
		"Debian: apt install rustc libstd-rust-dev-wasm32).", "unit tests, the conformance tests and the cases", rustSDK},
	{"assemblyscript", "AssemblyScript", "assembly/index.ts", "node and the compiler asc (npm install).", "the conformance tests and the cases",
		assemblyScriptSDK},
}

func languageNames() []string {
	var all []string
	for _, l := range languages {
		all = append(all, l.name)
	}
	return all
}

// files are all files of a new module.
func (l language) files(name string) ([]newFile, error) {
	replace := strings.NewReplacer("{{name}}", name, "{{language}}", l.title, "{{source}}", l.source, "{{toolchain}}", "It is built with "+l.toolchain,
		"{{tests}}", l.tests)
	var files []newFile
	for _, folder := range []string{"scaffold/all", "scaffold/" + l.name} {
		found, err := readTree(scaffolds, folder, "")
		if err != nil {
			return nil, err
		}
		for _, f := range found {
			f.path = strings.TrimSuffix(strings.ReplaceAll(f.path, "NAME", name), ".tmpl")
			f.text = []byte(replace.Replace(string(f.text)))
			files = append(files, f)
		}
	}
	sources, err := l.sdk()
	if err != nil {
		return nil, err
	}
	reference, err := fs.ReadFile(sdk.Sources, "abi/ABI.md")
	if err != nil {
		return nil, err
	}
	files = append(append(files, sources...), newFile{"tenon/ABI.md", reference})
	slices.SortFunc(files, func(a, b newFile) int { return strings.Compare(a.path, b.path) })
	return files, nil
}

// readTree reads the files under a folder, as files under another.
func readTree(from fs.FS, folder, to string) ([]newFile, error) {
	var files []newFile
	err := fs.WalkDir(from, folder, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := fs.ReadFile(from, name)
		files = append(files, newFile{path.Join(to, strings.TrimPrefix(name, folder+"/")), text})
		return err
	})
	return files, err
}

// goSDK is a module of the packages that a diagnostic and its tests import. What reads manifests in tests does it with the standard library
// there, since nothing is to be fetched.
func goSDK() ([]newFile, error) {
	files := []newFile{{"tenon/go.mod", []byte("module github.com/tenon-ml/tenon\n\ngo 1.26.0\n")}}
	for _, folder := range []string{"abi", "tensor", "diag"} {
		found, err := readTree(sdk.Sources, folder, "tenon/sdk/"+folder)
		if err != nil {
			return nil, err
		}
		for _, f := range found {
			if strings.HasSuffix(f.path, "_test.go") || !strings.HasSuffix(f.path, ".go") {
				continue
			}
			f.text = withStandardJSON(f.text)
			files = append(files, f)
		}
	}
	return files, nil
}

// withStandardJSON makes a Go file read JSON with the standard library where it does so with the host's. Which members a manifest may have is
// checked when the module is opened.
func withStandardJSON(text []byte) []byte {
	const library = "\n\t\"github.com/go-json-experiment/json\"\n"
	if !bytes.Contains(text, []byte(library)) {
		return text
	}
	return []byte(strings.NewReplacer("import (\n", "import (\n\t\"encoding/json\"\n", library, "", ", json.RejectUnknownMembers(true)", "").
		Replace(string(text)))
}

func cSDK() ([]newFile, error) { return readTree(sdk.Sources, "c", "tenon") }

func rustSDK() ([]newFile, error) { return readTree(sdk.Sources, "rust", "tenon") }

func assemblyScriptSDK() ([]newFile, error) { return readTree(sdk.Sources, "assemblyscript", "tenon") }
