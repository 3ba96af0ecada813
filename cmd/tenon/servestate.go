package main

import (
	"os"
	"path/filepath"
	"strconv"

	"github.com/spf13/pflag"

	"github.com/tenon-ml/tenon/host"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/server"
)

// serveState is what a server remembers, and how much memory its adapters have.
type serveState struct {
	data         string
	ephemeral    bool
	mode, memory string

	bytes int64 // memory, read
}

func (s *serveState) flags(flags *pflag.FlagSet) {
	flags.StringVar(&s.data, "data", "", "`DIR` for what is live and why (default: tenon in the user's state folder, one for each base)")
	flags.BoolVar(&s.ephemeral, "ephemeral", false, "remember nothing when the server ends")
	flags.StringVar(&s.mode, "mode", string(server.ModeAuto), "how adapters are served, `MODE`: merged, unmerged, or auto: merged as far as the memory goes")
	flags.StringVar(&s.memory, "memory", "auto", "`SIZE` of memory for adapters beyond the base, such as 4GiB; auto: what is left, less a reserve; none: no limit")
}

func (s *serveState) check() error {
	switch server.Mode(s.mode) {
	case server.ModeAuto, server.ModeMerged, server.ModeUnmerged:
	default:
		return fault.New(fault.UsageFlag, "--mode %q is none of auto, merged and unmerged", s.mode)
	}
	if s.ephemeral && s.data != "" {
		return fault.New(fault.UsageFlag, "--data and --ephemeral contradict each other").Fix("leave one out")
	}
	switch s.memory {
	case "auto":
		s.bytes = host.MemoryAuto
	case "none":
		s.bytes = 0
	default:
		n, err := strconv.ParseInt(s.memory, 10, 64)
		if err != nil || n <= 0 {
			if n, err = parseSize(s.memory); err != nil {
				return fault.New(fault.UsageFlag, "--memory %q is not a size", s.memory).Fix("give a number of bytes with a unit, such as 4GiB, or auto, or none")
			}
		}
		s.bytes = n
	}
	return nil
}

// place is where a server remembers: one directory, or one of the base's own in another; neither where it remembers nothing.
func (s *serveState) place() (data, state string, err error) {
	if s.ephemeral || s.data != "" {
		return s.data, "", nil
	}
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return "", filepath.Join(dir, "tenon"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", "", fault.New(fault.UsageFlag, "there is no home directory to remember in what is live").Wrap(err).Fix("give --data DIR, or --ephemeral")
	}
	return "", filepath.Join(home, ".local", "state", "tenon"), nil
}
