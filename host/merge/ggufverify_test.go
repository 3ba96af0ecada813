package merge_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/merge"
)

// TestVerifyGGUF changes one thing after the other.
func TestVerifyGGUF(t *testing.T) {
	model, lora := smallGGUF(t, ggufKept, 0.05)
	made := filepath.Join(t.TempDir(), "merged.gguf")
	if _, err := planGGUF(t, model, lora).WriteGGUF(context.Background(), merge.GGUFOutput{Path: made, Gate: overridden}); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(made)
	if err != nil {
		t.Fatal(err)
	}
	receipt, err := os.ReadFile(merge.GGUFReceiptPath(made))
	if err != nil {
		t.Fatal(err)
	}
	h := openGGUF(t, made)
	norm, _ := h.Tensor("blk.0.attn_norm.weight")
	small, _ := h.Tensor("blk.0.ffn_down.weight")
	flip := func(at int64) []byte { b := bytes.Clone(raw); b[at] ^= 1; return b }
	tests := []struct {
		name          string
		file, receipt []byte
		code          fault.Code
	}{
		{"a merged tensor", flip(h.Tensors[4].Offset + 5), receipt, fault.DigestBad},
		{"a copied tensor", flip(norm.Offset), receipt, fault.DigestBad},
		{"a token", flip(int64(bytes.Index(raw, []byte("tokenizer.ggml.tokens"))) + 21 + 4 + 4 + 8 + 8), receipt, fault.DigestBad},
		{"padding before the data", flip(h.DataStart - 1), receipt, fault.DigestBad},
		{"padding at the end", append(bytes.Clone(raw[:small.Offset+small.Length]), 7), receipt, fault.DigestBad},
		{"cut off", raw[:len(raw)-200], receipt, fault.GGEOF},
		{"another magic", flip(0), receipt, fault.GGMagic},
		{"receipt without a tensor", raw, bytes.Replace(receipt, []byte(`"blk.0.attn_norm.weight"`), []byte(`"blk.0.attn_norm.wait"`), 1), fault.DigestBad},
		{"receipt of other content", raw, bytes.Replace(receipt, []byte(`"content": "sha256:`), []byte(`"content": "sha256:0`), 1), fault.ReceiptBad},
		{"receipt is no JSON", raw, []byte("{"), fault.ReceiptBad},
		{"no receipt", raw, nil, fault.IONotFound},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "merged.gguf")
			put(t, path, test.file)
			if test.receipt != nil {
				put(t, merge.GGUFReceiptPath(path), test.receipt)
			}
			_, err := merge.Verify(context.Background(), path)
			if list := fault.All(err); !slices.ContainsFunc(list, func(e *fault.Error) bool { return e.Code == test.code }) {
				t.Errorf("got %v, want %s", err, test.code)
			}
		})
	}
}
