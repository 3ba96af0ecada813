package worker

import (
	"bufio"
	"bytes"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
)

// assumedMemory is what a machine is taken to have that does not say.
const assumedMemory = 4 << 30

// halfOfMemory is the budget of a Runner that has none: workers share the machine with the base model and with who asks.
func halfOfMemory() int64 { return allowedMemory(os.DirFS("/")) / 2 }

// allowedMemory is the least of what the machine has and what the control groups of this process, version 1 or 2, allow it. Inside of a
// container the path of a group may be one of outside: its limit is then at the root of what is mounted.
func allowedMemory(root fs.FS) int64 {
	allowed := int64(assumedMemory)
	if kib := field(root, "proc/meminfo", "MemTotal:"); kib > 0 {
		allowed = kib << 10
	}
	groups, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return allowed
	}
	for line := range strings.Lines(string(groups)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		mount, file := "", ""
		switch {
		case parts[0] == "0" && parts[1] == "":
			mount, file = "sys/fs/cgroup", "memory.max"
			if _, err := fs.Stat(root, mount+"/unified"); err == nil {
				mount += "/unified"
			}
		case strings.Contains(","+parts[1]+",", ",memory,"):
			mount, file = "sys/fs/cgroup/memory", "memory.limit_in_bytes"
		default:
			continue
		}
		for group := path.Clean("/" + parts[2]); ; group = path.Dir(group) {
			if limit := number(root, path.Join(mount, group, file)); limit > 0 {
				allowed = min(allowed, limit)
			}
			if group == "/" {
				break
			}
		}
	}
	return allowed
}

// number reads a file of one number; 0 where there is none, or no limit.
func number(root fs.FS, name string) int64 {
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return 0
	}
	n, err := strconv.ParseInt(string(bytes.TrimSpace(text)), 10, 64) // "max" is no number
	if err != nil {
		return 0
	}
	return n
}

// field reads the number after a name at the beginning of a line.
func field(root fs.FS, name, field string) int64 {
	f, err := root.Open(name)
	if err != nil {
		return 0
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if words := strings.Fields(lines.Text()); len(words) > 1 && words[0] == field {
			n, _ := strconv.ParseInt(words[1], 10, 64)
			return n
		}
	}
	return 0
}
