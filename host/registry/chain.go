package registry

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
)

// chain follows the rows of the audit table one by one.
type chain struct {
	after    uint64   // sequence of the row before
	previous [32]byte // its hash
	unknown  bool     // the hash of the row before is not known: the first row is taken as it is
	record   record   // what the last row says
}

// chainFrom is a chain that begins after a row.
func chainFrom(sequence uint64) *chain { return &chain{after: sequence, unknown: sequence > 0} }

// next says what is wrong with the row that follows, and goes on to it where nothing is.
func (c *chain) next(r row) *BadRow {
	bad := func(problem, expected, found string) *BadRow {
		return &BadRow{Sequence: c.after + 1, Problem: problem, Expected: expected, Found: found}
	}
	if r.sequence != c.after+1 {
		return bad("is gone", fmt.Sprintf("row %d", c.after+1), fmt.Sprintf("row %d", r.sequence))
	}
	if want := hashRow(c.previous, r.text); want != r.hash && !c.unknown {
		return bad("was edited, or a row before it", hex.EncodeToString(want[:]), hex.EncodeToString(r.hash[:]))
	}
	rec, err := decodeRecord(r.text)
	switch {
	case err != nil:
		return bad("was edited: it is not a record", "a record", err.Error())
	case rec.Sequence != r.sequence:
		return bad("was put in another's place", fmt.Sprintf("row %d", r.sequence), fmt.Sprintf("row %d", rec.Sequence))
	case topicOf(rec.Kind) == "":
		return bad("was edited: it is of no kind there is", "a kind", rec.Kind)
	}
	c.after, c.previous, c.unknown, c.record = r.sequence, r.hash, false, rec
	return nil
}

// walkRows gives every row after one with that sequence, in order.
func walkRows(ctx context.Context, db querier, after uint64, visit func(row) error) error {
	rows, err := db.QueryContext(ctx, "SELECT sequence, record, hash FROM audit WHERE sequence > ? ORDER BY sequence", int64(after))
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var r row
		var hash []byte
		if err := rows.Scan(&r.sequence, &r.text, &hash); err != nil {
			return err
		}
		r.hash = hashOf(hash)
		if err := visit(r); err != nil {
			return err
		}
	}
	return rows.Err()
}

// hashOf is a column's hash; zero, which no row has, where the column holds something else.
func hashOf(column []byte) (hash [32]byte) {
	if len(column) == len(hash) {
		copy(hash[:], column)
	}
	return hash
}

// linked is a row with the hash of the row before, as lists read them.
const linked = "SELECT a.sequence, a.record, a.hash, p.hash FROM audit a LEFT JOIN audit p ON p.sequence = a.sequence - 1 "

// listRows gives the rows of a query that begins with linked, each held against its hash: a row that was edited or that the disk changed is
// never used.
func (r *Registry) listRows(ctx context.Context, query string, args ...any) ([]AuditRow, error) {
	rows, err := r.readers.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, r.sqlFault(err)
	}
	defer rows.Close()
	var list []AuditRow
	for rows.Next() {
		var got row
		var hash, before []byte
		if err := rows.Scan(&got.sequence, &got.text, &hash, &before); err != nil {
			return nil, r.sqlFault(err)
		}
		var previous [32]byte
		copy(previous[:], before)
		got.hash = hashRow(previous, got.text)
		entry, err := got.auditRow(previous)
		if err != nil || !bytes.Equal(hash, got.hash[:]) || entry.Sequence != got.sequence || len(before) == 0 && got.sequence != 1 {
			return nil, corrupt(r.dir, r.path(DatabaseName), "row %d of the audit table was edited, or the disk changed it", got.sequence).Wrap(err)
		}
		list = append(list, entry)
	}
	return list, r.sqlFault(rows.Err())
}
