package bundle

import (
	"archive/tar"
	"bytes"
	"cmp"
	"crypto/sha256"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/safetensors"
)

// blockBytes is the size of tar's blocks, and endBytes are the zeros by which an archive ends.
const (
	blockBytes = 512
	endBytes   = 2 * blockBytes
)

// isTar reports whether a stream begins with a tar header whose checksum is right, or with the zeros that end an empty archive.
func isTar(head []byte) bool {
	const at, size = 148, 8 // the checksum's field, which is summed as if it were spaces
	if len(head) < blockBytes {
		return false
	}
	sum := int64(size * ' ')
	for i, c := range head {
		if i < at || i >= at+size {
			sum += int64(c)
		}
	}
	if sum == size*' ' {
		return bytes.Count(head, []byte{0}) == len(head)
	}
	field := strings.Trim(string(head[at:at+size]), " \x00")
	want, err := strconv.ParseInt(field, 8, 64)
	return err == nil && want == sum
}

// readTar reads the archive to its end and to the end of the stream.
func (b *Bundle) readTar(in *source, out io.Reader, limits Limits, keep func(string) bool) error {
	archive := tar.NewReader(out)
	taken := names{}
	entries, kept := 0, 0
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return in.explain(err)
		}
		if entries++; entries > limits.Entries {
			return fault.New(fault.ADArchive, "it has more than %d entries; an adapter has a few", limits.Entries).In(b.Name).
				Fix("pack the adapter's own files only")
		}
		name, err := b.member(header, taken)
		if err != nil {
			return err
		}
		if header.Typeflag != tar.TypeReg {
			continue
		}
		wanted := keep(name)
		if wanted {
			kept++
		}
		if kept > limits.Kept {
			return fault.New(fault.ADArchive, "it has more than %d files that could be an adapter's", limits.Kept).In(b.Name).Fix("pack one adapter")
		}
		file, err := b.readMember(archive, name, wanted)
		if err != nil {
			return in.explain(err)
		}
		b.Files = append(b.Files, file)
	}
	slices.SortFunc(b.Files, func(x, y File) int { return cmp.Compare(x.Name, y.Name) })
	return b.readEnd(in, out)
}

// member checks an entry before its bytes are looked at, and returns its name; "" for what has no name.
func (b *Bundle) member(header *tar.Header, taken names) (string, error) {
	refuse := func(cause string, args ...any) *fault.Error {
		return fault.New(fault.ADArchive, cause, args...).In(b.Name).Fix("pack the adapter again, with regular files and plain names; tenon pack does")
	}
	refuseName := func(cause string, args ...any) *fault.Error {
		e := refuse(cause, args...)
		e.Code = fault.ADPath
		return e
	}
	if header.Typeflag == tar.TypeXGlobalHeader { // git archive writes the commit into one
		for key := range header.PAXRecords {
			if key != "comment" {
				return "", refuse("it has a global header that sets %q", key)
			}
		}
		return "", nil
	}
	if kind, refused := special(header); refused {
		return "", refuse("its member %q is %s", header.Name, kind)
	}
	name, reason := cleanName(header.Name)
	if reason != "" {
		return "", refuseName("the name of its member %s %s", shown(header.Name), reason)
	}
	folder := header.Typeflag == tar.TypeDir
	switch {
	case name == "" && folder:
		return "", nil
	case name == "" || !folder && strings.HasSuffix(header.Name, "/"):
		return "", refuseName("its member %q has no name", header.Name)
	}
	if reason := taken.add(name, folder); reason != "" {
		return "", refuseName("the name of its member %s %s", shown(header.Name), reason)
	}
	return name, nil
}

// special names what is no regular file and no directory.
func special(header *tar.Header) (kind string, refused bool) {
	for key := range header.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return "a sparse file", true
		}
	}
	switch header.Typeflag {
	case tar.TypeReg, tar.TypeDir:
		return "", false
	case tar.TypeLink:
		return "a hard link", true
	case tar.TypeSymlink:
		return "a symbolic link", true
	case tar.TypeChar, tar.TypeBlock:
		return "a device", true
	case tar.TypeFifo:
		return "a FIFO", true
	case tar.TypeGNUSparse:
		return "a sparse file", true
	}
	return "an entry of type " + strconv.QuoteRune(rune(header.Typeflag)), true
}

// shown is a foreign name for a message, not too long.
func shown(name string) string {
	const most = 120
	if len(name) > most {
		name = name[:most] + "…"
	}
	return strconv.Quote(name)
}

// readMember reads one regular file to its end.
func (b *Bundle) readMember(from io.Reader, name string, keep bool) (File, error) {
	file := File{Name: name}
	if !keep {
		hash := sha256.New()
		n, err := io.Copy(hash, from)
		file.Size, file.SHA256 = n, [32]byte(hash.Sum(nil))
		return file, err
	}
	counted := &counter{from: from}
	data, sum, err := safetensors.PrivateFrom(Member(b.Name, name), counted)
	file.Data, file.SHA256, file.Size = data, sum, counted.n
	return file, err
}

type counter struct {
	from io.Reader
	n    int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	c.n += int64(n)
	return n, err
}

// readEnd reads what follows the archive's end, which may be nothing but zeros: a second archive there would be another adapter for a reader
// that does not stop.
func (b *Bundle) readEnd(in *source, out io.Reader) error {
	buffer := make([]byte, 32<<10)
	for {
		n, err := out.Read(buffer)
		if len(bytes.TrimLeft(buffer[:n], "\x00")) > 0 {
			return fault.New(fault.ADArchive, "something follows the end of the archive").In(b.Name).Fix("pack the adapter again; tenon pack does")
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return in.explain(err)
		}
	}
}
