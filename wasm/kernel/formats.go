package kernel

import (
	"fmt"

	"github.com/tenon-ml/tenon/internal/kernel"
	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// format is how values are stored: block of them at a time along a row, each replaced in place by what the format gives back. A block of
// more than one value has a scale; where one of its values is not finite, none is given back.
type format struct {
	block int
	round func(values []float64) // whole blocks
	exact []tensor.DType         // which it gives back as they are
}

var formats = map[abi.Format]format{
	abi.FormatF16:  {1, kernel.RoundF16, []tensor.DType{tensor.F16}},
	abi.FormatBF16: {1, kernel.RoundBF16, []tensor.DType{tensor.BF16}},
	abi.FormatF32:  {1, kernel.RoundF32, []tensor.DType{tensor.F16, tensor.BF16, tensor.F32}},
	abi.FormatQ8_0: {kernel.Q8Block, kernel.RoundQ8, nil},
	abi.FormatQ4_0: {kernel.Q4Block, kernel.RoundQ4, nil},
	abi.FormatNF4:  {kernel.NF4Block, kernel.RoundNF4, nil},
}

// CheckFormats refuses formats that are unknown, or whose blocks do not fill rows of so many values.
func CheckFormats(all []abi.Format, cols int) error {
	for _, f := range all {
		switch block := formats[f].block; {
		case block == 0:
			return fmt.Errorf("format %d: %w", f, ErrDType)
		case cols%block != 0:
			return fmt.Errorf("rows of %d values are not whole blocks of %d, as format %d stores them: %w", cols, block, f, ErrShape)
		}
	}
	return nil
}
