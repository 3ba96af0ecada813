package registry

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/tenon-ml/tenon/host/durable"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/internal/crashpoint"
)

// The points of a repair at which a test ends the process.
var (
	pointRepairBuilt   = crashpoint.Define("registry.repair.built")   // beside the old files
	pointRepairLogged  = crashpoint.Define("registry.repair.logged")  // the new log is in place
	pointRepairCleared = crashpoint.Define("registry.repair.cleared") // and the old database's own log is gone
	pointRepairDone    = crashpoint.Define("registry.repair.done")
)

// RepairReport says what a repair found.
type RepairReport struct {
	Source      string // what the rows were taken from: LogName or DatabaseName, "" where neither had any
	Rows        uint64 // audit rows in the new database, the repair's own included
	Problem     string // where the source stops being intact: what comes after is lost; "" where it does not
	Aliases     int    // that mean something
	Adapters    int    // in the store, whose bytes are what they were
	Reports     int    // in the store that no row told of, whose decisions were recorded again
	Quarantined int    // adapters and reports that are not what they were, and were put aside
	Aside       string // directory with the files as they were before
}

// Repair builds the database and the log of a data directory again: from the log or the old database, whichever has more rows that are what
// was written, and from the reports in the store. Adapters and reports that are not what they were go into quarantine. The old files are kept.
// No host may run on the directory. A repair that was interrupted is begun again.
func Repair(ctx context.Context, dir string) (RepairReport, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return RepairReport{}, fault.New(fault.UsageFlag, "the data directory has no name").Wrap(err)
	}
	r := &Registry{dir: dir, log: slog.New(slog.DiscardHandler), now: time.Now, disk: realDisk}
	if !r.hasAnything() {
		return RepairReport{}, fault.New(fault.IONotFound, "it is not a data directory: there is nothing to build a database from").In(dir).
			Fix("name the directory that tenon serve was given with --data")
	}
	if err := makeDirs(dir); err != nil {
		return RepairReport{}, err
	}
	if r.lock, err = takeLock(dir); err != nil {
		return RepairReport{}, err
	}
	defer r.lock.Close()
	if _, err := clean(dir); err != nil {
		return RepairReport{}, err
	}
	return r.repair(ctx)
}

// hasAnything reports whether the directory holds anything of a registry.
func (r *Registry) hasAnything() bool {
	for _, name := range []string{DatabaseName, LogName, adaptersName, reportsName} {
		if _, err := os.Lstat(r.path(name)); err == nil {
			return true
		}
	}
	return false
}

func (r *Registry) repair(ctx context.Context) (RepairReport, error) {
	source, err := r.bestSource(ctx)
	if err != nil {
		return RepairReport{}, err
	}
	report := RepairReport{Source: source.name, Problem: source.problem}
	found, err := r.checkStore(ctx, &report)
	if err != nil {
		return report, err
	}
	work := r.path(incomingName, DatabaseName)
	b := &builder{r: r, ctx: ctx, aliases: map[aliasKey]aliasState{}, reports: found}
	if err := b.openLog(r.path(incomingName, LogName)); err != nil {
		return report, err
	}
	defer b.file.Close()
	if err := buildDatabase(ctx, r.dir, work, func(db *sql.DB) error { return b.fill(db, source, &report) }); err != nil {
		return report, err
	}
	if err := b.closeLog(); err != nil {
		return report, err
	}
	crashpoint.Here(pointRepairBuilt)
	if report.Aside, err = r.putAside(); err != nil {
		return report, err
	}
	return report, r.publishRepair()
}

// putAside gives the old files second names, so that they outlive the new ones' coming into their places.
func (r *Registry) putAside() (string, error) {
	aside, err := os.MkdirTemp(r.path(quarantineName), "registry-")
	if err != nil {
		return "", durable.Fault(r.path(quarantineName), err)
	}
	for _, name := range []string{DatabaseName, DatabaseName + "-wal", LogName} {
		if err := os.Link(r.path(name), filepath.Join(aside, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", durable.Fault(r.path(name), err)
		}
	}
	return aside, errors.Join(durable.SyncDir(aside), durable.SyncDir(r.path(quarantineName)))
}

// publishRepair puts the new files into their places. The log goes first: from then on the old database is one that lost rows, which no host
// opens, and a second repair takes the rows from the log. The old database's write-ahead log goes before the new database comes, which it
// would damage.
func (r *Registry) publishRepair() error {
	if err := os.Rename(r.path(incomingName, LogName), r.path(LogName)); err != nil {
		return durable.Fault(r.path(LogName), err)
	}
	if err := r.disk.syncDir(r.dir); err != nil {
		return err
	}
	crashpoint.Here(pointRepairLogged)
	for _, suffix := range []string{"-wal", "-shm", "-journal"} {
		if err := os.Remove(r.path(DatabaseName + suffix)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return durable.Fault(r.path(DatabaseName+suffix), err)
		}
	}
	if err := r.disk.syncDir(r.dir); err != nil {
		return err
	}
	crashpoint.Here(pointRepairCleared)
	if err := os.Rename(r.path(incomingName, DatabaseName), r.path(DatabaseName)); err != nil {
		return durable.Fault(r.path(DatabaseName), err)
	}
	crashpoint.Here(pointRepairDone)
	return r.disk.syncDir(r.dir)
}
