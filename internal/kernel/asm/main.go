// Command asm generates the amd64 assembly of internal/kernel. Run it with `go generate ./internal/kernel`, or with -check to compare what it
// would write with what is committed.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/pass"
	"github.com/mmcloughlin/avo/printer"
)

// family is one generated pair of files: NAME_amd64.s and the Go declarations NAME_amd64.go.
type family struct {
	name  string
	build func(*build.Context)
}

var families = []family{}

func main() {
	dir := flag.String("dir", ".", "directory of package kernel")
	check := flag.Bool("check", false, "fail where a committed file differs, and write nothing")
	flag.Parse()
	if err := run(*dir, *check); err != nil {
		fmt.Fprintln(os.Stderr, "asm:", err)
		os.Exit(1)
	}
}

func run(dir string, check bool) error {
	var stale []string
	for _, f := range families {
		files, err := f.generate()
		if err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
		for name, text := range files {
			path := filepath.Join(dir, name)
			if !check {
				if err := os.WriteFile(path, text, 0o644); err != nil {
					return err
				}
				continue
			}
			if committed, err := os.ReadFile(path); err != nil || !bytes.Equal(committed, text) {
				stale = append(stale, name)
			}
		}
	}
	if len(stale) > 0 {
		return fmt.Errorf("not what the generator writes: %s; run go generate ./internal/kernel", strings.Join(stale, ", "))
	}
	return nil
}

// generate returns the text of both files by name.
func (f family) generate() (map[string][]byte, error) {
	ctx := build.NewContext()
	ctx.ConstraintExpr("amd64")
	f.build(ctx)
	file, err := ctx.Result()
	if err != nil {
		return nil, err
	}
	if err := pass.Compile.Execute(file); err != nil {
		return nil, err
	}
	config := printer.Config{Name: "internal/kernel/asm", Pkg: "kernel"}
	assembly, err := printer.NewGoAsm(config).Print(file)
	if err != nil {
		return nil, err
	}
	stubs, err := printer.NewStubs(config).Print(file)
	if err != nil {
		return nil, err
	}
	return map[string][]byte{f.name + "_amd64.s": assembly, f.name + "_amd64.go": stubs}, nil
}

// function begins a leaf function with no frame.
func function(ctx *build.Context, name, signature, doc string) {
	ctx.Function(name)
	ctx.Attributes(attr.NOSPLIT)
	ctx.Pragma("noescape")
	ctx.SignatureExpr(signature)
	ctx.Doc(doc)
}
