package safetensors

import (
	"bytes"
	"strings"
)

// The kinds that wrongType and callers tell apart by name.
const (
	kindLFS    = "Git LFS pointer"
	kindXet    = "Xet pointer"
	kindPickle = "pickle"
	kindZip    = "zip archive (a torch .bin or .pt checkpoint is one)"
)

// magics are the file types that are known by a fixed start. Longer marks come before shorter ones.
var magics = []struct{ mark, kind string }{
	{"version https://git-lfs", kindLFS},
	{"version https://hawser", kindLFS}, // LFS before its release
	{"# xet version", kindXet},
	{"\x89HDF\r\n\x1a\n", "HDF5 file"},
	{"\x93NUMPY", "NumPy array"},
	{"7z\xbc\xaf\x27\x1c", "7z archive"},
	{"Rar!\x1a\x07", "RAR archive"},
	{"\xfd7zXZ\x00", "xz file"},
	{"PK\x03\x04", kindZip},
	{"PK\x05\x06", kindZip},
	{"PK\x07\x08", kindZip},
	{"GGUF", "GGUF file"},
	{"FUGG", "big-endian GGUF file"},
	{"lmgg", "GGML file"},
	{"tjgg", "GGML file"},
	{"\x7fELF", "ELF executable"},
	{"\x00asm", "WebAssembly module"},
	{"\x28\xb5\x2f\xfd", "zstd file"},
	{"\x04\x22\x4d\x18", "lz4 file"},
	{"\xcf\xfa\xed\xfe", "Mach-O executable"},
	{"MZ\x90\x00", "Windows executable"},
	{"\x89PNG", "PNG image"},
	{"%PDF", "PDF document"},
	{"BZh", "bzip2 file"},
	{"#!", "script"},
}

// Sniff names what a file really is from its first bytes; a few hundred are enough. The kind reads well after "this is a". Sniff knows
// nothing of safetensors: a file whose byte 8 is { is asked only after its own length field has proved wrong.
func Sniff(head []byte) (kind string, ok bool) {
	for _, m := range magics {
		if bytes.HasPrefix(head, []byte(m.mark)) {
			return m.kind, true
		}
	}
	switch {
	case isPickle(head):
		return kindPickle, true
	case isGzip(head):
		return "gzip file", true
	case len(head) >= 262 && string(head[257:262]) == "ustar":
		return "tar archive", true
	}
	return sniffText(head)
}

// isPickle tells pickle protocols 2 to 5 from a length field: a header of 640 bytes also begins with 80 02, but zeros follow.
func isPickle(head []byte) bool {
	return len(head) >= 4 && head[0] == 0x80 && head[1] >= 2 && head[1] <= 5 && (head[2] != 0 || head[3] != 0)
}

// isGzip asks for the compression method and the byte of extra flags too, since the first three bytes alone are a possible length.
func isGzip(head []byte) bool {
	return len(head) >= 9 && head[0] == 0x1f && head[1] == 0x8b && head[2] == 8 && (head[8] == 0 || head[8] == 2 || head[8] == 4)
}

// sniffText knows the pages and messages that servers send in place of a file.
func sniffText(head []byte) (string, bool) {
	text := strings.ToLower(strings.TrimLeft(strings.TrimPrefix(string(head), "\ufeff"), " \t\r\n"))
	switch {
	case strings.HasPrefix(text, "<!doctype html"), strings.HasPrefix(text, "<html"), strings.HasPrefix(text, "<head"):
		return "HTML page", true
	case strings.HasPrefix(text, "<?xml"):
		return "XML document", true
	case strings.HasPrefix(text, `{"`), strings.HasPrefix(text, "{\n"), strings.HasPrefix(text, "{\r\n"), strings.HasPrefix(text, "[{"):
		return "JSON document", true
	}
	return "", false
}
