package registry

import (
	"context"
	"crypto/sha256"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/internal/crashpoint"
)

// maxReport bounds a report, in bytes.
const maxReport = 1 << 30

// The points of keeping a report at which a test ends the process.
var (
	pointReportBegun   = crashpoint.Define("registry.report.begun")
	pointReportRenamed = crashpoint.Define("registry.report.renamed")
)

// keepReport puts a report into the store under its digest. One that is there, and is what it should be, stays.
func (r *Registry) keepReport(ctx context.Context, name digest, text []byte) error {
	if err := ctx.Err(); err != nil {
		return fault.New(fault.Canceled, "it was given up before it began").Wrap(err)
	}
	if len(text) > maxReport {
		return fault.New(fault.IOSpace, "the report has %d bytes, and at most %d are kept", len(text), maxReport)
	}
	r.publishing.Lock()
	defer r.publishing.Unlock()
	path := r.path(reportsName, name.hex()+manifestSuffix)
	if found, err := readRegular(path, maxReport); err == nil && sha256.Sum256(found) == name {
		return r.disk.syncDir(r.path(reportsName)) // whoever wrote it may have been killed before
	}
	crashpoint.Here(pointReportBegun)
	if err := r.replace(path, text); err != nil {
		return err
	}
	crashpoint.Here(pointReportRenamed)
	return r.disk.syncDir(r.path(reportsName))
}

// readReport gives a report that is what it was.
func (r *Registry) readReport(name digest) ([]byte, error) {
	path := r.path(reportsName, name.hex()+manifestSuffix)
	text, err := readRegular(path, maxReport)
	if err == nil && sha256.Sum256(text) == name {
		return text, nil
	}
	return nil, fault.New(fault.RegMissing, "the report of the decision is gone, or is not what it was").In(path).Wrap(err).
		Fix("put it back from a backup, or check the adapter again")
}
