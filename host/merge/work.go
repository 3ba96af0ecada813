package merge

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"

	"github.com/tenon-ml/tenon/host/durable"
	"github.com/tenon-ml/tenon/host/fault"
)

// What a work directory holds. Only what is in modelName is ever published, so the lock and the journal never have to go first.
const (
	lockName    = "lock"
	journalName = "journal"
	modelName   = "model"
)

// work is the directory a merge is written in, beside its output: ".OUT.tenon-" and 16 hexadecimal digits, which depend on everything
// that decides the bytes of the shards. One run at a time has its lock.
type work struct {
	dir     string
	model   string // the directory in it that becomes the output
	lock    *os.File
	journal *journal
}

// openWork makes the work directory, or takes over one that an earlier run of the same merge left.
func openWork(out string, key [32]byte) (*work, error) {
	parent := filepath.Dir(out)
	if _, err := os.Stat(parent); err != nil {
		return nil, fault.New(fault.IONotFound, "the output's parent directory cannot be used").In(parent).Wrap(err).Fix("make it first")
	}
	w := &work{dir: filepath.Join(parent, fmt.Sprintf("%s%x", workPrefix(out), key[:8]))}
	w.model = filepath.Join(w.dir, modelName)
	for w.lock == nil {
		if err := os.Mkdir(w.dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, fault.New(fault.IOWrite, "the output's parent directory cannot be written").In(parent).Wrap(err)
		}
		if _, err := os.Lstat(w.dir); errors.Is(err, fs.ErrNotExist) {
			continue // a run that had it has just ended
		}
		if !isOwn(w.dir) {
			return nil, fault.New(fault.IOWrite, "somebody else has made the directory the merge is to be written in").In(w.dir).
				Fix("remove it, or write somewhere else")
		}
		var err error
		if w.lock, err = lockFile(filepath.Join(w.dir, lockName)); errors.Is(err, fs.ErrNotExist) {
			continue // the run that had the lock has just removed the directory
		} else if err != nil {
			return nil, durable.Fault(w.dir, err)
		} else if w.lock == nil {
			return nil, fault.New(fault.IOWrite, "another run is writing this very merge").In(w.dir).Fix("wait for it")
		}
	}
	err := os.Mkdir(w.model, 0o755)
	if err == nil || errors.Is(err, fs.ErrExist) {
		w.journal, err = openJournal(filepath.Join(w.dir, journalName), key)
	}
	if err != nil {
		w.close()
		return nil, durable.Fault(w.dir, err)
	}
	return w, nil
}

func workPrefix(out string) string { return "." + filepath.Base(out) + ".tenon-" }

// isOwn reports whether dir is a directory that this user made and nobody else can write to: its name can be guessed, and what is found
// in it is taken over.
func isOwn(dir string) bool {
	info, err := os.Lstat(dir)
	if err != nil {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && info.IsDir() && int(stat.Uid) == os.Geteuid() && info.Mode().Perm()&0o077 == 0
}

// lockFile locks the file at path, which it makes where it is missing. It returns nil where another run has it, and fs.ErrNotExist where
// that run removed it meanwhile.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	ours, err := durable.Lock(f)
	if err == nil && ours {
		// What was locked must still be what the next run would lock.
		var locked, named fs.FileInfo
		if locked, err = f.Stat(); err == nil {
			if named, err = os.Lstat(path); err == nil && os.SameFile(locked, named) {
				return f, nil
			}
		}
		if err == nil {
			err = fs.ErrNotExist
		}
	}
	f.Close()
	return nil, err
}

// publish makes the directory of the model the output. What is in it and not in the receipt, an earlier run or a backend left there.
func (w *work) publish(out string, r *Receipt) error {
	known := map[string]bool{ReceiptName: true}
	for _, f := range r.Files {
		known[filepath.FromSlash(f.Name)] = true
	}
	err := filepath.WalkDir(w.model, func(path string, entry fs.DirEntry, err error) error {
		name, relErr := filepath.Rel(w.model, path)
		if err != nil || relErr != nil || name == "." || known[name] || entry.IsDir() && leadsTo(r.Files, filepath.ToSlash(name)) {
			return errors.Join(err, relErr)
		}
		if err := os.RemoveAll(path); err != nil || !entry.IsDir() {
			return err
		}
		return fs.SkipDir
	})
	if err != nil {
		return durable.Fault(w.model, err)
	}
	return durable.Publish(w.model, out)
}

// close gives the lock back.
func (w *work) close() {
	if w.journal != nil {
		w.journal.close()
	}
	w.lock.Close()
}

// remove removes the directory, while the lock keeps others out.
func (w *work) remove() { _ = os.RemoveAll(w.dir) }

// workSuffix is how the name of a work directory ends.
var workSuffix = regexp.MustCompile(`^[0-9a-f]{16}$`)

// sweepWork removes the work directories that other merges into the same output left and that nobody is writing in: the output exists now,
// so none of them can end. What cannot be removed stays.
func sweepWork(out string) {
	parent := filepath.Dir(out)
	entries, err := os.ReadDir(parent)
	if err != nil {
		return
	}
	for _, entry := range entries {
		digits, ok := strings.CutPrefix(entry.Name(), workPrefix(out))
		dir := filepath.Join(parent, entry.Name())
		if !ok || !workSuffix.MatchString(digits) || !isOwn(dir) {
			continue
		}
		if _, err := os.Lstat(filepath.Join(dir, lockName)); err != nil {
			continue // not one of ours, or just being made
		}
		if lock, err := lockFile(filepath.Join(dir, lockName)); err == nil && lock != nil {
			_ = os.RemoveAll(dir)
			lock.Close()
		}
	}
}
