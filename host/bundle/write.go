package bundle

import (
	"archive/tar"
	"bytes"
	"cmp"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/tenon-ml/tenon/host/fault"
)

// Content is a file to pack.
type Content struct {
	Name   string
	Data   io.ReaderAt
	Size   int64
	SHA256 [32]byte
}

// Write packs files, with their manifest, as a tar archive under zstd. The same files give the same bytes, always: names are sorted, owners
// and times are zero, and one thread compresses at one level. Data that is not what its digest says is refused.
func Write(w io.Writer, adapter [32]byte, format string, files []Content) error {
	manifest := Manifest{Schema: Schema, Adapter: fmt.Sprintf("sha256:%x", adapter), Format: format}
	files = slices.Clone(files)
	slices.SortFunc(files, func(x, y Content) int { return cmp.Compare(x.Name, y.Name) })
	for _, f := range files {
		manifest.Files = append(manifest.Files, Entry{Name: f.Name, Size: f.Size, SHA256: hex.EncodeToString(f.SHA256[:])})
	}
	text, err := manifest.text()
	if err != nil {
		return err
	}
	compressed, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedBetterCompression),
		zstd.WithWindowSize(windowBytes), zstd.WithEncoderCRC(true))
	if err != nil {
		return err
	}
	archive := tar.NewWriter(compressed)
	if err := writeMember(archive, ManifestName, bytes.NewReader(text), int64(len(text))); err != nil {
		return err
	}
	for _, f := range files {
		data := newHashed(f)
		if err := writeMember(archive, f.Name, data, f.Size); err != nil {
			return err
		}
		if err := data.check(f); err != nil {
			return err
		}
	}
	if err := archive.Close(); err != nil {
		return writeFault(err)
	}
	if err := compressed.Close(); err != nil {
		return writeFault(err)
	}
	return nil
}

// windowBytes is how far back the compression looks: what any reader of zstd has memory for.
const windowBytes = 8 << 20

func writeMember(archive *tar.Writer, name string, data io.Reader, size int64) error {
	if clean, reason := cleanName(name); reason != "" || clean != name || strings.Contains(name, "/") {
		return fault.New(fault.ADArchive, "%q is no name for a bundle's file", name).Fix("rename it")
	}
	header := &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o644, Format: tar.FormatUSTAR}
	if err := archive.WriteHeader(header); err != nil {
		return writeFault(err)
	}
	if _, err := io.Copy(archive, data); err != nil {
		return writeFault(err)
	}
	return nil
}

func writeFault(err error) error {
	return fault.New(fault.IOWrite, "the bundle cannot be written").Wrap(err).Fix("check the disk, and that there is room on it")
}
