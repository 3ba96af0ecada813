package registry

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"github.com/tenon-ml/tenon/host/durable"
	"github.com/tenon-ml/tenon/host/fault"
)

const (
	// maxBehind is how many rows the log can be short of the table after a crash or a full disk: those of one change. What is missing beyond
	// that, somebody removed.
	maxBehind = 2
	// recentRows is how many of the last rows Open holds against the hash chain. The whole of it is for VerifyAudit.
	recentRows = 2048
	// readerConnections bounds how many lists are read at once.
	readerConnections = 4
)

// openDatabase opens or makes the database and the log, and holds them against each other.
func (r *Registry) openDatabase(ctx context.Context) error {
	path := r.path(DatabaseName)
	fresh, err := r.isFresh()
	if err != nil {
		return err
	}
	if fresh {
		if err := r.createDatabase(ctx, path); err != nil {
			return err
		}
	}
	if err := checkHeader(r.dir, path); err != nil {
		return err
	}
	if r.writers, err = connect(path, modeWrite, 1, "journal_mode(WAL)", "synchronous(FULL)", "journal_size_limit(67108864)"); err != nil {
		return r.sqlFault(err)
	}
	if err := checkSchema(ctx, r.dir, path, r.writers); err != nil {
		return err
	}
	if err := quickCheck(ctx, r.dir, path, r.writers); err != nil {
		return err
	}
	if r.writer, err = r.writers.Conn(ctx); err != nil {
		return r.sqlFault(err)
	}
	if r.readers, err = connect(path, modeRead, readerConnections, "query_only(1)"); err != nil {
		return r.sqlFault(err)
	}
	if err := r.openLog(ctx); err != nil {
		return err
	}
	return r.checkAliases(ctx)
}

// isFresh reports whether nothing was ever kept here. A directory that has a part of what belongs together is damaged.
func (r *Registry) isFresh() (bool, error) {
	there := func(name string) (bool, error) {
		info, err := os.Lstat(r.path(name))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return false, nil
		case err != nil:
			return false, dirFault(r.dir, err)
		case info.IsDir():
			entries, err := os.ReadDir(r.path(name))
			if err != nil {
				return false, dirFault(r.dir, err)
			}
			return len(entries) > 0, nil
		}
		return name != LogName || info.Size() > 0, nil // an empty log is made before the database
	}
	database, err := there(DatabaseName)
	if err != nil || database {
		return false, err
	}
	for _, name := range []string{LogName, DatabaseName + "-wal", adaptersName, reportsName} {
		left, err := there(name)
		if err != nil {
			return false, err
		}
		if left {
			return false, corrupt(r.dir, r.path(DatabaseName), "the database is gone, but %s is there", name)
		}
	}
	return true, nil
}

// createDatabase makes the log and then, in one step, the database: there is never one without its tables.
func (r *Registry) createDatabase(ctx context.Context, path string) error {
	log, err := openJournal(r.path(LogName), true, r.disk.sync)
	if err != nil {
		return dirFault(r.dir, err)
	}
	if err := log.file.Close(); err != nil {
		return dirFault(r.dir, err)
	}
	work := r.path(incomingName, DatabaseName)
	if err := buildDatabase(ctx, r.dir, work, func(*sql.DB) error { return nil }); err != nil {
		return err
	}
	if err := os.Rename(work, path); err != nil {
		return dirFault(r.dir, err)
	}
	return r.disk.syncDir(r.dir)
}

// buildDatabase makes a database file that has the schema and what fill adds. The file is synced and closed when it returns.
func buildDatabase(ctx context.Context, dir, work string, fill func(*sql.DB) error) error {
	f, err := os.OpenFile(work, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return dirFault(dir, err)
	}
	f.Close() // SQLite's locks would end with any later close
	db, err := connect(work, modeWrite, 1, "synchronous(FULL)")
	if err != nil {
		return sqlFault(dir, work, err)
	}
	err = createSchema(ctx, db)
	if err == nil {
		err = fill(db)
	}
	if err := errors.Join(err, db.Close()); err != nil {
		return sqlFault(dir, work, err)
	}
	return nil
}

// checkHeader refuses a file that is not one of Tenon's databases before SQLite, which might convert it, has seen it.
func checkHeader(dir, path string) error {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return corrupt(dir, path, "the database cannot be opened").Wrap(err)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return corrupt(dir, path, "the database is not a file").Wrap(err)
	}
	var header [100]byte
	n, err := f.ReadAt(header[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return durable.Fault(path, err)
	}
	switch {
	case n == 0:
		return corrupt(dir, path, "the database is empty")
	case n < len(header) || string(header[:16]) != "SQLite format 3\x00":
		return corrupt(dir, path, "the file is not an SQLite database")
	case binary.BigEndian.Uint32(header[68:]) != applicationID:
		return corrupt(dir, path, "it is a database, but not one of Tenon's")
	}
	if version := binary.BigEndian.Uint32(header[60:]); version > schemaVersion {
		return newer(path, int64(version))
	}
	return nil
}

// newer refuses the database of a newer program.
func newer(path string, version int64) error {
	return fault.New(fault.RegNewer, "a newer Tenon wrote the database: its version is %d, and this program knows %d", version, schemaVersion).In(path).
		Fix("use the newer Tenon, or put back the copy of the data directory from before it was used")
}

// quickCheck walks the pages of the database.
func quickCheck(ctx context.Context, dir, path string, db *sql.DB) error {
	var result string
	if err := db.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&result); err != nil {
		return sqlFault(dir, path, err)
	}
	if result != "ok" {
		return corrupt(dir, path, "the database is damaged: %s", result)
	}
	return nil
}

// openLog holds the end of the log against the end of the table, and writes what the log lacks.
func (r *Registry) openLog(ctx context.Context) error {
	path := r.path(LogName)
	head, err := r.head(ctx)
	if err != nil {
		return err
	}
	log, err := openJournal(path, head.sequence == 0, r.disk.sync)
	if errors.Is(err, fs.ErrNotExist) {
		return corrupt(r.dir, path, "the audit log is gone, and the database has %d rows of it", head.sequence)
	} else if err != nil {
		return dirFault(r.dir, err)
	}
	r.journal = log
	last, complete, torn, err := log.tail()
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return corrupt(r.dir, path, "the last line of the audit log is damaged")
	case err != nil:
		return err
	case last.sequence > head.sequence:
		return corrupt(r.dir, r.path(DatabaseName), "the database ends at row %d and the audit log at row %d: rows of the database are lost", head.sequence, last.sequence)
	case torn > 0 && last.sequence == head.sequence:
		return corrupt(r.dir, r.path(DatabaseName), "the database ends at row %d and the audit log has a part of the next: rows of the database are lost", head.sequence)
	case head.sequence-last.sequence > maxBehind:
		return corrupt(r.dir, path, "the audit log ends at row %d and the database at row %d: lines of the log are lost", last.sequence, head.sequence)
	}
	if torn > 0 {
		if err := log.file.Truncate(complete); err != nil {
			return dirFault(r.dir, err)
		}
		log.size = complete
	}
	return r.checkRecent(ctx, last, head)
}

// checkRecent holds the last rows against the hash chain and against the last line of the log, and writes the lines that it lacks.
func (r *Registry) checkRecent(ctx context.Context, last, head row) error {
	from := uint64(0)
	if last.sequence > recentRows {
		from = last.sequence - recentRows
	}
	var missing []row
	chain := chainFrom(from)
	err := walkRows(ctx, r.readers, from, func(got row) error {
		if bad := chain.next(got); bad != nil {
			return corrupt(r.dir, r.path(DatabaseName), "row %d of the audit table %s", bad.Sequence, bad.Problem)
		}
		if got.sequence == last.sequence && got.hash != last.hash {
			return corrupt(r.dir, r.path(DatabaseName), "row %d of the audit table is not the one that the audit log has", got.sequence)
		}
		if got.sequence > last.sequence {
			missing = append(missing, got)
		}
		return nil
	})
	if err != nil {
		return r.sqlFault(err)
	}
	if chain.after != head.sequence {
		return corrupt(r.dir, r.path(DatabaseName), "row %d of the audit table is gone", chain.after+1)
	}
	if len(missing) == 0 {
		return nil
	}
	r.log.Warn("the audit log was short of rows that the database has, which are added", "dir", r.dir, "rows", len(missing))
	if err := r.journal.add(missing); err != nil && !isSpace(err) { // where there is no space, the next change tries again
		return err
	}
	return nil
}

// head is the last row of the audit table; the zero row of an empty one.
func (r *Registry) head(ctx context.Context) (row, error) {
	last, err := headOf(ctx, r.writer)
	return last, r.sqlFault(err)
}

// querier is a connection or a pool of them.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// headOf is the last row, without its text.
func headOf(ctx context.Context, db querier) (row, error) {
	var r row
	var hash []byte
	err := db.QueryRowContext(ctx, "SELECT sequence, hash FROM audit ORDER BY sequence DESC LIMIT 1").Scan(&r.sequence, &hash)
	if errors.Is(err, sql.ErrNoRows) {
		return row{}, nil
	}
	r.hash = hashOf(hash)
	return r, err
}
