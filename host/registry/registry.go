// Package registry remembers, in one data directory, what was decided and what is live.
//
// The directory holds
//
//	registry.db   SQLite: the audit table, which is all that was ever decided, and what each alias means now
//	audit.log     the same rows once more, one a line, written after the database has them
//	adapters/     bytes, by digest: adapters/HEX/ and, beside it, HEX.json with the digest of each file
//	reports/      reports of decisions, by their own digest
//	incoming/     what is being written; nothing in it is ever read
//	quarantine/   what was not what it should be, for somebody to look at
//	lock          held while a host runs; the process that holds it is named in it
//
// The database is the truth: a change has happened when its transaction is committed. The log is there to notice that rows went missing at
// the end, where the hash chain of the table cannot, and to build the database again. Weights are never in the database.
package registry

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/tenon-ml/tenon/host/durable"
	"github.com/tenon-ml/tenon/host/fault"
)

// The names in a data directory.
const (
	DatabaseName   = "registry.db"
	LogName        = "audit.log"
	lockName       = "lock"
	adaptersName   = "adapters"
	reportsName    = "reports"
	incomingName   = "incoming"
	quarantineName = "quarantine"
)

// Options of a registry.
type Options struct {
	Dir string           // data directory; made where it is missing
	Log *slog.Logger     // nil is silence
	Now func() time.Time // nil is time.Now
}

// Registry is an open data directory. Its methods are called from many goroutines at once.
type Registry struct {
	dir       string
	log       *slog.Logger
	now       func() time.Time
	disk      disk
	lock      *os.File
	temporary bool // Close removes the directory

	readers *sql.DB
	writers *sql.DB // of one connection

	mu      sync.Mutex // of everything below, and of the writer
	writer  *sql.Conn
	journal *journal
	start   *entry // the row that says that this host started, until it is in the table
	broken  error  // why nothing is written any more; nil while all is well
	closed  bool

	publishing sync.Mutex // one file or directory becomes visible at a time
}

// Open opens a data directory, and makes it where it is missing. It refuses with fault.RegLocked where another process has it,
// fault.RegCorrupt where it is damaged, fault.RegNewer where a newer Tenon wrote it, fault.RegReadOnly and fault.RegNetwork; each says what
// can be done. What an interrupted host left unfinished is removed.
func Open(ctx context.Context, o Options) (*Registry, error) {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fault.New(fault.UsageFlag, "the data directory has no name").In(o.Dir).Wrap(err)
	}
	r := &Registry{dir: dir, log: o.Log, now: o.Now, disk: realDisk}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	if r.now == nil {
		r.now = time.Now
	}
	if err := r.open(ctx); err != nil {
		return nil, errors.Join(err, r.release())
	}
	return r, nil
}

func (r *Registry) open(ctx context.Context) error {
	if err := makeDirs(r.dir); err != nil {
		return err
	}
	if err := checkFileSystem(r.dir, r.log); err != nil {
		return err
	}
	var err error
	if r.lock, err = takeLock(r.dir); err != nil {
		return err
	}
	leftovers, err := clean(r.dir)
	if err != nil {
		return err
	}
	if leftovers > 0 {
		r.log.Warn("an interrupted host left files behind, which are removed", "dir", r.dir, "files", leftovers)
	}
	if err := r.openDatabase(ctx); err != nil {
		return err
	}
	r.start = &entry{Kind: KindStart, Actor: "host", Detail: startDetail{Process: os.Getpid(), Leftovers: leftovers}}
	err = r.write(ctx, func(*change) error { return nil })
	if isSpace(err) {
		// What is live can be served from a full disk: the row is written with the next change.
		r.log.Warn("the disk is full: nothing can be changed until there is space", "dir", r.dir, "error", err)
		return nil
	}
	return err
}

// Temporary opens a registry in a directory of its own, which Close removes.
func Temporary(ctx context.Context, log *slog.Logger) (*Registry, error) {
	dir, err := os.MkdirTemp("", temporaryPrefix)
	if err != nil {
		return nil, durable.Fault(os.TempDir(), err)
	}
	r, err := Open(ctx, Options{Dir: dir, Log: log})
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	r.temporary = true
	removeAbandoned(os.TempDir(), r.now())
	return r, nil
}

// Close gives the data directory back. What was committed is on the disk already.
func (r *Registry) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil
	}
	return r.release()
}

// release closes all that is open.
func (r *Registry) release() error {
	r.closed = true
	var errs []error
	if r.writer != nil {
		errs = append(errs, r.writer.Close())
	}
	for _, db := range []*sql.DB{r.readers, r.writers} { // the last to close writes the log of SQLite back
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	if r.journal != nil {
		errs = append(errs, r.journal.file.Close())
	}
	if r.temporary {
		errs = append(errs, os.RemoveAll(r.dir))
	}
	if r.lock != nil {
		errs = append(errs, r.lock.Close())
	}
	return errors.Join(errs...)
}

// Dir is the data directory, absolute.
func (r *Registry) Dir() string { return r.dir }

func (r *Registry) path(name ...string) string {
	return filepath.Join(append([]string{r.dir}, name...)...)
}

// makeDirs makes the data directory and the folders in it.
func makeDirs(dir string) error {
	for _, name := range []string{"", adaptersName, reportsName, incomingName, quarantineName} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(path, 0o700); err != nil {
			return dirFault(dir, err)
		}
	}
	return durable.SyncDir(dir)
}

// dirFault says why a data directory cannot be used.
func dirFault(dir string, err error) error {
	switch {
	case isReadOnly(err) || errors.Is(err, fs.ErrPermission):
		return fault.New(fault.RegReadOnly, "the data directory cannot be written").In(dir).Wrap(err).
			Fix("give this user the right to write there and mount the file system for writing, or name another --data directory")
	case errors.Is(err, fs.ErrExist):
		return fault.New(fault.IOFileType, "the data directory is a file, or has one in a folder's place").In(dir).Wrap(err).Fix("name another --data directory")
	}
	return durable.Fault(dir, err)
}
