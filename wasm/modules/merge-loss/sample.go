package mergeloss

import (
	"github.com/tenon-ml/tenon/sdk/diag"
	"github.com/tenon-ml/tenon/wasm/modules/internal/splitmix"
)

// sampleBlocks is how many blocks of neighbouring rows a sample is made of: enough for an error, and few enough that each is worth reading.
const sampleBlocks = 32

// block is a run of neighbouring rows.
type block struct{ first, rows int }

// sampled chooses about want of all rows: one block from each of sampleBlocks equal parts of the weight, at a place drawn for the weight's
// name, so that the same weight always gives the same rows.
func sampled(name string, all, want int) []block {
	blocks := make([]block, 0, sampleBlocks)
	parts := min(sampleBlocks, want)
	stream := splitmix.New("merge-loss rows", name, 0)
	for i := range parts {
		from, to := i*all/parts, (i+1)*all/parts
		rows := min(max(want/parts, 1), to-from)
		blocks = append(blocks, block{from + int(stream.Float()*float64(to-from-rows+1)), rows})
	}
	return blocks
}

// measured is what was found out about one weight, one loss for each format of its plan.
type measured struct {
	losses []loss
	share  float64 // of the rows; below 1 for a sample
}

// read goes over the blocks once, for all formats.
func read(target diag.Target, p plan, blocks []block) (measured, error) {
	m := measured{losses: make([]loss, len(p.formats))}
	rows := 0
	for _, b := range blocks {
		found, err := target.Rounding(b.first, b.rows, p.formats...)
		if err != nil {
			return measured{}, err
		}
		for i, r := range found {
			m.losses[i].add(r)
		}
		rows += b.rows
	}
	m.share = float64(rows) / float64(p.rows)
	return m, nil
}

// look reads a weight, or a sample of a large one. What a sample says is enough to let a weight pass, not to warn of it: where the gain in
// the base's own format may be below what is warned of, the weight is read as a whole.
func look(target diag.Target, p plan, set settings) (measured, error) {
	whole := []block{{0, p.rows}}
	if float64(target.In)*float64(target.Out) <= set.exact || set.sampleRows >= p.rows {
		return read(target, p, whole)
	}
	m, err := read(target, p, sampled(target.Name, p.rows, set.sampleRows))
	if err != nil || len(m.losses) == 0 {
		return m, err
	}
	first := &m.losses[0]
	doubtful := first.sum.DeltaSquares == 0 || first.sum.NonFinite > 0 ||
		p.own && gain(first.sum)-3*first.gainError(m.share) < set.warn
	if doubtful {
		return read(target, p, whole)
	}
	return m, nil
}
