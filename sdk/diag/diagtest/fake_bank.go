package diagtest

import (
	"fmt"
	"maps"
	"math"

	"github.com/tenon-ml/tenon/sdk/abi"
)

func (f *fake) BankCount() int32 {
	if f.adapter.Bank == nil {
		return f.fail(abi.NotFound, "no bank was given")
	}
	return int32(len(f.adapter.Bank.Names))
}

func (f *fake) BankName(entry int32, dst []byte) int32 {
	n := f.BankCount()
	if n < 0 {
		return n
	}
	if entry < 0 || entry >= n {
		return f.fail(abi.NotFound, "there is no entry %d in the bank", entry)
	}
	return f.copyText(dst, f.adapter.Bank.Names[entry])
}

func (f *fake) BankFeatures(target int32) int32 {
	if n := f.BankCount(); n < 0 {
		return n
	}
	table := f.adapter.Bank.Adapter
	if target != abi.NoTarget {
		if status := f.target(target); status < 0 {
			return status
		}
		table = f.adapter.Bank.Targets[f.adapter.Targets[target].Name]
	}
	width := 0
	for _, row := range table {
		width = max(width, len(row))
	}
	if width == 0 {
		return f.fail(abi.NotFound, "no adapter in the bank has features of target %d", target)
	}
	m := Zeros(len(f.adapter.Bank.Names), width)
	for i := range m.Values {
		m.Values[i] = math.NaN()
	}
	for i, row := range table {
		copy(m.Values[i*width:(i+1)*width], row)
	}
	return f.add(m, abi.DTypeF64)
}

// check holds the tables against the names.
func (b *Bank) check() error {
	if b == nil {
		return nil
	}
	tables := map[string][][]float64{"": b.Adapter}
	maps.Copy(tables, b.Targets)
	for name, table := range tables {
		if len(table) > len(b.Names) {
			return fmt.Errorf("diagtest: the bank has %d rows of features of target %q and %d names", len(table), name, len(b.Names))
		}
		width := 0
		for _, row := range table {
			if len(row) > 0 && width > 0 && len(row) != width {
				return fmt.Errorf("diagtest: the bank's features of target %q are rows of %d and of %d", name, width, len(row))
			}
			width = max(width, len(row))
		}
	}
	return nil
}
