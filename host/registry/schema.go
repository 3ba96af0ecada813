package registry

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/tenon-ml/tenon/host/fault"
)

// schemaVersion is the user_version of the databases this program writes.
const schemaVersion = 1

// applicationID marks the file as Tenon's: "TNON".
const applicationID = 0x544e4f4e

// leastSQLite is the oldest SQLite that is safe with a write-ahead log and several connections.
const leastSQLite = "3.51.3"

// schema is all that a database holds. Open compares it word by word, so that a table or trigger that somebody changed is noticed.
//
// Rows of audit are only ever added, each with the number after the last. The columns beside record repeat what it says, for the indexes.
var schema = []struct{ kind, name, sql string }{
	{"table", "audit", `CREATE TABLE audit (sequence INTEGER PRIMARY KEY, topic TEXT NOT NULL, tenant TEXT NOT NULL, alias TEXT NOT NULL, record TEXT NOT NULL, hash BLOB NOT NULL) STRICT`},
	{"table", "aliases", `CREATE TABLE aliases (base BLOB NOT NULL, alias TEXT NOT NULL, sequence INTEGER NOT NULL REFERENCES audit (sequence), live INTEGER NOT NULL, PRIMARY KEY (base, alias)) STRICT, WITHOUT ROWID`},
	{"index", "audit_tenant", `CREATE INDEX audit_tenant ON audit (tenant, sequence)`},
	{"index", "audit_decision", `CREATE INDEX audit_decision ON audit (sequence) WHERE topic = 'decision'`},
	{"index", "audit_decision_tenant", `CREATE INDEX audit_decision_tenant ON audit (tenant, sequence) WHERE topic = 'decision'`},
	{"index", "audit_activation", `CREATE INDEX audit_activation ON audit (alias, sequence) WHERE topic = 'activation'`},
	{"trigger", "audit_update", `CREATE TRIGGER audit_update BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'rows of the audit table are never changed'); END`},
	{"trigger", "audit_delete", `CREATE TRIGGER audit_delete BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'rows of the audit table are never removed'); END`},
	{"trigger", "audit_insert", `CREATE TRIGGER audit_insert BEFORE INSERT ON audit WHEN NEW.sequence IS NOT (SELECT coalesce(max(sequence), 0) + 1 FROM audit) BEGIN SELECT RAISE(ABORT, 'rows of the audit table are added at its end'); END`},
}

// The topics of audit rows: which lists they are in.
const (
	topicHost       = "host"
	topicDecision   = "decision"
	topicActivation = "activation"
)

// topicOf is the topic of a kind; "" for a kind that there is not.
func topicOf(kind string) string {
	switch kind {
	case KindStart, KindRepair:
		return topicHost
	case KindDecision, KindOverride:
		return topicDecision
	case ActionActivate, ActionRollback, ActionUnload:
		return topicActivation
	}
	return ""
}

// The modes of a connection.
const (
	modeWrite  = "rw"
	modeRead   = "ro"
	modeFrozen = "immutable" // to read, where nobody writes and nothing can be made beside the database
)

// dataSource is a database as the driver wants it named. Every byte of the path is escaped where it means something in a URI.
func dataSource(path, mode string, pragmas ...string) string {
	query := url.Values{"mode": {mode}, "_dqs": {"0"}, "_defensive": {"1"}, "_error_rc": {"1"}, "_busy_timeout": {"5000"}}
	if mode == modeFrozen {
		query["mode"], query["immutable"] = []string{modeRead}, []string{"1"}
	}
	query["_pragma"] = append([]string{"foreign_keys(1)", "trusted_schema(0)", "cell_size_check(1)"}, pragmas...)
	return (&url.URL{Scheme: "file", Path: path}).String() + "?" + query.Encode()
}

// connect opens a pool of at most n connections.
func connect(path, mode string, n int, pragmas ...string) (*sql.DB, error) {
	db, err := sql.Open("sqlite", dataSource(path, mode, pragmas...))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(n)
	db.SetMaxIdleConns(n)
	return db, nil
}

// createSchema fills an empty database.
func createSchema(ctx context.Context, db *sql.DB) error {
	statements := []string{fmt.Sprintf("PRAGMA application_id = %d", applicationID), fmt.Sprintf("PRAGMA user_version = %d", schemaVersion)}
	for _, s := range schema {
		statements = append(statements, s.sql)
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	for _, statement := range statements {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// checkSchema refuses a database that is not exactly one of this version's.
func checkSchema(ctx context.Context, dir, file string, db *sql.DB) error {
	var library string
	if err := db.QueryRowContext(ctx, "SELECT sqlite_version()").Scan(&library); err != nil {
		return sqlFault(dir, file, err)
	}
	if !atLeast(library, leastSQLite) {
		return fault.New(fault.RegSQLite, "this program has SQLite %s, and %s or newer is needed", library, leastSQLite).Fix("build it with a newer modernc.org/sqlite")
	}
	var application, version int64
	if err := db.QueryRowContext(ctx, "PRAGMA application_id").Scan(&application); err != nil {
		return sqlFault(dir, file, err)
	}
	if application != applicationID {
		return corrupt(dir, file, "it is a database, but not one of Tenon's")
	}
	if err := db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return sqlFault(dir, file, err)
	}
	if version > schemaVersion {
		return newer(file, version)
	}
	if version != schemaVersion {
		return corrupt(dir, file, "its version is %d, which there never was", version)
	}
	rows, err := db.QueryContext(ctx, "SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid")
	if err != nil {
		return sqlFault(dir, file, err)
	}
	defer rows.Close()
	found := 0
	for ; rows.Next(); found++ {
		var kind, name, text string
		if err := rows.Scan(&kind, &name, &text); err != nil {
			return sqlFault(dir, file, err)
		}
		if found >= len(schema) || kind != schema[found].kind || name != schema[found].name || text != schema[found].sql {
			return corrupt(dir, file, "%s %q of the database is not as Tenon made it", kind, name)
		}
	}
	if err := rows.Err(); err != nil {
		return sqlFault(dir, file, err)
	}
	if found != len(schema) {
		return corrupt(dir, file, "%s %q of the database is gone", schema[found].kind, schema[found].name)
	}
	return nil
}

// atLeast compares two versions of the form 3.51.3.
func atLeast(version, least string) bool {
	have, want := strings.Split(version, "."), strings.Split(least, ".")
	for i := range want {
		if i >= len(have) {
			return false
		}
		a, err := strconv.Atoi(have[i])
		b, _ := strconv.Atoi(want[i])
		if err != nil || a != b {
			return err == nil && a > b
		}
	}
	return true
}
