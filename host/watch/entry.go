package watch

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/tenon-ml/tenon/host/bundle"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/report"
	"github.com/tenon-ml/tenon/host/server"
)

const (
	maxEntries = 10_000 // of the folder
	maxFiles   = 1_000  // of an adapter that are looked at
)

// entry is what is known of one name in the folder.
type entry struct {
	name    string
	alias   string      // what it would be called; "" before it settled
	print   fingerprint // at the last look
	since   time.Time   // when it was first seen so
	handled fingerprint // that has been dealt with
	working bool        // it is being taken in
	retry   time.Time   // not before, after a failure
	pause   time.Duration
	seen    bool // in this look
	told    bool // that it is no adapter, or not yet
}

// fingerprint changes when anything in a directory does, as far as that can be seen without reading it.
type fingerprint [32]byte

// found is a name of the folder at one look.
type found struct {
	print    fingerprint
	mode     fs.FileMode
	complete bool // a directory with a configuration and weights, or a file, and nobody writing, as far as names tell
}

// scan looks at every name in the folder and begins with what is complete.
func (w *watcher) scan(ctx context.Context) {
	if ctx.Err() != nil {
		return
	}
	names, err := readNames(w.dir, maxEntries)
	if err != nil {
		w.options.Log.Warn("the watched folder cannot be read", "dir", report.Escape(w.dir), "cause", report.Escape(err.Error()))
		return
	}
	now := time.Now()
	for _, name := range names {
		if strings.HasPrefix(name, ".") {
			continue
		}
		f, err := look(filepath.Join(w.dir, name))
		if err != nil {
			continue // it has just gone
		}
		e := w.entries[name]
		if e == nil {
			e = &entry{name: name}
			w.entries[name] = e
		}
		e.seen = true
		if e.print != f.print {
			e.print, e.since, e.retry, e.pause = f.print, now, time.Time{}, 0
		}
		if !e.working && e.print != e.handled && now.Sub(e.since) >= w.options.Settle && !now.Before(e.retry) {
			w.begin(ctx, e, f)
		}
	}
	for name, e := range w.entries {
		if !e.seen && !e.working {
			delete(w.entries, name)
		}
		e.seen = false
	}
}

// readNames lists a directory's names, sorted.
func readNames(dir string, most int) ([]string, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := f.Readdirnames(most)
	slices.Sort(names)
	if len(names) > 0 {
		return names, nil
	}
	if _, again := os.Stat(dir); again == nil {
		return nil, nil // it is empty
	}
	return nil, err
}

// look is one look at a name, which is not followed where it is a link.
func look(path string) (found, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return found{}, err
	}
	h := sha256.New()
	line := func(name string, info fs.FileInfo) {
		inode := uint64(0)
		if stat, ok := info.Sys().(*syscall.Stat_t); ok {
			inode = uint64(stat.Ino)
		}
		fmt.Fprintf(h, "%q %v %d %d %d\n", name, info.Mode(), info.Size(), info.ModTime().UnixNano(), inode)
	}
	f := found{mode: info.Mode()}
	line("", info)
	if info.IsDir() {
		names, err := readNames(path, maxFiles)
		if err != nil {
			return found{}, err
		}
		config, weights, kept, temporary := false, false, false, false
		for _, name := range names {
			file, err := os.Lstat(filepath.Join(path, name))
			if err != nil {
				return found{}, err
			}
			line(name, file)
			config = config || name == "adapter_config.json"
			kept = kept || name == "adapter.safetensors" || name == "adapter.gguf"
			weights = weights || weightsEndings[strings.ToLower(filepath.Ext(name))]
			temporary = temporary || strings.HasPrefix(name, ".") && weightsLike(name) || strings.HasSuffix(name, ".part") || strings.HasSuffix(name, ".tmp")
		}
		f.complete = (config && weights || kept) && !temporary
	}
	if info.Mode().IsRegular() {
		_, f.complete = aliasOf(filepath.Base(path))
	}
	f.print = fingerprint(h.Sum(nil))
	return f, nil
}

// weightsEndings are those of files that may hold an adapter's weights, those that the gate refuses included.
var weightsEndings = map[string]bool{".safetensors": true, ".bin": true, ".pt": true, ".pth": true, ".ckpt": true, ".gguf": true}

// weightsLike tells that a hidden name is what rsync calls weights while it writes them.
func weightsLike(name string) bool { return strings.Contains(name, "adapter_") }

// begin deals with a name that has settled: it is taken in, refused for what it is, or left alone.
func (w *watcher) begin(ctx context.Context, e *entry, f found) {
	path := filepath.Join(w.dir, e.name)
	refuse := func(cause *fault.Error) {
		w.start(ctx, e, func(context.Context) outcome { return outcome{refusal: cause.In(path)} })
	}
	alias, isAdapter := e.name, f.mode.IsDir()
	if f.mode.IsRegular() {
		alias, isAdapter = aliasOf(e.name)
	}
	e.alias = alias
	switch {
	case isAdapter:
		if err := server.CheckAlias(alias, w.options.Base); err != nil {
			if list := fault.All(err); len(list) > 0 {
				refuse(fault.New(list[0].Code, "%s", list[0].Cause).Fix("%s, for the directory or file", list[0].Remedy))
			}
			return
		}
		if f.complete {
			e.told = false
			w.start(ctx, e, func(ctx context.Context) outcome { return w.take(ctx, alias, path) })
			return
		}
		w.tell(e, "a directory of the watched folder is no adapter yet: adapter_config.json or the weights are missing", path)
	case f.mode&fs.ModeSymlink != 0:
		refuse(fault.New(fault.IOFileType, "this is a symbolic link, and links are not followed").Fix("put the directory or file itself into the folder"))
		return
	case !f.mode.IsRegular():
		refuse(fault.New(fault.IOFileType, "this is a device, FIFO or socket, not an adapter").Fix("put the adapter's directory into the folder"))
		return
	case isArchive(e.name):
		refuse(fault.New(fault.ADArchive, "this is an archive of a kind that is not read").
			Fix("put in a bundle, NAME.tar.zst or NAME.tar.gz, or the directory that holds adapter_config.json and adapter_model.safetensors"))
		return
	default:
		w.tell(e, "a file of the watched folder is no adapter, and is left alone", path)
	}
	e.handled = e.print
}

// aliasOf is the alias of an adapter that is one file, by its name; ok is false for a name that no such adapter has.
func aliasOf(name string) (alias string, ok bool) {
	if stem, ok := bundle.Stem(name); ok {
		return stem, true
	}
	switch extension := filepath.Ext(name); strings.ToLower(extension) {
	case ".safetensors", ".gguf":
		return strings.TrimSuffix(name, extension), true
	}
	return name, false
}

// tell says once what an entry is, however often it changes and stays that.
func (w *watcher) tell(e *entry, what, path string) {
	if !e.told {
		w.options.Log.Info(what, "path", report.Escape(path))
	}
	e.told = true
}

func isArchive(name string) bool {
	return slices.ContainsFunc([]string{".tar", ".zst", ".gz", ".tgz", ".zip", ".xz", ".bz2", ".7z", ".rar"}, func(end string) bool {
		return strings.HasSuffix(strings.ToLower(name), end)
	})
}
