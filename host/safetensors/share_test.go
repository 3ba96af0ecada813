//go:build unix

package safetensors

import (
	"bytes"
	"testing"
)

func TestShareOutlivesTheFile(t *testing.T) {
	path, _ := writeFile(t)
	f, err := Snapshot(path, DefaultLimits)
	if err != nil {
		t.Fatal(err)
	}
	want, err := f.Read(f.Tensors[0])
	if err != nil {
		t.Fatal(err)
	}
	shared, err := f.Share()
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := shared.Read(shared.Tensors[0])
	if err != nil || !bytes.Equal(got, want) || shared.SHA256() != f.SHA256() {
		t.Errorf("after the file is closed its share gives %v, %v", got, err)
	}
	if err := shared.Close(); err != nil {
		t.Fatal(err)
	}
}
