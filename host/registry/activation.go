package registry

import (
	"context"
	"database/sql"
	"errors"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"

	"github.com/tenon-ml/tenon/host/fault"
)

// maxAlias bounds a qualified alias, in bytes.
const maxAlias = 1024

// Activation is one change of what an alias means.
type Activation struct {
	Sequence   uint64    // given by Commit: the number of its audit row. It grows with every change of any alias, and is never used again
	Time       time.Time // given by Commit
	Actor      string    // who asked; never a secret
	Tenant     string    // "" is the operator
	Alias      string    // qualified name
	Action     string    // ActionActivate, ActionRollback, ActionUnload
	Generation [32]byte  // digest of the plan; zero for an unload
	Content    [32]byte  // digest of the merged bytes
	Adapter    [32]byte  // digest
	Ref        string    // of the adapter, as it was written
	Mode       string    // "merged" or "unmerged"
	Decision   int64     // number of the decision that it rests on; 0 where there is none
	Base       [32]byte  // digest. An alias of one base and the same name on another base are two aliases
}

// The actions of an Activation.
const (
	ActionActivate = "activate"
	ActionRollback = "rollback"
	ActionUnload   = "unload"
)

// Commit makes an alias mean something else, if it is still at the sequence that the change was decided on: 0 for an alias that was never
// known, else that of its last change, unloads included (At tells it). Otherwise the error is fault.Conflict and nothing has changed.
// When it returns without an error, the change is on the disk.
func (r *Registry) Commit(ctx context.Context, expected uint64, a Activation) (Activation, error) {
	if err := checkActivation(a); err != nil {
		return Activation{}, err
	}
	var done Activation
	err := r.write(ctx, func(c *change) error {
		at, err := at(c.ctx, r.writer, a.Base, a.Alias)
		if err != nil {
			return err
		}
		if at != expected {
			return fault.New(fault.Conflict, "%q is at sequence %d, and the change was decided on sequence %d", a.Alias, at, expected).
				Fix("look at what it means now, and decide again")
		}
		made, err := c.add(entry{Kind: a.Action, Actor: a.Actor, Tenant: a.Tenant, Alias: a.Alias, Detail: activationDetail{
			Generation: a.Generation, Content: a.Content, Adapter: a.Adapter, Base: a.Base, Ref: a.Ref, Mode: a.Mode, Decision: a.Decision,
		}})
		if err != nil {
			return err
		}
		if done, err = made.activation(); err != nil {
			return err
		}
		return c.exec(upsertAlias, a.Base[:], a.Alias, int64(made.Sequence), a.Action != ActionUnload)
	})
	if err != nil {
		return Activation{}, err
	}
	return done, nil
}

const upsertAlias = "INSERT INTO aliases (base, alias, sequence, live) VALUES (?, ?, ?, ?) ON CONFLICT (base, alias) DO UPDATE SET sequence = excluded.sequence, live = excluded.live"

// checkActivation refuses what could not be told apart later.
func checkActivation(a Activation) error {
	var zero [32]byte
	switch {
	case a.Alias == "" || len(a.Alias) > maxAlias || !utf8.ValidString(a.Alias):
		return fault.New(fault.ADName, "%.40q is not an alias", a.Alias).Fix("an alias is text of 1 to %d bytes", maxAlias)
	case topicOf(a.Action) != topicActivation:
		return fault.New(fault.UsageFlag, "%q is not what can be done to an alias", a.Action)
	case (a.Action == ActionUnload) != (a.Generation == zero):
		return fault.New(fault.UsageFlag, "%s of %q: a generation is named by every action but an unload", a.Action, a.Alias)
	case a.Base == zero:
		return fault.New(fault.UsageFlag, "%s of %q names no base", a.Action, a.Alias)
	}
	return nil
}

// At is the sequence of the last change of an alias of a base, unloads included; 0 where there was none.
func (r *Registry) At(ctx context.Context, base [32]byte, alias string) (uint64, error) {
	sequence, err := at(ctx, r.readers, base, alias)
	return sequence, r.sqlFault(err)
}

func at(ctx context.Context, db querier, base [32]byte, alias string) (uint64, error) {
	var sequence uint64
	err := db.QueryRowContext(ctx, "SELECT sequence FROM aliases WHERE base = ? AND alias = ?", base[:], alias).Scan(&sequence)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return sequence, err
}

// Live lists, by alias, the last change of every alias of a base that means something.
func (r *Registry) Live(ctx context.Context, base [32]byte) ([]Activation, error) {
	rows, err := r.listRows(ctx, "SELECT a.sequence, a.record, a.hash, p.hash FROM aliases l JOIN audit a ON a.sequence = l.sequence LEFT JOIN audit p ON p.sequence = a.sequence - 1 "+
		"WHERE l.base = ? AND l.live ORDER BY l.alias", base[:])
	if err != nil {
		return nil, err
	}
	return r.activations(rows)
}

// History lists at most limit changes of an alias, on whatever base, newest first and with the unloads. A limit below 1 is DefaultLimit.
func (r *Registry) History(ctx context.Context, alias string, limit int) ([]Activation, error) {
	if limit < 1 {
		limit = DefaultLimit
	}
	rows, err := r.listRows(ctx, linked+"WHERE a.alias = ? AND a.topic = 'activation' ORDER BY a.sequence DESC LIMIT ?", alias, limit)
	if err != nil {
		return nil, err
	}
	return r.activations(rows)
}

func (r *Registry) activations(rows []AuditRow) ([]Activation, error) {
	list := make([]Activation, len(rows))
	for i, row := range rows {
		var err error
		if list[i], err = row.activation(); err != nil {
			return nil, corrupt(r.dir, r.path(DatabaseName), "row %d of the audit table is not an activation", row.Sequence).Wrap(err)
		}
	}
	return list, nil
}

// activation reads an activation out of its row.
func (row AuditRow) activation() (Activation, error) {
	var d activationDetail
	if topicOf(row.Kind) != topicActivation {
		return Activation{}, errors.New("its kind is another")
	}
	if err := json.Unmarshal(row.Detail, &d, json.RejectUnknownMembers(true)); err != nil {
		return Activation{}, err
	}
	return Activation{Sequence: row.Sequence, Time: row.Time, Actor: row.Actor, Tenant: row.Tenant, Alias: row.Alias, Action: row.Kind,
		Generation: d.Generation, Content: d.Content, Adapter: d.Adapter, Ref: d.Ref, Mode: d.Mode, Decision: d.Decision, Base: d.Base}, nil
}

// checkAliases holds what each alias means against the row that says so. The rows themselves are held against their hashes when they are
// used, and all of them by VerifyAudit.
func (r *Registry) checkAliases(ctx context.Context) error {
	bad, err := badAlias(ctx, r.readers)
	if err != nil {
		return r.sqlFault(err)
	}
	if bad != nil {
		return corrupt(r.dir, r.path(DatabaseName), "alias %q %s: it says %s, and the audit table %s", bad.alias, bad.problem, bad.found, bad.expected)
	}
	return nil
}
