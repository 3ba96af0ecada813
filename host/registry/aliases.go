package registry

import (
	"bytes"
	"context"
	"fmt"

	"github.com/go-json-experiment/json"
)

// wrongAlias is an alias whose row is not what the audit table makes of it.
type wrongAlias struct {
	sequence                        uint64
	alias, problem, expected, found string
}

// badAlias finds the first alias that does not mean what the last change of it in the audit table says.
func badAlias(ctx context.Context, db querier) (*wrongAlias, error) {
	rows, err := db.QueryContext(ctx, "SELECT l.base, l.alias, l.sequence, l.live, coalesce(a.record, '') FROM aliases l LEFT JOIN audit a ON a.sequence = l.sequence ORDER BY l.base, l.alias")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var base, text []byte
		var alias string
		var sequence, live int64 // whatever somebody wrote there
		if err := rows.Scan(&base, &alias, &sequence, &live, &text); err != nil {
			return nil, err
		}
		bad := func(problem string, expected, found any) (*wrongAlias, error) {
			return &wrongAlias{uint64(max(sequence, 0)), alias, problem, fmt.Sprint(expected), fmt.Sprint(found)}, nil
		}
		rec, err := decodeRecord(text)
		if err != nil || topicOf(rec.Kind) != topicActivation {
			return bad("is at a row that is no change of an alias", "no such change", fmt.Sprintf("row %d", sequence))
		}
		var d activationDetail
		if err := json.Unmarshal(rec.Detail, &d); err != nil {
			return bad("is at a row that cannot be read", "no such change", fmt.Sprintf("row %d", sequence))
		}
		switch {
		case rec.Alias != alias:
			return bad("is at the row of another", fmt.Sprintf("%q", rec.Alias), fmt.Sprintf("%q", alias))
		case !bytes.Equal(d.Base[:], base):
			return bad("is at the row of another base", fmt.Sprintf("%x", d.Base), fmt.Sprintf("%x", base))
		case live != 0 && live != 1:
			return bad("is neither live nor not", "live 0 or 1", fmt.Sprintf("live %d", live))
		case (live != 0) != (rec.Kind != ActionUnload):
			return bad("is live where it should not be, or not where it should", rec.Kind, fmt.Sprintf("live %d", live))
		}
	}
	return nil, rows.Err()
}
