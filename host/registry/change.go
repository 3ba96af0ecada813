package registry

import (
	"context"

	"github.com/tenon-ml/tenon/host/durable"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/internal/crashpoint"
)

// The points of a change at which a test ends the process.
var (
	pointBegun     = crashpoint.Define("registry.commit.begun")
	pointWritten   = crashpoint.Define("registry.commit.written")
	pointCommitted = crashpoint.Define("registry.commit.committed")
	pointLogged    = crashpoint.Define("registry.commit.logged")
)

// change is one transaction. Its rows follow the last of the table.
type change struct {
	r    *Registry
	ctx  context.Context // of the transaction
	head row
	rows []row
}

// write runs fill in a transaction. When it returns nil, the transaction is on the disk; when it returns an error, nothing has changed,
// except that nobody knows after a disk that failed: then nothing more is written until the registry is opened again.
//
// A change that has begun runs to its end even when ctx ends: an answer that nobody waits for is still either yes or no.
func (r *Registry) write(ctx context.Context, fill func(*change) error) error {
	if err := ctx.Err(); err != nil {
		return fault.New(fault.Canceled, "it was given up before it began").Wrap(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return fault.New(fault.IOWrite, "the registry is closed").In(r.dir)
	}
	if r.broken != nil {
		return r.broken
	}
	if err := r.journal.flush(); err != nil {
		return r.distrust(err, r.journal.failed != nil)
	}
	c := &change{r: r, ctx: context.WithoutCancel(ctx)}
	if err := c.run(fill); err != nil {
		_, _ = r.writer.ExecContext(c.ctx, "ROLLBACK") // SQLite may have done it
		return r.distrust(r.sqlFault(err), !harmless(err))
	}
	r.start = nil
	crashpoint.Here(pointCommitted)
	// The change is decided and on the disk. What goes wrong with the log now keeps the next one from being made.
	if err := r.journal.add(c.rows); err != nil {
		r.log.WarnContext(ctx, "the audit log could not be written; nothing more is changed until it can", "dir", r.dir, "error", err)
		_ = r.distrust(err, r.journal.failed != nil)
	}
	crashpoint.Here(pointLogged)
	return nil
}

// run is the transaction.
func (c *change) run(fill func(*change) error) error {
	if err := c.exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	crashpoint.Here(pointBegun)
	var err error
	if c.head, err = headOf(c.ctx, c.r.writer); err != nil {
		return err
	}
	if c.r.start != nil {
		if _, err := c.add(*c.r.start); err != nil {
			return err
		}
	}
	if err := fill(c); err != nil {
		return err
	}
	crashpoint.Here(pointWritten)
	return c.exec("COMMIT")
}

// distrust ends all writing where the disk failed in a way that leaves open what it holds.
func (r *Registry) distrust(err error, broken bool) error {
	if broken && r.broken == nil {
		r.broken = fault.New(fault.IOWrite, "the disk failed, and what it holds is not known: nothing is changed any more").In(r.dir).Wrap(err).
			Fix("check the disk, then start the host again; what is live stays live until then")
	}
	return err
}

// exec runs a statement of the transaction.
func (c *change) exec(query string, args ...any) error {
	_, err := c.r.writer.ExecContext(c.ctx, query, args...)
	return err
}

// add puts a row at the end of the audit table.
func (c *change) add(e entry) (AuditRow, error) {
	next, err := e.encode(c.head.sequence, c.head.hash, c.r.now())
	if err != nil {
		return AuditRow{}, durable.Fault(c.r.path(DatabaseName), err)
	}
	made, err := next.auditRow(c.head.hash)
	if err != nil {
		return AuditRow{}, durable.Fault(c.r.path(DatabaseName), err)
	}
	// What was not text is text now: the columns repeat the record.
	err = c.exec(insertRow, int64(next.sequence), topicOf(e.Kind), made.Tenant, made.Alias, string(next.text), next.hash[:])
	if err != nil {
		return AuditRow{}, err
	}
	c.head = next
	c.rows = append(c.rows, next)
	return made, nil
}

const insertRow = "INSERT INTO audit (sequence, topic, tenant, alias, record, hash) VALUES (?, ?, ?, ?, ?, ?)"
