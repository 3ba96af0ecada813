package host

import (
	"strings"

	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/host/fault"
)

// fits refuses what a request asks for and its base's kind has not: a GGUF file is one file, and a directory's tensors keep their dtypes.
func (r *MergeRequest) fits(b *base.Base) error {
	named := strings.HasSuffix(strings.ToLower(r.Out), ".gguf")
	switch {
	case b.GGUF() != nil && !named:
		return fault.New(fault.UsageFlag, "from a GGUF base a GGUF file is written, and this is not the name of one").In(r.Out).Fix("give --out FILE.gguf")
	case b.GGUF() == nil && named:
		return fault.New(fault.UsageFlag, "from a directory a directory is written, and this is the name of a GGUF file").In(r.Out).
			Fix("give the name of a directory, or a .gguf file with --base")
	case b.GGUF() != nil && r.ShardBytes != 0:
		return fault.New(fault.UsageFlag, "a merged GGUF file is one file, which is not cut").In(r.Base).Fix("leave --shard-size out")
	case b.GGUF() == nil && r.DType != "" && r.DType != "keep":
		return fault.New(fault.UsageFlag, "the tensors of a directory keep their dtypes; only a GGUF file's can be stored as %s", r.DType).In(r.Base).
			Fix("leave --dtype out")
	}
	return nil
}
