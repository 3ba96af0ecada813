package registry

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/go-json-experiment/json"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/tenon-ml/tenon/host/durable"
	"github.com/tenon-ml/tenon/host/fault"
)

// AuditReport says whether the audit table is what was written.
type AuditReport struct {
	Rows   uint64   // that are what was written, from the first on
	Head   [32]byte // hash of the last of them
	Intact bool
	Bad    *BadRow // the first row that is not what was written; nil where all are
}

// BadRow is a row that was edited, removed, put elsewhere or added.
type BadRow struct {
	Sequence        uint64
	Problem         string // what became of it: "was edited", as the end of a sentence
	Expected, Found string
}

// VerifyAudit walks the whole audit table: each row against the hash chain and its line in the audit log, the columns beside the rows, and
// what the aliases mean.
func (r *Registry) VerifyAudit(ctx context.Context) (AuditReport, error) {
	return VerifyAuditDir(ctx, r.dir)
}

// VerifyAuditDir is VerifyAudit of a data directory, whether a host runs on it or not. It changes nothing.
func VerifyAuditDir(ctx context.Context, dir string) (AuditReport, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return AuditReport{}, fault.New(fault.UsageFlag, "the data directory has no name").Wrap(err)
	}
	v := &verification{ctx: ctx, dir: dir, chain: chainFrom(0), last: map[aliasKey]aliasState{}}
	report, err := v.run()
	if err == nil || ctx.Err() == nil {
		return report, err
	}
	return report, fault.New(fault.Canceled, "it was given up").In(dir).Wrap(err)
}

// aliasKey is an alias of a base; aliasState is what the last change of it says.
type (
	aliasKey struct {
		base  digest
		alias string
	}
	aliasState struct {
		sequence uint64
		live     bool
	}
)

// verification is one walk.
type verification struct {
	ctx   context.Context
	dir   string
	chain *chain
	log   *logReader
	least int64 // bytes of the log before the table was looked at, which has all their rows
	last  map[aliasKey]aliasState
	bad   *BadRow
}

// errBad ends a walk at a bad row.
var errBad = errors.New("bad row")

func (v *verification) run() (AuditReport, error) {
	log, err := v.openLog()
	if err != nil {
		return AuditReport{}, err
	}
	defer log.Close()
	return v.compare()
}

// openLog opens the log and notes its size. A host that runs writes a row to the table before it writes it to the log: a state of the table
// that is looked at from now on has all rows of these bytes, and the log, which is read to its end, comes to have all rows of that state but
// those of the last change.
func (v *verification) openLog() (*os.File, error) {
	log, err := openRegular(filepath.Join(v.dir, LogName))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if _, err := os.Lstat(filepath.Join(v.dir, DatabaseName)); errors.Is(err, fs.ErrNotExist) {
			return nil, fault.New(fault.IONotFound, "it is not a data directory: there is neither a database nor an audit log").In(v.dir).Fix("name the directory that tenon serve was given with --data")
		}
		return nil, corrupt(v.dir, filepath.Join(v.dir, LogName), "the audit log is gone")
	case err != nil:
		return nil, durable.Fault(filepath.Join(v.dir, LogName), err)
	}
	info, err := log.Stat()
	if err != nil {
		log.Close()
		return nil, durable.Fault(filepath.Join(v.dir, LogName), err)
	}
	v.log, v.least = newLogReader(log), info.Size()
	return log, nil
}

// compare holds a state of the table against the log.
func (v *verification) compare() (AuditReport, error) {
	path := filepath.Join(v.dir, DatabaseName)
	db, err := openToRead(v.ctx, v.dir)
	if err != nil {
		return AuditReport{}, err
	}
	defer db.Close()
	// One transaction sees one state.
	tx, err := db.BeginTx(v.ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return AuditReport{}, sqlFault(v.dir, path, err)
	}
	defer tx.Rollback()
	err = v.walk(tx)
	if err != nil && !errors.Is(err, errBad) {
		return AuditReport{}, sqlFault(v.dir, path, err)
	}
	return AuditReport{Rows: v.chain.after, Head: v.chain.previous, Intact: v.bad == nil, Bad: v.bad}, nil
}

// openToRead opens the database of a directory that a host may be running on.
func openToRead(ctx context.Context, dir string) (*sql.DB, error) {
	path := filepath.Join(dir, DatabaseName)
	if _, err := os.Lstat(path); err != nil {
		return nil, corrupt(dir, path, "the database is gone").Wrap(err)
	}
	db, err := connectToRead(ctx, dir, path, modeRead)
	if cause := primary(err); cause == sqlite3.SQLITE_CANTOPEN || cause == sqlite3.SQLITE_READONLY {
		// SQLite wants to make files beside the database. Where nobody can, nobody writes either; but what a write-ahead log holds stays unread.
		if info, err := os.Lstat(path + "-wal"); err != nil || info.Size() == 0 {
			return connectToRead(ctx, dir, path, modeFrozen)
		}
	}
	return db, err
}

func connectToRead(ctx context.Context, dir, path, mode string) (*sql.DB, error) {
	db, err := connect(path, mode, 1, "query_only(1)")
	if err != nil {
		return nil, sqlFault(dir, path, err)
	}
	if err := checkSchema(ctx, dir, path, db); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// fail notes the first bad row.
func (v *verification) fail(sequence uint64, problem, expected, found string) error {
	v.bad = &BadRow{Sequence: sequence, Problem: problem, Expected: expected, Found: found}
	return errBad
}

// walk compares the table with the log, row by row.
func (v *verification) walk(db querier) error {
	short := uint64(0) // rows that the log lacks
	rows, err := db.QueryContext(v.ctx, "SELECT sequence, topic, tenant, alias, record, hash FROM audit ORDER BY sequence")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var got row
		var topic, tenant, alias string
		var hash []byte
		if err := rows.Scan(&got.sequence, &topic, &tenant, &alias, &got.text, &hash); err != nil {
			return err
		}
		got.hash = hashOf(hash)
		logged, ok, err := v.log.line()
		switch {
		case errors.Is(err, io.EOF):
			short++
		case err != nil:
			return durable.Fault(filepath.Join(v.dir, LogName), err)
		case !ok:
			return v.fail(v.chain.after+1, "has a line in the audit log that was edited", "a row", "a line that is none")
		}
		if v.bad = v.chain.next(got); v.bad != nil {
			return errBad
		}
		if ok && (logged.hash != got.hash || string(logged.text) != string(got.text)) {
			return v.fail(got.sequence, "is not the one that the audit log has", hex.EncodeToString(logged.hash[:]), hex.EncodeToString(got.hash[:]))
		}
		if err := v.columns(got, topic, tenant, alias); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if err := rows.Close(); err != nil {
		return err
	}
	if short > maxBehind {
		return v.fail(v.chain.after-short+1, "is gone from the audit log, and all after it", fmt.Sprintf("%d rows", v.chain.after), fmt.Sprintf("%d rows", v.chain.after-short))
	}
	if short == 0 && v.log.read < v.least {
		return v.fail(v.chain.after+1, "is gone, and all after it", "a row", "the end of the table")
	}
	return v.aliases(db)
}

// columns holds the columns beside a record against it, and notes what aliases mean.
func (v *verification) columns(got row, topic, tenant, alias string) error {
	rec := v.chain.record
	if topic != topicOf(rec.Kind) || tenant != rec.Tenant || alias != rec.Alias {
		return v.fail(got.sequence, "has columns that are not what its record says", fmt.Sprintf("%s %q %q", topicOf(rec.Kind), rec.Tenant, rec.Alias), fmt.Sprintf("%s %q %q", topic, tenant, alias))
	}
	if topic == topicActivation {
		var d activationDetail
		if err := json.Unmarshal(rec.Detail, &d); err != nil {
			return v.fail(got.sequence, "is not an activation", "an activation", err.Error())
		}
		v.last[aliasKey{d.Base, rec.Alias}] = aliasState{got.sequence, rec.Kind != ActionUnload}
	}
	return nil
}

// aliases holds the table of aliases against the last change of each.
func (v *verification) aliases(db querier) error {
	rows, err := db.QueryContext(v.ctx, "SELECT base, alias, sequence, live FROM aliases")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var base []byte
		var key aliasKey
		var sequence, live int64 // whatever somebody wrote there
		if err := rows.Scan(&base, &key.alias, &sequence, &live); err != nil {
			return err
		}
		copy(key.base[:], base)
		is := aliasState{uint64(max(sequence, 0)), live == 1}
		if len(base) != len(key.base) || live != 0 && live != 1 {
			return v.fail(max(v.last[key].sequence, is.sequence), fmt.Sprintf("is not what alias %q means", key.alias), fmt.Sprintf("a base of %d bytes, live 0 or 1", len(key.base)),
				fmt.Sprintf("a base of %d bytes, live %d", len(base), live))
		}
		want, ok := v.last[key]
		if !ok || want != is {
			return v.fail(max(want.sequence, is.sequence), fmt.Sprintf("is not what alias %q means", key.alias), fmt.Sprintf("row %d, live %v", want.sequence, want.live),
				fmt.Sprintf("row %d, live %v", is.sequence, is.live))
		}
		delete(v.last, key)
	}
	for key, want := range v.last {
		return v.fail(want.sequence, fmt.Sprintf("is what alias %q means, and the alias is gone", key.alias), fmt.Sprintf("row %d", want.sequence), "no alias")
	}
	return rows.Err()
}
