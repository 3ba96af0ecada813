package pickle

import (
	"archive/zip"
	"errors"
	"hash/crc32"
	"io"
	"os"
	"path"
	"strings"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/reference"
	"github.com/tenon-ml/tenon/host/safetensors"
)

// The files of PyTorch's archives, below the one folder that all are in.
const (
	pickleName    = "data.pkl"
	byteOrderName = "byteorder"
	storageFolder = "data/"
)

// legacyMark is how files begin that PyTorch wrote before 1.6: a pickle of the number 0x1950a86a20f9469cfc6c.
const legacyMark = "\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."

// archive is a checkpoint's zip archive.
type archive struct {
	name   string
	from   io.ReaderAt
	root   string // the folder, with its slash
	files  map[string]*zip.File
	limits Limits
	kept   map[string]*os.File // storages that had to be unpacked
	proved map[string]bool     // storages whose checksum is right
}

func openArchive(name string, from io.ReaderAt, size int64, limits Limits) (*archive, error) {
	head := make([]byte, 512)
	n, err := from.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fault.New(fault.IORead, "it cannot be read").In(name).Wrap(reference.Bare(err)).Fix("check the disk")
	}
	if refused := notZip(head[:n]); refused != nil {
		return nil, refused.In(name)
	}
	a := &archive{name: name, from: from, files: map[string]*zip.File{}, limits: limits, kept: map[string]*os.File{}, proved: map[string]bool{}}
	z, err := zip.NewReader(from, size)
	if err != nil {
		return nil, a.damaged("", err)
	}
	if len(z.File) > limits.Entries {
		return nil, fault.New(fault.STTooMany, "the archive has %d entries; the limit is %d", len(z.File), limits.Entries).In(name).Fix("give an adapter's weights")
	}
	for _, f := range z.File {
		if _, twice := a.files[f.Name]; twice {
			return nil, fault.New(fault.STDup, "the archive has %s twice", shown(f.Name)).In(name).Fix("save the file again with torch.save")
		}
		a.files[f.Name] = f
		if path.Base(f.Name) == pickleName && strings.Count(f.Name, "/") <= 1 {
			a.root = strings.TrimSuffix(f.Name, pickleName)
		}
	}
	return a, a.check()
}

// notZip says what a file is that PyTorch writes no more, or never did.
func notZip(head []byte) *fault.Error {
	kind, known := safetensors.Sniff(head)
	switch {
	case strings.HasPrefix(string(head), "PK\x03\x04"):
		return nil
	case strings.HasPrefix(string(head), legacyMark[:len(legacyMark)-1]):
		return fault.New(fault.ADPickle, "PyTorch wrote this file before its version 1.6, in a format that is not read").
			Fix("where it is trusted: python -c \"import torch; torch.save(torch.load('FILE', map_location='cpu', weights_only=True), 'NEW.bin')\"")
	case kind == "pickle":
		return fault.New(fault.ADPickle, "this is a bare pickle, and torch.save writes none").Fix(remedyState)
	case !known:
		kind = "file of an unknown kind"
	}
	return fault.New(fault.STWrongType, "this is a %s, not a file of torch.save", kind).Fix("give the .bin, .pt or .pth file that holds the weights")
}

// check holds the archive against what torch.save writes.
func (a *archive) check() error {
	for _, name := range []string{"constants.pkl", "code/"} {
		for file := range a.files {
			if strings.HasPrefix(strings.TrimPrefix(file, a.root), name) {
				return fault.New(fault.ADPickle, "this is a TorchScript program, not a state dict").In(a.name).Fix(remedyState)
			}
		}
	}
	if _, found := a.files[a.root+pickleName]; !found {
		return fault.New(fault.STWrongType, "this is a zip archive without %s, which torch.save writes", pickleName).In(a.name).
			Fix("give the .bin, .pt or .pth file that holds the weights")
	}
	if _, found := a.files[a.root+byteOrderName]; !found {
		return nil // before PyTorch 2.1 there was none, and the machines were little-endian
	}
	order, err := a.read(a.root+byteOrderName, 16)
	if err != nil {
		return err
	}
	if string(order) != "little" {
		return fault.New(fault.ADDType, "the byte order is %s, and little is read", shown(string(order))).In(a.name).
			Fix("save it again on a little-endian machine")
	}
	return nil
}

// damaged is the fault of an archive that is not what it says.
func (a *archive) damaged(member string, err error) error {
	name := a.name
	if member != "" {
		name += "!/" + member
	}
	return fault.New(fault.ADArchive, "the archive is damaged").In(name).Wrap(reference.Bare(err)).Fix("download it, or save it, again")
}

// pickle is the text of data.pkl.
func (a *archive) pickle() ([]byte, error) { return a.read(a.root+pickleName, a.limits.PickleBytes) }

// read unpacks a small file whole.
func (a *archive) read(file string, most int64) ([]byte, error) {
	r, err := a.files[file].Open()
	if err != nil {
		return nil, a.damaged(file, err)
	}
	defer r.Close()
	text, err := io.ReadAll(io.LimitReader(r, most+1))
	if err != nil {
		return nil, a.damaged(file, err)
	}
	if int64(len(text)) > most {
		return nil, fault.New(fault.STTooLarge, "the file has more than %d bytes", most).In(a.name + "!/" + file).Fix("give an adapter's weights")
	}
	return text, nil
}

// holds refuses a storage that the archive does not have in the size it must have.
func (a *archive) holds(s stored) *fault.Error {
	file := a.root + storageFolder + s.key
	f, found := a.files[file]
	switch size := int64(s.dtype.Size()); {
	case !found:
		return fault.New(fault.ADArchive, "the archive does not have the storage %s", shown(s.key)).In(a.name).Fix("download it, or save it, again")
	case s.elements > a.limits.Bytes/size || f.UncompressedSize64 != uint64(s.elements*size):
		return fault.New(fault.STSize, "the storage has %d bytes, and %d elements of %v are asked of it", f.UncompressedSize64, s.elements, s.dtype).
			In(a.name + "!/" + shown(file)).Fix("download it, or save it, again")
	}
	return nil
}

// storage gives the bytes of a storage that holds has let pass. They are held against their checksum when they are first asked for.
func (a *archive) storage(s stored) (io.ReaderAt, error) {
	file := a.root + storageFolder + s.key
	f := a.files[file]
	size := int64(f.UncompressedSize64)
	if kept := a.kept[file]; kept != nil {
		return kept, nil
	}
	if f.Method == zip.Store {
		offset, err := f.DataOffset()
		if err != nil {
			return nil, a.damaged(file, err)
		}
		section := io.NewSectionReader(a.from, offset, size)
		if !a.proved[file] {
			sum := crc32.NewIEEE()
			if n, err := io.Copy(sum, section); err != nil || n != size || sum.Sum32() != f.CRC32 {
				return nil, a.damaged(file, errors.Join(err, zip.ErrChecksum))
			}
			a.proved[file] = true
		}
		return section, nil
	}
	r, err := f.Open()
	if err != nil {
		return nil, a.damaged(file, err)
	}
	defer r.Close()
	kept, _, err := safetensors.PrivateFrom(a.name+"!/"+file, io.LimitReader(r, size))
	if err != nil {
		if len(fault.All(err)) > 0 {
			return nil, err
		}
		return nil, a.damaged(file, err)
	}
	if n, err := r.Read(make([]byte, 1)); n != 0 || err != io.EOF { // at its end the reader compares sizes and checksums
		kept.Close()
		return nil, a.damaged(file, errors.Join(err, errors.New("it is longer than it says")))
	}
	a.kept[file] = kept
	return kept, nil
}

func (a *archive) close() {
	for _, f := range a.kept {
		f.Close()
	}
}
