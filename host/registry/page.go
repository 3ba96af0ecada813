package registry

import (
	"context"
	"math"
	"strconv"

	"github.com/tenon-ml/tenon/host/fault"
)

// Page is a part of a list.
type Page struct {
	Tenant string // whose entries; "" is everybody's
	After  string // where the page starts, as the page before said; "" is the newest
	Limit  int    // at most so many; 0 is DefaultLimit, and more than MaxLimit is MaxLimit
}

// The lengths of a page.
const (
	DefaultLimit = 100
	MaxLimit     = 1000
)

// listPage gives the rows of a page, newest first, that fulfil a condition, and where the next one starts.
func (r *Registry) listPage(ctx context.Context, page Page, condition string) (rows []AuditRow, next string, err error) {
	before := int64(math.MaxInt64)
	if page.After != "" {
		if before, err = strconv.ParseInt(page.After, 10, 64); err != nil || before < 1 {
			return nil, "", fault.New(fault.UsageFlag, "%q is not where a page starts", page.After).Fix("give what the page before said, or nothing")
		}
	}
	limit := min(page.Limit, MaxLimit)
	if limit <= 0 {
		limit = DefaultLimit
	}
	query, args := linked+"WHERE a.sequence < ?", []any{before}
	if page.Tenant != "" {
		query, args = query+" AND a.tenant = ?", append(args, page.Tenant)
	}
	rows, err = r.listRows(ctx, query+condition+" ORDER BY a.sequence DESC LIMIT ?", append(args, limit+1)...)
	if err != nil {
		return nil, "", err
	}
	if len(rows) > limit {
		rows = rows[:limit]
		next = strconv.FormatUint(rows[limit-1].Sequence, 10)
	}
	return rows, next, nil
}
