package adapter

import (
	"bytes"
	"io"
	"testing"
)

func TestTranspose(t *testing.T) {
	for _, c := range []struct{ rows, cols, width int }{{1, 1, 4}, {3, 5, 2}, {5, 3, 4}, {700, 1100, 2}} {
		source := make([]byte, c.rows*c.cols*c.width)
		for i := range source {
			source[i] = byte(i * 31 >> 3)
		}
		var out bytes.Buffer
		if err := transpose(&out, bytes.NewReader(source), []int{c.cols, c.rows}, c.width); err != nil {
			t.Fatal(err)
		}
		for i := range c.rows {
			for j := range c.cols {
				from, to := (i*c.cols+j)*c.width, (j*c.rows+i)*c.width
				if !bytes.Equal(source[from:from+c.width], out.Bytes()[to:to+c.width]) {
					t.Fatalf("%d x %d: entry %d, %d is elsewhere", c.rows, c.cols, i, j)
				}
			}
		}
	}
	if err := transpose(io.Discard, bytes.NewReader(nil), []int{2, 2}, 4); err == nil {
		t.Error("a matrix that is not there is transposed")
	}
}
