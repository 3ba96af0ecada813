package sandbox

import (
	"fmt"

	"github.com/tenon-ml/tenon/sdk/abi"
)

// bank returns the operator's bank, which need not be there.
func (c *call) bank() (*Bank, error) {
	if c.input.Bank == nil {
		return nil, fail(abi.NotFound, "no bank was given")
	}
	return c.input.Bank, nil
}

func bankCount(c *call) (int32, error) {
	bank, err := c.bank()
	if err != nil {
		return 0, err
	}
	return int32(len(bank.Names)), nil
}

func bankName(c *call) (int32, error) {
	bank, err := c.bank()
	if err != nil {
		return 0, err
	}
	entry := c.i32(0)
	if entry < 0 || int(entry) >= len(bank.Names) {
		return 0, fail(abi.NotFound, "entry %d of %d", entry, len(bank.Names))
	}
	return c.give(1, bank.Names[entry])
}

func bankFeatures(c *call) (int32, error) {
	bank, err := c.bank()
	if err != nil {
		return 0, err
	}
	table := 0
	if target := c.i32(0); target != abi.NoTarget {
		if table, err = c.target(0); err != nil {
			return 0, err
		}
		table++
	}
	if table >= len(bank.Features) || bank.Features[table].Data == nil {
		return 0, fail(abi.NotFound, "no adapter in the bank has features of target %d", c.i32(0))
	}
	m := bank.Features[table]
	return c.add(&computed{rows: m.Rows, cols: m.Cols, data: m.Data})
}

// check holds the bank against itself and the number of targets.
func (b *Bank) check(targets int) error {
	if b == nil {
		return nil
	}
	if n := len(b.Features); n != 0 && n != 1+targets {
		return fmt.Errorf("the bank has %d tables of features for an adapter of %d targets", n, targets)
	}
	left := MaxBankValues
	for i, m := range b.Features {
		if m.Rows == 0 && m.Cols == 0 && len(m.Data) == 0 {
			continue
		}
		if m.Rows != len(b.Names) || m.Cols < 1 || len(m.Data)/m.Cols != m.Rows || len(m.Data)%m.Cols != 0 {
			return fmt.Errorf("table %d of the bank is %d x %d with %d values, for %d adapters", i, m.Rows, m.Cols, len(m.Data), len(b.Names))
		}
		if left -= len(m.Data); left < 0 {
			return fmt.Errorf("the bank has more than %d numbers for one module: keep fewer adapters in it", MaxBankValues)
		}
	}
	return nil
}
