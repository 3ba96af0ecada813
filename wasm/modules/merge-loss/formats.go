package mergeloss

import (
	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/diag"
)

// whatIf is a format that the merged weights could be stored in.
type whatIf struct {
	name   string // in metrics and parameters
	format abi.Format
	block  int // a stored row is a multiple of it
}

var whatIfs = []whatIf{
	{"bf16", abi.FormatBF16, 1}, {"f16", abi.FormatF16, 1},
	{"q8_0", abi.FormatQ8_0, 32}, {"q4_0", abi.FormatQ4_0, 32}, {"nf4", abi.FormatNF4, 64},
}

// settings are the operator's.
type settings struct {
	warn, deny float64
	exact      float64 // entries
	sampleRows int
	whatIfs    []whatIf
}

func newSettings(run *diag.Run) settings {
	set := settings{warn: run.Param("warn_gain"), deny: run.Param("deny_gain"), exact: run.Param("exact_limit"), sampleRows: 1}
	if rows := run.Param("sample_rows"); rows > 1 {
		set.sampleRows = int(min(rows, 1<<30))
	}
	for _, w := range whatIfs {
		if run.Param("whatif_"+w.name) != 0 {
			set.whatIfs = append(set.whatIfs, w)
		}
	}
	return set
}

// plan is what is asked about one weight: the base's own format first, where there is one.
type plan struct {
	own      bool
	whatIfs  []whatIf
	formats  []abi.Format
	rows     int // as the checkpoint stores W
	unfitted bool
}

func (set settings) plan(target diag.Target) plan {
	p := plan{rows: target.Out}
	length := target.In
	if target.FanInFanOut {
		p.rows, length = target.In, target.Out
	}
	own := abi.Format(target.BaseDType) // a format of an element type has its number
	switch target.BaseDType {
	case abi.DTypeF16, abi.DTypeBF16, abi.DTypeF32:
		p.own, p.formats = true, append(p.formats, own)
	}
	for _, w := range set.whatIfs {
		switch {
		case p.own && w.format == own:
		case length%w.block != 0:
			p.unfitted = true
		default:
			p.whatIfs, p.formats = append(p.whatIfs, w), append(p.formats, w.format)
		}
	}
	return p
}
