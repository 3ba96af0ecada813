package adapter

import (
	"os"

	"github.com/tenon-ml/tenon/host/reference"
	"github.com/tenon-ml/tenon/host/safetensors"
)

// place is where the files of an adapter lie: a directory, or a folder in a bundle.
type place interface {
	Name(file string) string // what messages call a file
	Has(file string) bool
	Holds(path string) bool // whether there is something at a path below it
	Read(file string, limit int64) ([]byte, error)
	original(file string) (original, error) // to be closed
}

// original is one file as somebody published it.
type original interface {
	name() string // what messages call it
	head() ([]byte, error)
	snapshot() (*safetensors.File, error)
	file() *os.File // to be read at offsets, until close
	close()
}

// loose is a directory.
type loose struct{ *reference.Directory }

func (d loose) original(file string) (original, error) {
	f, err := d.Open(file)
	if err != nil {
		return nil, err
	}
	return looseFile{path: d.Name(file), f: f}, nil
}

// looseFile is a file that others may write to.
type looseFile struct {
	path string
	f    *os.File
}

func (l looseFile) name() string          { return l.path }
func (l looseFile) head() ([]byte, error) { return headOf(l.path, l.f) }
func (l looseFile) file() *os.File        { return l.f }
func (l looseFile) close()                { l.f.Close() }

func (l looseFile) snapshot() (*safetensors.File, error) {
	return safetensors.SnapshotFile(l.path, l.f, safetensors.DefaultLimits)
}

var (
	_ place    = loose{}
	_ original = looseFile{}
)
