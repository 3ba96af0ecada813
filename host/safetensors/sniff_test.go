package safetensors

import (
	"bytes"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/host/fault"
)

func TestSniff(t *testing.T) {
	tar := make([]byte, 512)
	copy(tar, "adapter_config.json")
	copy(tar[257:], "ustar\x0000")
	tests := []struct{ head, kind string }{
		{"version https://git-lfs.github.com/spec/v1\noid", "Git LFS pointer"},
		{"# xet version 0\n", "Xet pointer"},
		{"\x80\x02}q\x00", "pickle"},
		{"\x80\x05\x95\x11\x00", "pickle"},
		{"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.", "pickle"}, // torch.save before 1.6
		{"PK\x03\x04", "zip archive (a torch .bin or .pt checkpoint is one)"},
		{"GGUF\x03\x00\x00\x00", "GGUF file"},
		{"7z\xbc\xaf\x27\x1c", "7z archive"},
		{"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03", "gzip file"},
		{"\x28\xb5\x2f\xfd", "zstd file"},
		{"\x7fELF\x02", "ELF executable"},
		{"\x00asm\x01\x00\x00\x00", "WebAssembly module"},
		{"\x89HDF\r\n\x1a\n", "HDF5 file"},
		{"\x93NUMPY\x01", "NumPy array"},
		{string(tar), "tar archive"},
		{"\n\n<!doctype HTML>", "HTML page"},
		{"\ufeff<html lang=en>", "HTML page"},
		{"<?xml version='1.0'?><Error>", "XML document"},
		{`{"error":"Entry not found"}`, "JSON document"},
		{"{\n  \"r\": 8", "JSON document"},
		{"", ""},
		{"\x80\x02\x00\x00\x00\x00\x00\x00 {", ""},         // a header of 640 bytes, with a space before it
		{"\x1f\x8b\x08\x00\x00\x00\x00\x00 {", ""},         // a header of 559,903 bytes
		{"\x00\x00\x00\x00\x00\x00\x00\x00\x00", ""},       // zeros
		{"once upon a time there was a llama in town", ""}, // text
	}
	for _, test := range tests {
		kind, ok := Sniff([]byte(test.head))
		if kind != test.kind || ok != (test.kind != "") {
			t.Errorf("Sniff(%.20q) = %q, %v; want %q", test.head, kind, ok, test.kind)
		}
	}
}

// TestSniffSparesRealHeaders gives headers whose length looks like another file's mark.
func TestSniffSparesRealHeaders(t *testing.T) {
	for _, length := range []int{0x0280, 0x0580, 0x088b1f} {
		raw := file("{}"+strings.Repeat(" ", length-2), 0)
		if _, err := ReadHeader("x", bytes.NewReader(raw), int64(len(raw)), DefaultLimits); err != nil {
			t.Errorf("a header of %d bytes: %v", length, err)
		}
	}
}

func TestWrongTypeNamesTheKind(t *testing.T) {
	for _, mark := range []string{"PK\x03\x04", "GGUF", "\x80\x02}q", "7z\xbc\xaf\x27\x1c", "<html>", "version https://git-lfs"} {
		raw := append([]byte(mark), make([]byte, 64)...)
		kind, _ := Sniff(raw)
		_, err := ReadHeader("x", bytes.NewReader(raw), int64(len(raw)), DefaultLimits)
		if list := fault.All(err); len(list) != 1 || kind == "" || !strings.Contains(list[0].Cause, kind) {
			t.Errorf("%q: got %v, want the kind %q named", mark, err, kind)
		}
	}
}
