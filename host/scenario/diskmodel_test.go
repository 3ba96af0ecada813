package scenario

import (
	"bytes"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// diskModel is what a disk has been told to keep of a directory.
type diskModel struct {
	root                       string
	written, named             map[string]bool // files with bytes, and paths whose entry in the directory, that would be lost in a crash
	problems                   []string
	synced, renamed, committed int
	pending                    map[string]string // by thread: a call that has begun
}

func newDiskModel(root string) *diskModel {
	return &diskModel{root: root, written: map[string]bool{}, named: map[string]bool{}}
}

var (
	inAngles = regexp.MustCompile(`^\w+\(\d+<([^>]*)>`)
	quoted   = regexp.MustCompile(`"((?:[^"\\]|\\.)*)"`)
	opened   = regexp.MustCompile(`= \d+<([^>]*)>$`)
	failed   = regexp.MustCompile(`\) += -1 `)
	copied   = regexp.MustCompile(`^copy_file_range\(\d+<[^>]*>, [^,]*, \d+<([^>]*)>`)
)

// ours reports whether a path matters: SQLite's index of its log is memory that is shared, and the lock has no content.
func (d *diskModel) ours(path string) bool {
	return strings.HasPrefix(path, d.root+"/") && !strings.HasSuffix(path, "-shm")
}

// replay takes the output of strace -f -y. A call that another thread interrupted counts from when it returned.
func (d *diskModel) replay(trace []byte) {
	if d.pending == nil {
		d.pending = map[string]string{}
	}
	for line := range bytes.Lines(trace) {
		thread, call, _ := strings.Cut(strings.TrimSpace(string(line)), " ")
		call = strings.TrimLeft(call, " ")
		if begun, ok := strings.CutSuffix(call, " <unfinished ...>"); ok {
			d.pending[thread] = begun
			continue
		}
		if _, rest, ok := strings.Cut(call, " resumed>"); ok && strings.HasPrefix(call, "<... ") {
			call = d.pending[thread] + rest
			delete(d.pending, thread)
		}
		d.see(call)
	}
}

// lost is what a crash now would take away.
func (d *diskModel) lost() []string {
	all := slices.AppendSeq(slices.Collect(maps.Keys(d.written)), maps.Keys(d.named))
	slices.Sort(all)
	return slices.Compact(all)
}

// see takes one call.
func (d *diskModel) see(call string) {
	name, _, _ := strings.Cut(call, "(")
	if failed.MatchString(call) {
		return
	}
	target := ""
	if found := inAngles.FindStringSubmatch(call); found != nil {
		target = found[1]
	}
	switch name {
	case "openat":
		if found := opened.FindStringSubmatch(call); found != nil && strings.Contains(call, "O_CREAT") && strings.Contains(call, "O_EXCL") && d.ours(found[1]) {
			d.written[found[1]], d.named[found[1]] = true, true
		}
	case "mkdir", "mkdirat":
		if found := quoted.FindStringSubmatch(call); found != nil && d.ours(found[1]) {
			d.named[found[1]] = true
		}
	case "write", "pwrite64":
		if d.ours(target) {
			d.written[target] = true
		}
	case "copy_file_range":
		if found := copied.FindStringSubmatch(call); found != nil && d.ours(found[1]) {
			d.written[found[1]] = true
		}
	case "unlink", "unlinkat", "rmdir":
		if found := quoted.FindStringSubmatch(call); found != nil {
			delete(d.written, found[1])
			delete(d.named, found[1])
		}
	case "fsync", "fdatasync":
		d.sync(target)
	case "rename", "renameat", "renameat2":
		if found := quoted.FindAllStringSubmatch(call, -1); len(found) == 2 && d.ours(found[1][1]) {
			d.rename(found[0][1], found[1][1])
		}
	}
}

// sync makes the disk keep a file's bytes, or a directory's entries. SQLite's log is synced by a commit.
func (d *diskModel) sync(path string) {
	if !d.ours(path) && path != d.root {
		return
	}
	d.synced++
	delete(d.written, path)
	for entry := range d.named {
		if filepath.Dir(entry) == path {
			delete(d.named, entry)
		}
	}
	if strings.HasSuffix(path, "-wal") {
		d.committed++
		for entry := range d.named {
			if !strings.HasPrefix(entry, filepath.Join(d.root, "incoming")+"/") {
				d.problems = append(d.problems, "the name "+entry+" was not synced before a commit")
			}
		}
	}
}

// rename gives a file or a directory its name: what it holds must have been synced.
func (d *diskModel) rename(from, to string) {
	d.renamed++
	inside := func(path string) bool { return path == from || strings.HasPrefix(path, from+"/") }
	for path := range d.written {
		if inside(path) {
			d.problems = append(d.problems, path+" got the name "+to+" before it was synced")
			delete(d.written, path)
		}
	}
	for path := range d.named {
		if inside(path) && path != from {
			d.problems = append(d.problems, "the name "+path+" was not synced before "+from+" became "+to)
		}
		if inside(path) {
			delete(d.named, path)
		}
	}
	d.named[to] = true
}
