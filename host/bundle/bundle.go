// Package bundle reads and writes adapters that travel as one compressed file: a tar archive or a single file, under gzip or zstd. What a
// bundle holds is unpacked into private memory and never onto a disk, and every byte, entry and name is checked while it is produced, since
// all of them come from strangers.
package bundle

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/reference"
	"github.com/tenon-ml/tenon/host/safetensors"
)

// Limits bound what a bundle may make of the machine. All count what is produced, the bytes of members that nobody wants included.
type Limits struct {
	Bytes   int64  // produced by the decompression
	Ratio   int64  // bytes produced for each byte consumed, once Slack is passed
	Slack   int64  // bytes that may be produced at any ratio
	Window  uint64 // bytes of memory that a zstd frame may ask for
	Entries int    // of the archive, directories included
	Kept    int    // members whose bytes are kept
}

// DefaultLimits allow what an adapter may be at most as a directory. Half-precision weights shrink by less than two and text by less than
// twenty, so a ratio of a hundred is no adapter's; the window is the largest that the zstd program reads unasked.
var DefaultLimits = Limits{Bytes: 2<<30 + 64<<20, Ratio: 100, Slack: 8 << 20, Window: 128 << 20, Entries: 1000, Kept: 64}

// Bundle is what was unpacked. Whoever opened it closes it.
type Bundle struct {
	Name   string
	Files  []File // the regular files, by name
	Single bool   // it is one compressed file and no archive; then Files has one without a name
}

// File is a member of a bundle.
type File struct {
	Name   string // with slashes; checked
	Size   int64
	SHA256 [32]byte
	Data   *os.File // private and sealed, to be read at offsets; nil where the member was not kept. The Bundle owns it.
}

// The marks by which compressed files are known.
const (
	zstdMark = "\x28\xb5\x2f\xfd"
	skipMark = "\x2a\x4d\x18" // after a byte 0x50 to 0x5f: a zstd frame of something else, which some writers begin with
	gzipMark = "\x1f\x8b\x08"
)

// Is reports whether a file that begins with head is compressed as a bundle is: by gzip or zstd.
func Is(head []byte) bool { return isZstd(head) || isGzip(head) }

func isZstd(head []byte) bool {
	return bytes.HasPrefix(head, []byte(zstdMark)) || len(head) > 3 && head[0]&0xf0 == 0x50 && string(head[1:4]) == skipMark
}

// isGzip leaves out the safetensors file whose header's length looks like gzip's mark: its byte 8 is the header's {, and gzip has no such flag.
func isGzip(head []byte) bool {
	return bytes.HasPrefix(head, []byte(gzipMark)) && (len(head) <= 8 || head[8] != '{')
}

// Open unpacks a bundle. keep says of which members the bytes are wanted; all others are read, counted, hashed and dropped. The name is what
// errors call the bundle; they are *fault.Error. The caller keeps f, and closes the Bundle.
func Open(name string, f *os.File, limits Limits, keep func(member string) bool) (_ *Bundle, err error) {
	before, err := f.Stat()
	if err != nil {
		return nil, fault.New(fault.IORead, "its attributes cannot be read").In(name).Wrap(reference.Bare(err)).Fix("check the disk")
	}
	b, err := read(name, io.NewSectionReader(f, 0, before.Size()), limits, keep)
	if err != nil {
		return nil, err
	}
	after, err := f.Stat()
	if err != nil || after.Size() != before.Size() || !after.ModTime().Equal(before.ModTime()) {
		b.Close()
		return nil, fault.New(fault.STChanged, "the file was written to while it was read").In(name).Wrap(err).
			Fix("use a file that nobody is writing")
	}
	return b, nil
}

// read is Open for any source of bytes.
func read(name string, from io.Reader, limits Limits, keep func(string) bool) (_ *Bundle, err error) {
	in := &source{name: name, from: from}
	decoder, err := decompress(in, limits)
	if err != nil {
		return nil, in.explain(err)
	}
	defer decoder.Close()
	counted := &meter{in: in, from: decoder, limits: limits}
	out := bufio.NewReaderSize(counted, blockBytes)
	head, err := out.Peek(blockBytes)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, in.explain(err)
	}
	b := &Bundle{Name: name}
	defer func() {
		if err != nil {
			b.Close()
		}
	}()
	switch {
	case len(head) == 0:
		return nil, fault.New(fault.STEmpty, "nothing is in it").In(name).Fix("pack the adapter again")
	case isTar(head):
		if err = b.readTar(in, out, limits, keep); err == nil && counted.zeros < endBytes {
			err = fault.New(fault.ADArchive, "the archive ends too early: what marks its end is not there").In(name).Fix("download it, or pack it, again")
		}
	default:
		err = b.readSingle(in, out)
	}
	if err != nil {
		return nil, err
	}
	return b, nil
}

// readSingle takes all that is produced as one file.
func (b *Bundle) readSingle(in *source, out io.Reader) error {
	b.Single = true
	data, sum, err := safetensors.PrivateFrom(b.Name, out)
	if err != nil {
		return in.explain(err)
	}
	file := File{Data: data, SHA256: sum}
	b.Files = []File{file}
	info, err := data.Stat()
	if err != nil {
		return fault.New(fault.IORead, "its size is unknown").In(b.Name).Wrap(reference.Bare(err)).Fix("try again")
	}
	b.Files[0].Size = info.Size()
	return nil
}

// Close releases what was kept.
func (b *Bundle) Close() {
	for _, f := range b.Files {
		if f.Data != nil {
			f.Data.Close()
		}
	}
}

// Member is what messages call a file of a bundle.
func Member(bundle, member string) string {
	if member == "" {
		return bundle
	}
	return bundle + "!/" + member
}
