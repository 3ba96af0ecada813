package figure

import (
	"os"
	"path/filepath"

	"github.com/tenon-ml/tenon/host/fault"
)

// WriteFiles writes every figure into dir, which is made where there is none, as ID.svg and ID.png. It returns the names of what was
// written, in order.
func WriteFiles(dir string, figures []Figure) ([]string, error) {
	failed := func(path string, err error) error {
		return fault.New(fault.IOWrite, "the figure cannot be written").In(path).Wrap(err)
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, failed(dir, err)
	}
	var names []string
	for _, f := range figures {
		picture, err := f.PNG()
		if err != nil {
			return names, err
		}
		for _, file := range []struct {
			ending string
			bytes  []byte
		}{{".svg", f.SVG()}, {".png", picture}} {
			path := filepath.Join(dir, f.ID+file.ending)
			if err := os.WriteFile(path, file.bytes, 0o666); err != nil {
				return names, failed(path, err)
			}
			names = append(names, f.ID+file.ending)
		}
	}
	return names, nil
}
