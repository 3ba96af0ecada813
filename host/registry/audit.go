package registry

import (
	"context"
	"path/filepath"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/tenon-ml/tenon/host/fault"
)

// AuditRow is one row of the audit table.
type AuditRow struct {
	Sequence uint64 // from 1, without holes: rows are ordered by it, never by their time
	Time     time.Time
	Kind     string // KindStart, …
	Actor    string
	Tenant   string
	Alias    string         // "" where the row is about none
	Detail   jsontext.Value // what the kind has to say
	Previous [32]byte       // hash of the row before; zero for the first
	Hash     [32]byte       // SHA-256 over Previous and the record
}

// The kinds of audit rows. An activation's kind is its action.
const (
	KindStart    = "start"    // a host opened the registry
	KindRepair   = "repair"   // the database was built again
	KindDecision = "decision" // the gate decided
	KindOverride = "override" // the gate was overridden: the row is that of the decision
)

// Audit lists audit rows, newest first, and where the next page starts ("" after the last).
func (r *Registry) Audit(ctx context.Context, page Page) (rows []AuditRow, next string, err error) {
	return r.listPage(ctx, page, "")
}

// AuditDir is Audit of a data directory, whether a host runs on it or not. It changes nothing.
func AuditDir(ctx context.Context, dir string, page Page) (rows []AuditRow, next string, err error) {
	dir, err = filepath.Abs(dir)
	if err != nil {
		return nil, "", fault.New(fault.UsageFlag, "the data directory has no name").Wrap(err)
	}
	r := &Registry{dir: dir}
	if !r.hasAnything() {
		return nil, "", fault.New(fault.IONotFound, "it is not a data directory").In(dir).Fix("name the directory that tenon serve was given with --data")
	}
	if r.readers, err = openToRead(ctx, dir); err != nil {
		return nil, "", err
	}
	defer r.readers.Close()
	return r.Audit(ctx, page)
}
