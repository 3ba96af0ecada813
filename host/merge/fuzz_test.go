package merge_test

import (
	"bytes"
	"testing"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/merge"
)

// FuzzReceipt wants a fault for what is no receipt, and a fixed point for what is one.
func FuzzReceipt(f *testing.F) {
	f.Add([]byte(`{"schemaVersion":"tenon.receipt/v1","adapters":[{"ref":"a","digest":"","scale":"NaN"}],"files":[{"name":"x","size":1,"sha256":""}]}`))
	f.Add([]byte(`{"schemaVersion":"tenon.receipt/v2"}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := merge.ParseReceipt("receipt", text)
		if err != nil {
			if len(fault.All(err)) == 0 {
				t.Fatalf("%v carries no code", err)
			}
			return
		}
		once, err := r.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		again, err := merge.ParseReceipt("receipt", once)
		if err != nil {
			t.Fatalf("what was written is refused: %v\n%s", err, once)
		}
		if twice, _ := again.Marshal(); !bytes.Equal(once, twice) {
			t.Fatalf("written twice it differs:\n%s\n%s", once, twice)
		}
	})
}
