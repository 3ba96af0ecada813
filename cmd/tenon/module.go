package main

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/tenon-ml/tenon/host/document"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/moduletest"
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
	if !strings.HasSuffix(ref, ".wasm") {
		if info, err := os.Stat(ref); err == nil && info.Mode().IsRegular() {
			if _, err := os.Stat(ref + ".wasm"); err != nil {
				return modules.Module{}, fault.New(fault.UsageFlag, "not a .wasm file").In(ref).Fix("name the module that was built: NAME.wasm")
			}
		}
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
	manifest := strings.TrimSuffix(ref, ".wasm") + ".json"
	switch {
	case errors.Is(err, fs.ErrNotExist) && strings.HasPrefix(err.Error(), "manifest"):
		return m, fault.New(fault.IONotFound, "the module has no manifest").In(ref).Wrap(err).
			Fix("write %s beside %s.wasm; tenon module new makes one to begin with", filepath.Base(manifest),
				strings.TrimSuffix(filepath.Base(manifest), ".json"))
	case errors.Is(err, fs.ErrNotExist):
		return m, fault.New(fault.IONotFound, "there is no such module").In(ref).Wrap(err).Fix("build it first: make")
	case errors.Is(err, fs.ErrPermission):
		return m, fault.New(fault.IORead, "the module cannot be read").In(ref).Wrap(err)
	case err != nil && strings.HasPrefix(err.Error(), "manifest"):
		return m, manifestError(manifest, ref, err)
	case err != nil:
		return m, fault.New(fault.ModuleInvalid, "the module cannot be read").In(ref).Wrap(err).Fix("correct the file")
	}
	return m, nil
}

// manifestError says where in a manifest that does not open something is wrong, and what to do about it.
func manifestError(manifest, ref string, cause error) error {
	asIs := fault.New(fault.ModuleInvalid, "the manifest cannot be read").In(ref).Wrap(cause).Fix("correct %s", filepath.Base(manifest))
	f, err := os.OpenFile(manifest, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe has no one at its other end
	if err != nil {
		return asIs
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxManifest+1))
	if err != nil || len(text) > maxManifest {
		return asIs
	}
	list := fault.All(moduletest.ExplainManifest(manifest, text, cause))
	for _, e := range list {
		if e.Pointer == "/sha256" && strings.Contains(e.Cause, "not of one build") {
			have := ""
			if guest, err := os.ReadFile(strings.TrimSuffix(manifest, ".json") + ".wasm"); err == nil {
				have = fmt.Sprintf("%x", sha256.Sum256(guest))
			}
			e.Fix("remove sha256 from %s or set it to %s", filepath.Base(manifest), cmp.Or(have, "that of the guest"))
		}
	}
	return list.Err()
}

// maxManifest is the most bytes that a manifest is read for.
const maxManifest = 1 << 20

// needFor refuses a flag of a subcommand that was not given.
func needFor(subcommand, flag, value string) error {
	if value != "" {
		return nil
	}
	return fault.New(fault.UsageFlag, "--%s is needed", flag).Fix("see tenon module %s --help", subcommand)
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
