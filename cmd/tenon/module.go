package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tenon-ml/tenon/host/document"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/wasm/modules"
	"github.com/tenon-ml/tenon/wasm/worker"
)

func (c *command) moduleCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "module", Short: "Write, test and look at diagnostics",
		Long: `A diagnostic is a WebAssembly module NAME.wasm with its manifest NAME.json
beside it. These commands are for who writes one; docs/write-a-diagnostic.md is
a tutorial that takes ten minutes. A policy says which diagnostics must run.`,
		Args: arguments(cobra.NoArgs), RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	cmd.AddCommand(c.moduleNew(), c.moduleTest(), c.moduleRun(), c.moduleShow(), c.moduleList())
	return cmd
}

// openModule reads a module by its file NAME.wasm, or one that ships with Tenon by its id.
func openModule(ref string) (modules.Module, error) {
	builtin, err := modules.Builtin()
	if err != nil {
		return modules.Module{}, err
	}
	var ids []string
	for _, m := range builtin {
		if m.Manifest.ID == ref {
			return m, nil
		}
		ids = append(ids, m.Manifest.ID)
	}
	if !strings.HasSuffix(ref, ".wasm") && !strings.ContainsRune(ref, filepath.Separator) {
		if _, err := os.Stat(ref + ".wasm"); err != nil {
			e := fault.New(fault.UsageFlag, "%q is no module that ships with Tenon, and there is no file %s.wasm", ref, ref).
				Fix("choose one of: %s", strings.Join(ids, ", "))
			if near := document.Nearest(ref, ids); near != "" {
				e = e.Fix("did you mean %q?", near)
			}
			return modules.Module{}, e
		}
	}
	m, err := modules.Open(ref)
	switch {
	case errors.Is(err, fs.ErrNotExist) && strings.HasPrefix(err.Error(), "manifest"):
		return m, fault.New(fault.IONotFound, "the module has no manifest").In(ref).Wrap(err).
			Fix("write NAME.json beside NAME.wasm; tenon module new makes one to begin with")
	case errors.Is(err, fs.ErrNotExist):
		return m, fault.New(fault.IONotFound, "there is no such module").In(ref).Wrap(err).Fix("build it first: make")
	case errors.Is(err, fs.ErrPermission):
		return m, fault.New(fault.IORead, "the module cannot be read").In(ref).Wrap(err)
	case err != nil:
		return m, fault.New(fault.ModuleInvalid, "the module cannot be read").In(ref).Wrap(err).Fix("correct the manifest, or the file")
	}
	return m, nil
}

// moduleCache is where what can be computed again is kept, for checks and for the runs of these commands.
func (c *command) moduleCache() (string, error) {
	dir := c.cacheDir
	if dir == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return "", fault.New(fault.UsageFlag, "there is no cache directory").Wrap(err).Fix("set TENON_CACHE_DIR")
		}
		dir = filepath.Join(user, "tenon")
	}
	dir, err := filepath.Abs(dir)
	if err == nil {
		err = os.MkdirAll(dir, 0o700)
	}
	if err != nil {
		return "", fault.New(fault.IOWrite, "the cache directory cannot be made").In(dir).Wrap(err).Fix("set TENON_CACHE_DIR to a directory you own")
	}
	return dir, nil
}

// moduleRunner starts workers that compute with so many threads.
func (c *command) moduleRunner(threads int) (*worker.Runner, error) {
	dir, err := c.moduleCache()
	if err != nil {
		return nil, err
	}
	compiled := filepath.Join(dir, "wasm")
	if err := worker.CheckCache(compiled); err != nil {
		c.log().Warn("the module is compiled anew for each run", "cause", err)
		compiled = ""
	}
	return &worker.Runner{CacheDir: compiled, Threads: threads}, nil
}

// grants reads the capabilities of --grant; a flag that was not given grants what the manifest needs.
func grants(values []string, given bool, needs []abi.Capability) ([]abi.Capability, error) {
	if !given {
		return needs, nil
	}
	all := []string{string(abi.CapBase), string(abi.CapPeers), string(abi.CapKernels)}
	grant := []abi.Capability{}
	for _, value := range values {
		if value == "" || value == "none" {
			continue
		}
		if !slices.Contains(all, value) {
			return nil, oneOf("grant", value, append(all, "none")...)
		}
		grant = append(grant, abi.Capability(value))
	}
	return grant, nil
}
