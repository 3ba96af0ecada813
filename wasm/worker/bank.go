package worker

import (
	"fmt"

	"github.com/tenon-ml/tenon/wasm/sandbox"
)

// describeBank writes a bank down for the worker. One that is too large is an error here, before it is copied.
func describeBank(b *sandbox.Bank) (*bank, error) {
	described := &bank{Names: b.Names}
	left := sandbox.MaxBankValues
	for _, m := range b.Features {
		if left -= len(m.Data); left < 0 {
			return nil, fmt.Errorf("the bank has more than %d numbers for one module: keep fewer adapters in it", sandbox.MaxBankValues)
		}
		described.Features = append(described.Features, table{m.Rows, m.Cols, bytesOf(m.Data)})
	}
	return described, nil
}

// rebuild is what the worker sees of it; nil where there is none.
func (b *bank) rebuild() *sandbox.Bank {
	if b == nil {
		return nil
	}
	rebuilt := &sandbox.Bank{Names: b.Names}
	for _, t := range b.Features {
		m := sandbox.Matrix{Rows: t.Rows, Cols: t.Cols}
		if len(t.Values) > 0 {
			m.Data = floatsOf(t.Values)
		}
		rebuilt.Features = append(rebuilt.Features, m)
	}
	return rebuilt
}
