package main

import (
	"fmt"
	"path/filepath"

	"github.com/tenon-ml/tenon/host/merge"
	"github.com/tenon-ml/tenon/host/report"
)

// receiptPath is where the receipt of a merge lies: in a directory, or beside a GGUF file.
func receiptPath(r *merge.Receipt, out string) string {
	if r.Rule == merge.GGUFRule {
		return merge.GGUFReceiptPath(out)
	}
	return filepath.Join(out, merge.ReceiptName)
}

// printKept says what a GGUF file's types have left of the change.
func (c *command) printKept(r *merge.Receipt) error {
	for _, k := range r.Kept() {
		_, err := fmt.Fprintf(c.stdout, "kept     %.2f %% of the change or more, as %s, with errors of up to %.2g\n         least in %s, of %d\n",
			100*k.Gain, k.Stored, k.Max, report.Escape(k.Least), k.Tensors)
		if err != nil {
			return err
		}
	}
	return nil
}
