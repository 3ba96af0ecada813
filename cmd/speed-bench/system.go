package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// system is the machine and the programs that figures were taken on.
type system struct {
	when     time.Time
	rounds   int
	cpu      string
	cores    int
	memory   int64 // bytes
	kernel   string
	storage  string // the file system that files are written to
	load     string // how many processes ran or waited in the minute before
	pages    string // transparent huge pages
	goes     string
	versions map[string]string // of the peers
}

// newSystem describes this machine as far as it says what it is, as it is before anything is measured.
func newSystem(o options, dir string) system {
	s := system{when: time.Now().UTC(), rounds: o.rounds, cpu: runtime.GOARCH, cores: runtime.NumCPU(), goes: runtime.Version(),
		versions: map[string]string{}}
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		s.load, _, _ = strings.Cut(string(text), " ")
	}
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if model := field(string(text), "model name"); model != "" {
			family, number := field(string(text), "cpu family"), field(string(text), "model")
			s.cpu = fmt.Sprintf("%s (family %s, model %s)", model, family, number)
		}
	}
	if text, err := os.ReadFile("/proc/meminfo"); err == nil {
		kib, _ := strconv.ParseInt(strings.TrimSuffix(field(string(text), "MemTotal"), " kB"), 10, 64)
		s.memory = kib << 10
	}
	if text, err := os.ReadFile("/sys/kernel/mm/transparent_hugepage/enabled"); err == nil {
		if _, after, ok := strings.Cut(string(text), "["); ok {
			s.pages, _, _ = strings.Cut(after, "]")
		}
	}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		s.kernel = unix.ByteSliceToString(u.Sysname[:]) + " " + unix.ByteSliceToString(u.Release[:])
	}
	if text, err := os.ReadFile("/proc/mounts"); err == nil {
		s.storage = fileSystem(string(text), dir)
	}
	return s
}

// with adds the versions of what was measured.
func (s system) with(about map[string]string) system {
	for name, version := range about {
		if name != "implementation" && name != "limit" {
			s.versions[name] = version
		}
	}
	return s
}

// field is the first "name : value" of a text; "" where there is none.
func field(text, name string) string {
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// fileSystem is the type and device of the longest mount point that holds dir.
func fileSystem(mounts, dir string) string {
	longest, found := -1, ""
	for line := range strings.Lines(mounts) {
		f := strings.Fields(line)
		if len(f) < 3 {
			continue
		}
		point := strings.TrimSuffix(f[1], "/")
		if len(point) > longest && (dir == point || strings.HasPrefix(dir, point+"/")) {
			longest, found = len(point), f[2]+" on "+f[0]
		}
	}
	return found
}

func printSystem(w io.Writer, s system) {
	fmt.Fprintf(w, "Measured on %s, rounds: %d, with %s on %d cores of %s", s.when.Format("2006-01-02"), s.rounds, s.goes, s.cores, s.cpu)
	if s.memory > 0 {
		fmt.Fprintf(w, ", %.0f GiB of memory", float64(s.memory)/(1<<30))
	}
	if s.pages != "" {
		fmt.Fprintf(w, ", transparent huge pages %s", s.pages)
	}
	if s.storage != "" {
		fmt.Fprintf(w, ", %s", s.storage)
	}
	if s.kernel != "" {
		fmt.Fprintf(w, ", %s", s.kernel)
	}
	if s.load != "" {
		fmt.Fprintf(w, ", load %s before it began", s.load)
	}
	for i, name := range slices.Sorted(maps.Keys(s.versions)) {
		separator := ", "
		if i == 0 {
			separator = "; "
		}
		fmt.Fprintf(w, "%s%s %s", separator, name, s.versions[name])
	}
	fmt.Fprintf(w, ".\n\n")
}
