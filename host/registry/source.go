package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// source is where a repair takes the rows from.
type source struct {
	name    string // LogName, DatabaseName, or ""
	rows    uint64 // from the first on that are what was written
	problem string // what is wrong with what follows; "" where nothing follows
	walk    func(visit func(row) error) error
}

// errEnough ends a walk.
var errEnough = errors.New("enough rows")

// each gives the source's good rows.
func (s source) each(visit func(row) error) error {
	if s.rows == 0 {
		return nil
	}
	seen := uint64(0)
	err := s.walk(func(got row) error {
		if err := visit(got); err != nil {
			return err
		}
		if seen++; seen == s.rows {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	if err == nil && seen < s.rows {
		err = fmt.Errorf("%s had %d good rows, and now has %d", s.name, s.rows, seen)
	}
	return err
}

// bestSource is the log, or the old database where that has more good rows.
func (r *Registry) bestSource(ctx context.Context) (source, error) {
	best := source{}
	for _, s := range []source{{name: LogName, walk: r.walkLog}, {name: DatabaseName, walk: func(visit func(row) error) error { return r.walkOld(ctx, visit) }}} {
		chain := chainFrom(0)
		err := s.walk(func(got row) error {
			if bad := chain.next(got); bad != nil {
				return fmt.Errorf("row %d of %s %s", bad.Sequence, s.name, bad.Problem)
			}
			return nil
		})
		if ctx.Err() != nil {
			return best, ctx.Err()
		}
		if err != nil {
			s.problem = err.Error()
		}
		if s.rows = chain.after; s.rows > best.rows {
			best = s
		}
	}
	return best, nil
}

// walkLog gives the lines of the log up to the first that is none.
func (r *Registry) walkLog(visit func(row) error) error {
	f, err := openRegular(r.path(LogName))
	if err != nil {
		return err
	}
	defer f.Close()
	lines := newLogReader(f)
	for n := 1; ; n++ {
		got, ok, err := lines.next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case !ok:
			return fmt.Errorf("line %d of %s is damaged", n, LogName)
		}
		if err := visit(got); err != nil {
			return err
		}
	}
}

// walkOld gives the rows of the old database as far as they can be read.
func (r *Registry) walkOld(ctx context.Context, visit func(row) error) error {
	if err := checkHeader(r.dir, r.path(DatabaseName)); err != nil {
		return err
	}
	db, err := connect(r.path(DatabaseName), modeRead, 1, "query_only(1)")
	if err != nil {
		return err
	}
	defer db.Close()
	return walkRows(ctx, db, 0, visit)
}
