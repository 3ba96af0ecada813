package worker

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/tenon-ml/tenon/wasm/sandbox"
)

// held is a reader with a file behind it.
type held struct {
	io.ReaderAt
	file *os.File
}

func (h held) Os() *os.File { return h.file }

// made is a reader whose file is made when it is asked for.
type made struct {
	io.ReaderAt
	file *os.File
	err  error
}

func (m made) OpenOs() (*os.File, error) { return m.file, m.err }

// TestOsFile asks readers of every kind for the file that a worker is handed.
func TestOsFile(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	full := errors.New("the disk is full")
	for _, test := range []struct {
		name   string
		reader io.ReaderAt
		want   error // nil: file
	}{
		{"a file", file, nil}, {"with a file", held{nil, file}, nil}, {"that makes a file", made{nil, file, nil}, nil},
		{"without a file", bytes.NewReader(nil), errNotAFile}, {"whose file is closed", held{}, errNotAFile},
		{"that cannot make a file", made{nil, nil, full}, full}, {"that makes none", made{}, errNotAFile},
	} {
		t.Run(test.name, func(t *testing.T) {
			table := fileTable{}
			ref := table.ref(sandbox.Source{Reader: test.reader})
			if !errors.Is(table.err, test.want) || test.want == nil && (ref == nil || len(table.files) != 1 || table.files[0] != file) {
				t.Errorf("%v, %d files, want %v", table.err, len(table.files), test.want)
			}
			if test.want != nil && ref != nil {
				t.Error("there is a reference all the same")
			}
		})
	}
}
