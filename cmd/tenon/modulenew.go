package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/report"
	"github.com/tenon-ml/tenon/wasm/modules"
)

func (c *command) moduleNew() *cobra.Command {
	var lang, dir string
	cmd := &cobra.Command{
		Use:   "new NAME --lang go|c|rust|assemblyscript",
		Short: "Begin a diagnostic: source, manifest, cases, Makefile and SDK",
		Long: `New writes a folder that builds with make and passes make test at once: a small
diagnostic to change, its manifest NAME.json, its cases NAME.cases.json, and the
SDK, so that nothing has to be fetched. Nothing that exists is written over.`,
		Args: arguments(cobra.ExactArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			name := args[0]
			var missing error
			if lang == "" {
				missing = fault.New(fault.UsageFlag, "--lang is needed").
					Fix("choose one of: %s; see tenon module new --help", strings.Join(languageNames(), ", "))
			}
			if err := errors.Join(missing, moduleName(name)); err != nil {
				return err
			}
			i := slices.IndexFunc(languages, func(l language) bool { return l.name == lang })
			if i < 0 {
				return oneOf("lang", lang, languageNames()...)
			}
			files, err := languages[i].files(name)
			if err != nil {
				return err
			}
			dir := cmp.Or(dir, name)
			if err := writeNew(dir, files); err != nil {
				return err
			}
			return c.printNew(name, dir, languages[i])
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&lang, "lang", "", "`LANGUAGE` it is written in: "+strings.Join(languageNames(), ", "))
	flags.StringVar(&dir, "dir", "", "`DIR` to write into (default: NAME)")
	return cmd
}

// modulePattern is what an id may be.
var modulePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,63}$`)

// moduleName refuses a name that no manifest may have as its id, or that a policy would take for another module.
func moduleName(name string) error {
	refuse := func(format string, args ...any) *fault.Error { return fault.New(fault.UsageFlag, format, args...) }
	switch {
	case !modulePattern.MatchString(name):
		e := refuse("%q cannot be the name of a module", name).Fix("use lower case letters, digits and hyphens, at most 64")
		if better := strings.Trim(regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(strings.ToLower(name), "-"), "-"); modulePattern.MatchString(better) {
			e = e.Fix("for instance %s: lower case letters, digits and hyphens", better)
		}
		return e
	case name == "policy" || name == "probe":
		return refuse("%q stands for something else in a report", name).Fix("choose another name")
	}
	builtin, err := modules.Builtin()
	if err != nil {
		return err
	}
	if slices.ContainsFunc(builtin, func(m modules.Module) bool { return m.Manifest.ID == name }) {
		return refuse("a module that ships with Tenon is called %q", name).Fix("choose another name")
	}
	return nil
}

// newFile is a file of a scaffold; path is relative and has slashes.
type newFile struct {
	path string
	text []byte
}

// writeNew writes all files into dir, or none where one of them exists.
func writeNew(dir string, files []newFile) error {
	var exist []string
	for _, f := range files {
		path := filepath.Join(dir, filepath.FromSlash(f.path))
		if _, err := os.Lstat(path); err == nil {
			exist = append(exist, f.path)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return fault.New(fault.IOWrite, "the place cannot be written to").In(path).Wrap(err)
		}
	}
	if n := len(exist); n > 0 {
		return fault.New(fault.UsageFlag, "%d of %d files exist: %s", n, len(files), strings.Join(exist[:min(n, 3)], ", ")).In(dir).
			Fix("nothing was written; choose another --dir, or move them away")
	}
	for _, f := range files {
		if err := writeExclusive(filepath.Join(dir, filepath.FromSlash(f.path)), f.text); err != nil {
			return fault.New(fault.IOWrite, "the file cannot be written").In(filepath.Join(dir, f.path)).Wrap(err)
		}
	}
	return nil
}

func writeExclusive(path string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}

func (c *command) printNew(name, dir string, l language) error {
	shown := report.Escape(dir)
	writeWrapped(c.stdout, "", fmt.Sprintf("Wrote %s/: a diagnostic in %s that warns of factors that are out of proportion.",
		strings.TrimSuffix(dir, "/"), l.title), 80)
	fmt.Fprintln(c.stdout)
	writeWrapped(c.stdout, "needs  ", l.toolchain, 80)
	_, err := fmt.Fprintf(c.stdout, "\n    cd %s\n    make            builds %s.wasm\n    make test       %s\n\n"+
		"Then edit %s, %s.json and %s.cases.json.\n", shown, name, l.tests, l.source, name, name)
	return err
}
