package base

import (
	"os"
	"testing"
)

// TestPrivateSVDIsReadOnly: what workers are handed cannot be written through, and has no name.
func TestPrivateSVDIsReadOnly(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	b, _ := svdBase(t, 40, 30, false)
	w, _ := b.Tensor("w.weight")
	svd, err := b.SVD(t.Context(), w, false, 4, "")
	if err != nil {
		t.Fatal(err)
	}
	defer svd.Close()
	if _, err := svd.Os().WriteAt([]byte{0}, svd.Size()); err == nil {
		t.Error("the descriptor can write")
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("%v is left, %v", left, err)
	}
}
