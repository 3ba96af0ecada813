package bundle

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/tenon-ml/tenon/host/fault"
)

func TestOpenRefuses(t *testing.T) {
	one := archived(t, entry{name: "a", text: "one"})
	file := func(name string) []byte { return zipped(t, archived(t, entry{name: name, text: "x"})) }
	pair := func(x, y string) []byte {
		return zipped(t, archived(t, entry{name: x, text: "x"}, entry{name: y, text: "y"}))
	}
	of := func(e entry) []byte { return zipped(t, archived(t, e)) }
	many, folders := make([]entry, DefaultLimits.Kept+1), make([]entry, DefaultLimits.Entries+1)
	for i := range many {
		many[i] = entry{name: fmt.Sprint(i)}
	}
	for i := range folders {
		folders[i] = entry{name: fmt.Sprint(i), kind: tar.TypeDir}
	}
	small := DefaultLimits
	small.Bytes, small.Slack, small.Window = 1<<20, 1<<16, 1<<20
	truncated := func(data []byte) []byte { return data[:len(data)-9] }
	lying := bytes.Clone(one)
	copy(lying[124:136], "00000000777\x00") // 511 bytes instead of 3, in a block of padding
	relabel(lying)
	longer := bytes.Clone(one)
	copy(longer[124:136], "00777777777\x00")
	relabel(longer)
	sparse := bytes.Clone(one)
	sparse[156] = tar.TypeGNUSparse
	relabel(sparse)
	for _, c := range []struct {
		name   string
		data   []byte
		limits Limits
		code   fault.Code
		says   string
	}{
		{"empty gzip", zipped(t, nil), DefaultLimits, fault.STEmpty, ""},
		{"up", file("../../etc/x"), DefaultLimits, fault.ADPath, "leaves the bundle"},
		{"up inside", file("a/../../b"), DefaultLimits, fault.ADPath, "leaves the bundle"},
		{"absolute", file("/abs"), DefaultLimits, fault.ADPath, "absolute"},
		{"drive", file(`C:\x`), DefaultLimits, fault.ADPath, "drive"},
		{"drive with a slash", file("./c:x"), DefaultLimits, fault.ADPath, "drive"},
		{"backslash", file(`a\..\b`), DefaultLimits, fault.ADPath, "backslash"},
		{"dot", file("a/./b"), DefaultLimits, fault.ADPath, "without a name"},
		{"two slashes", file("a//b"), DefaultLimits, fault.ADPath, "without a name"},
		{"no name", file("."), DefaultLimits, fault.ADPath, "no name"},
		{"newline", file("a\nb"), DefaultLimits, fault.ADPath, "control"},
		{"right to left", file("a\u202eb"), DefaultLimits, fault.ADPath, "control"},
		{"not UTF-8", file("a\xffb"), DefaultLimits, fault.ADPath, ""},
		{"4096 characters", file(strings.Repeat("a", 4096)), DefaultLimits, fault.ADPath, "too long"},
		{"a long part", file(strings.Repeat("a", 256)), DefaultLimits, fault.ADPath, "too long"},
		{"deep", file(strings.Repeat("a/", 40) + "b"), DefaultLimits, fault.ADPath, "too deep"},
		{"twice", pair("a", "./a"), DefaultLimits, fault.ADPath, "twice"},
		{"case", pair("a.json", "A.json"), DefaultLimits, fault.ADPath, "case"},
		{"case of a folder", pair("d/x", "D/y"), DefaultLimits, fault.ADPath, "case"},
		{"sharp s", pair("straße", "STRASSE"), DefaultLimits, fault.ADPath, "case"},
		{"normal forms", pair("\u00e9", "e\u0301"), DefaultLimits, fault.ADPath, "accents"},
		{"file and folder", pair("a", "a/b"), DefaultLimits, fault.ADPath, "a file and a folder"},
		{"folder and file", pair("a/b", "a"), DefaultLimits, fault.ADPath, "a file and a folder"},
		{"symbolic link", of(entry{name: "a", kind: tar.TypeSymlink, link: "/etc/shadow"}), DefaultLimits, fault.ADArchive, "symbolic link"},
		{"hard link", of(entry{name: "a", kind: tar.TypeLink, link: "../../x"}), DefaultLimits, fault.ADArchive, "hard link"},
		{"FIFO", of(entry{name: "a", kind: tar.TypeFifo}), DefaultLimits, fault.ADArchive, "FIFO"},
		{"device", of(entry{name: "a", kind: tar.TypeChar}), DefaultLimits, fault.ADArchive, "device"},
		{"global header", of(entry{name: "g", kind: tar.TypeXGlobalHeader, pax: map[string]string{"path": "b"}}), DefaultLimits, fault.ADArchive, "global header"},
		{"sparse, GNU's", zipped(t, sparse), DefaultLimits, fault.ADArchive, ""},
		{"many entries", zipped(t, archived(t, folders...)), DefaultLimits, fault.ADArchive, "entries"},
		{"many files", zipped(t, archived(t, many...)), DefaultLimits, fault.ADArchive, "64 files"},
		{"gzip bomb", zipped(t, make([]byte, 16<<20)), DefaultLimits, fault.ADArchive, "shrinks"},
		{"zstd bomb", zstandard(t, make([]byte, 16<<20)), DefaultLimits, fault.ADArchive, "shrinks"},
		{"bomb of a member that is skipped", zipped(t, archived(t, entry{name: "README", text: strings.Repeat("\x00", 16<<20)}, entry{name: "a"})),
			DefaultLimits, fault.ADArchive, "shrinks"},
		{"too large", zipped(t, archived(t, entry{name: "a", text: noise(1 << 20)})), small, fault.STTooLarge, "1048576"},
		{"window", zstandard(t, bytes.Repeat([]byte(noise(1<<20)), 9), zstd.WithWindowSize(8<<20)), small, fault.ADArchive, "memory"},
		{"size of too much", zipped(t, longer), DefaultLimits, fault.ADArchive, "too early"},
		{"size that takes the padding in", zipped(t, lying), DefaultLimits, "", ""},
		{"archive cut before its end", zipped(t, one[:1024]), DefaultLimits, fault.ADArchive, "too early"},
		{"archive cut within its end", zipped(t, one[:1600]), DefaultLimits, fault.ADArchive, "too early"},
		{"gzip cut", truncated(zipped(t, one)), DefaultLimits, fault.ADArchive, "too early"},
		{"zstd cut", truncated(zstandard(t, one)), DefaultLimits, fault.ADArchive, "too early"},
		{"one byte of zstd changed", flipped(zstandard(t, []byte(noise(5000)))), DefaultLimits, fault.ADArchive, "damaged"},
		{"one byte of gzip changed", flipped(zipped(t, []byte(noise(5000)))), DefaultLimits, fault.ADArchive, "damaged"},
		{"garbage after gzip", append(zipped(t, one), "garbage garbage"...), DefaultLimits, fault.ADArchive, "no compressed data"},
		{"garbage after zstd", append(zstandard(t, one), "garbage garbage"...), DefaultLimits, fault.ADArchive, "no compressed data"},
		{"a byte after zstd", append(zstandard(t, one), 'x'), DefaultLimits, fault.ADArchive, ""},
		{"a second archive", append(zipped(t, one), zipped(t, archived(t, entry{name: "b"}))...), DefaultLimits, fault.ADArchive, "follows the end"},
		{"a tail in the archive", zipped(t, append(one, "tail"...)), DefaultLimits, fault.ADArchive, "follows the end"},
		{"a mark alone", []byte(zstdMark), DefaultLimits, fault.ADArchive, "too early"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := opened(t, c.data, c.limits)
			if c.code == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			e, ok := errors.AsType[*fault.Error](err)
			if !ok || e.Code != c.code || e.File != "b" || e.Remedy == "" || !strings.Contains(e.Error(), c.says) {
				t.Errorf("got %v, want %s that says %q", err, c.code, c.says)
			}
		})
	}
}

// relabel writes the checksum of the first header again.
func relabel(archive []byte) {
	copy(archive[148:156], "        ")
	sum := 0
	for _, c := range archive[:blockBytes] {
		sum += int(c)
	}
	copy(archive[148:156], fmt.Sprintf("%06o\x00 ", sum))
}

// noise is text that does not shrink.
func noise(n int) string {
	var out bytes.Buffer
	for i := 0; out.Len() < n; i++ {
		sum := sha256.Sum256(fmt.Append(nil, i))
		out.Write(sum[:])
	}
	return out.String()[:n]
}

func flipped(data []byte) []byte {
	data[len(data)/2] ^= 1
	return data
}
