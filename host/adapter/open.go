package adapter

import (
	"bytes"
	"crypto/sha256"
	"io"

	"github.com/tenon-ml/tenon/host/bundle"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/reference"
)

// Open reads an adapter from a directory, a single file or a bundle, given as a path or a file:// URL, and checks everything that can be
// checked without a base. It reads each file once; what happens to them later does not matter. The error lists all that is wrong
// (fault.List), and then there is no Adapter. Whether values are finite is not checked here: that is for a diagnostic, which can say where.
func Open(ref string) (*Adapter, error) { return open(ref, ignore) }

// open is Open that has somebody look at the directory, where there is one.
func open(ref string, look func(directory) error) (*Adapter, error) {
	a, err := readWith(ref, look)
	if err != nil {
		return nil, err
	}
	if err := a.problems.Err(); err != nil {
		a.Close()
		return nil, err
	}
	return a, nil
}

// subject is what a reference to an adapter must name: a directory, which has a handful of files, or one file.
var subject = reference.Subject{Name: "adapter", Mark: configName, Entries: 10_000}

// read is Open that keeps an adapter with problems. It fails where nothing can be known of the tensors; then its error lists the
// configuration's problems too.
func read(ref string) (*Adapter, error) { return readWith(ref, ignore) }

// ignore is for who needs nothing of the directory but the adapter.
func ignore(directory) error { return nil }

func readWith(ref string, look func(directory) error) (*Adapter, error) {
	found, f, path, err := reference.Find(ref, subject)
	switch {
	case err != nil:
		return nil, err
	case found != nil:
		defer found.Close()
		d := directory{place: loose{found}, Path: found.Path, Entries: found.Entries}
		if err := look(d); err != nil {
			return nil, err
		}
		return readDirectory(ref, d)
	}
	defer f.Close()
	head, err := headOf(path, f)
	if err != nil {
		return nil, err
	}
	if !bundle.Is(head) {
		return readSingle(ref, looseFile{path: path, f: f})
	}
	return readBundle(ref, path, f, look)
}

// readDirectory reads what lies in a directory, or in the folder of a bundle.
func readDirectory(ref string, d directory) (*Adapter, error) {
	if name := d.single(); name != "" {
		o, err := d.original(name)
		if err != nil {
			return nil, err
		}
		defer o.close()
		return readSingle(ref, o)
	}
	return readPEFT(ref, d)
}

// readPEFT reads adapter_config.json and adapter_model.safetensors.
func readPEFT(ref string, d directory) (*Adapter, error) {
	a := &Adapter{Ref: ref, Dir: d.Path, Format: FormatPEFT}
	notes, refused := d.findWeights()
	if refused != nil && refused.Code == fault.IONotFound {
		return nil, refused
	}
	a.Notes = notes
	text, configErr := d.readConfig()
	if configErr != nil {
		a.problems = append(a.problems, fault.All(configErr)...)
	} else {
		var problems, configNotes fault.List
		a.Config, problems, configNotes = ParseConfig(d.Name(configName), text)
		a.problems = append(a.problems, problems...)
		a.Notes = append(a.Notes, configNotes...)
	}
	var err error
	if refused == nil {
		a.Weights, err = d.snapshot()
	} else {
		err = refused
	}
	if err != nil {
		a.problems = append(a.problems, fault.All(err)...)
		return nil, a.problems.Err()
	}
	if configErr == nil {
		a.Text = text
		a.Files = []File{
			{Name: ConfigName, Data: bytes.NewReader(text), Size: int64(len(text)), SHA256: sha256.Sum256(text)},
			{Name: WeightsName, Data: a.Weights, Size: a.Weights.Size(), SHA256: a.Weights.SHA256()},
		}
		a.Digest = identity(a.Files)
	}
	a.check(configErr == nil)
	return a, nil
}

// headBytes are enough of a file to tell what it is.
const headBytes = 512

// headOf returns the first bytes of a file.
func headOf(path string, f io.ReaderAt) ([]byte, error) {
	head := make([]byte, headBytes)
	n, err := f.ReadAt(head, 0)
	if err != nil && err != io.EOF {
		return nil, fault.New(fault.IORead, "it cannot be read").In(path).Wrap(reference.Bare(err)).Fix("check its permissions, and the disk")
	}
	return head[:n], nil
}
