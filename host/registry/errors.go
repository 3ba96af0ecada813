package registry

import (
	"errors"
	"syscall"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/tenon-ml/tenon/host/durable"
	"github.com/tenon-ml/tenon/host/fault"
)

// corrupt says that a file of the data directory is damaged, and what to do.
func corrupt(dir, file, cause string, args ...any) *fault.Error {
	return fault.New(fault.RegCorrupt, cause, args...).In(file).
		Fix("copy %[1]s first; then put a backup in its place, or build the database again from what is in the store: tenon registry repair --from-store %[1]s", dir)
}

// sqlFault gives an error of SQLite its code. What is a fault already stays as it is.
func (r *Registry) sqlFault(err error) error { return sqlFault(r.dir, r.path(DatabaseName), err) }

func sqlFault(dir, file string, err error) error {
	if err == nil || len(fault.All(err)) > 0 {
		return err
	}
	switch primary(err) {
	case sqlite3.SQLITE_FULL:
		return durable.Fault(file, errors.Join(err, syscall.ENOSPC))
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT:
		return corrupt(dir, file, "the database is damaged, or is none").Wrap(err)
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM:
		return fault.New(fault.RegReadOnly, "the database cannot be written").In(file).Wrap(err).
			Fix("give this user the right to write the file and its directory, and mount the file system for writing")
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return fault.New(fault.RegLocked, "another process uses the database").In(file).Wrap(err).Fix("close it there, an SQLite shell for instance")
	case sqlite3.SQLITE_INTERRUPT:
		return fault.New(fault.Canceled, "it was interrupted").In(file).Wrap(err)
	case sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN:
		return durable.Fault(file, err)
	}
	return fault.New(fault.IORead, "the database does not answer").In(file).Wrap(err)
}

// primary is SQLite's result code without what extends it; 0 for another error.
func primary(err error) int {
	var e *sqlite.Error
	if errors.As(err, &e) {
		return e.Code() & 0xff
	}
	return 0
}

// harmless reports whether a failed write left SQLite as it was: the transaction is gone and the file can be trusted. After any other error
// nobody knows what the disk holds.
func harmless(err error) bool {
	switch primary(err) {
	case sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_CONSTRAINT:
		return true
	}
	return len(fault.All(err)) > 0 // ours: it was decided before anything was written
}

// isSpace reports whether err says that the disk is full.
func isSpace(err error) bool {
	list := fault.All(err)
	return len(list) > 0 && list[0].Code == fault.IOSpace
}

func isReadOnly(err error) bool { return errors.Is(err, syscall.EROFS) }
