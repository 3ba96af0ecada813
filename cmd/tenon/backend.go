package main

import (
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tenon-ml/tenon/host"
	"github.com/tenon-ml/tenon/host/backend"
	"github.com/tenon-ml/tenon/host/fault"
)

func (c *command) backendCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "backend", Short: "Look at backends and hold one against the contract", Args: arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	cmd.AddCommand(c.backendList(), c.backendTest())
	return cmd
}

const (
	builtinBackend = "cpu"
	backendPrefix  = "tenon-backend-" // of executables beside tenon's
)

// backendChoice is what --backend and --backend-sha256 say.
type backendChoice struct{ name, sha256 string }

func (b *backendChoice) flags(flags *pflag.FlagSet) {
	flags.StringVar(&b.name, "backend", builtinBackend, "what computes: cpu, `NAME` of a tenon-backend-NAME beside tenon, or a path to one")
	flags.StringVar(&b.sha256, "backend-sha256", "", "run the backend only if its executable has this SHA-256, `HEX`")
}

// spec is how the chosen backend is started.
func (b *backendChoice) spec() (backend.Spec, error) {
	spec, err := findBackend(b.name)
	if err != nil || b.sha256 == "" {
		return spec, err
	}
	if spec.SHA256, err = hex.DecodeString(b.sha256); err != nil || len(spec.SHA256) != 32 {
		return spec, fault.New(fault.UsageFlag, "--backend-sha256 %q is no SHA-256 in hexadecimal digits", b.sha256).
			Fix("see: tenon backend list --backend %s", b.name)
	}
	return spec, nil
}

// use is the host with the chosen backend.
func (b *backendChoice) use(h *host.Host) (*host.Host, error) {
	if b.name == builtinBackend && b.sha256 == "" {
		return h, nil
	}
	spec, err := b.spec()
	if err != nil {
		return nil, err
	}
	return h.WithBackend(spec), nil
}

// findBackend is the backend of a name, or at a path.
func findBackend(name string) (backend.Spec, error) {
	if name == builtinBackend {
		return backend.Embedded(), nil
	}
	path := name
	if !strings.ContainsRune(name, filepath.Separator) {
		beside := installedBackends()
		i := slices.IndexFunc(beside, func(path string) bool { return filepath.Base(path) == backendPrefix+name })
		if i < 0 {
			known := []string{builtinBackend}
			for _, path := range beside {
				known = append(known, strings.TrimPrefix(filepath.Base(path), backendPrefix))
			}
			return backend.Spec{}, fault.New(fault.UsageName, "there is no backend %q", name).
				Fix("choose one of: %s; or give the path of an executable, such as ./%s", strings.Join(known, ", "), name)
		}
		path = beside[i]
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return backend.Spec{}, fault.New(fault.UsageFlag, "backend %q has no path", name).Wrap(err)
	}
	return backend.Spec{Name: filepath.Base(absolute), Command: []string{absolute}}, nil
}

// installedBackends are the executables beside tenon's own whose names say that they are backends, sorted.
func installedBackends() []string {
	self, err := os.Executable()
	if err != nil {
		return nil
	}
	found, _ := filepath.Glob(filepath.Join(filepath.Dir(self), backendPrefix+"*"))
	return slices.DeleteFunc(found, func(path string) bool {
		_, err := exec.LookPath(path)
		return err != nil
	})
}

// commandBackend is a backend that is started by a whole command line.
func commandBackend(args []string) (backend.Spec, error) {
	if args[0] == builtinBackend && len(args) == 1 {
		return backend.Embedded(), nil
	}
	path, err := exec.LookPath(args[0])
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil {
		return backend.Spec{}, fault.New(fault.IONotFound, "the command cannot be run").In(args[0]).Wrap(err).
			Fix("give the path of an executable, and what it is called with")
	}
	return backend.Spec{Name: filepath.Base(path), Command: append([]string{path}, args[1:]...)}, nil
}
