package registry

import (
	"bufio"
	"context"
	"database/sql"
	"os"

	"github.com/go-json-experiment/json"

	"github.com/tenon-ml/tenon/host/durable"
)

// builder fills a new database and a new log.
type builder struct {
	r       *Registry
	ctx     context.Context
	head    row
	aliases map[aliasKey]aliasState
	reports map[digest]entry // in the store: those that no row tells of are recorded again
	file    *os.File
	log     *bufio.Writer
	insert  *sql.Stmt
}

// openLog begins the new log.
func (b *builder) openLog(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return durable.Fault(path, err)
	}
	b.file, b.log = f, bufio.NewWriterSize(f, 1<<20)
	return nil
}

// closeLog ends the log, and waits for the disk.
func (b *builder) closeLog() error {
	if err := b.log.Flush(); err != nil {
		return durable.Fault(b.file.Name(), err)
	}
	if err := b.r.disk.sync(b.file); err != nil {
		return durable.Fault(b.file.Name(), err)
	}
	return b.file.Close()
}

// fill takes over the rows of a source, and adds those of reports that have none and that of the repair.
func (b *builder) fill(db *sql.DB, from source, report *RepairReport) error {
	tx, err := db.BeginTx(b.ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if b.insert, err = tx.PrepareContext(b.ctx, insertRow); err != nil {
		return err
	}
	defer b.insert.Close()
	if err := from.each(b.take); err != nil {
		return err
	}
	for _, name := range sortedDigests(b.reports) {
		if err := b.add(b.reports[name]); err != nil {
			return err
		}
		report.Reports++
	}
	detail := repairDetail{Source: from.name, Rows: from.rows, Problem: from.problem, Reports: report.Reports, Quarantined: report.Quarantined}
	if err := b.add(entry{Kind: KindRepair, Actor: "operator", Detail: detail}); err != nil {
		return err
	}
	for key, is := range b.aliases {
		if _, err := tx.ExecContext(b.ctx, upsertAlias, key.base[:], key.alias, int64(is.sequence), is.live); err != nil {
			return err
		}
		if is.live {
			report.Aliases++
		}
	}
	report.Rows = b.head.sequence
	return tx.Commit()
}

// add puts a new row after the last.
func (b *builder) add(e entry) error {
	next, err := e.encode(b.head.sequence, b.head.hash, b.r.now())
	if err != nil {
		return err
	}
	return b.take(next)
}

// take puts a row that has been verified into the table and the log.
func (b *builder) take(got row) error {
	rec, err := decodeRecord(got.text)
	if err != nil {
		return err
	}
	switch topicOf(rec.Kind) {
	case topicActivation:
		var d activationDetail
		if err := json.Unmarshal(rec.Detail, &d); err != nil {
			return err
		}
		b.aliases[aliasKey{d.Base, rec.Alias}] = aliasState{got.sequence, rec.Kind != ActionUnload}
	case topicDecision:
		var d decisionDetail
		if err := json.Unmarshal(rec.Detail, &d); err != nil {
			return err
		}
		delete(b.reports, d.Report)
	}
	if _, err := b.insert.ExecContext(b.ctx, int64(got.sequence), topicOf(rec.Kind), rec.Tenant, rec.Alias, string(got.text), got.hash[:]); err != nil {
		return err
	}
	b.head = got
	_, err = b.log.Write(got.line())
	return err
}
