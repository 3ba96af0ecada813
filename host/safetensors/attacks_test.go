package safetensors

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/host/fault"
)

// file puts the length field before a header and data bytes after it.
func file(header string, data int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), make([]byte, data)...)
}

// lengthField is a file that begins with this length and holds rest after it.
func lengthField(length uint64, rest string) []byte {
	return append(binary.LittleEndian.AppendUint64(nil, length), rest...)
}

// one is a header with one tensor "t" of the given fields.
func one(fields string) string { return `{"t":{` + fields + `}}` }

const good = `"dtype":"F32","shape":[1],"data_offsets":[0,4]`

// attacks has one row for each violation of the format. An offset of anywhere is not checked.
var attacks = []struct {
	name   string
	bytes  []byte
	code   fault.Code
	offset int64
	tensor string
}{
	{"A01 empty", nil, fault.STEmpty, 0, ""},
	{"A02 one byte", []byte{1}, fault.STShort, 1, ""},
	{"A02 seven bytes", make([]byte, 7), fault.STShort, 7, ""},
	{"A03 header length 0", lengthField(0, "{}"), fault.STHdrSmall, 0, ""},
	{"A03 header length 1", lengthField(1, "{"), fault.STHdrSmall, 0, ""},
	{"A04 length 2^64-1", lengthField(math.MaxUint64, "{}"), fault.STHdrLen, 0, ""},
	{"A04 length 2^64-8", lengthField(math.MaxUint64-7, "{}"), fault.STHdrLen, 0, ""},
	{"A04 length 2^63-1", lengthField(math.MaxInt64, "{}"), fault.STHdrLen, 0, ""},
	{"A05 length beyond the file", lengthField(3, "{}"), fault.STHdrTrunc, 0, ""},
	{"A05 length field only", lengthField(2, ""), fault.STHdrTrunc, 0, ""},
	{"A06 length above the format", lengthField(100_000_001, "{}"), fault.STHdrBig, 0, ""},
	{"A06 length above the limit", lengthField(8<<20+1, "{}"), fault.STHdrBig, 0, ""},
	{"A07 cut in a key", file(`{"t`, 0), fault.STHdrJSON, 8 + 3, ""},
	{"A07 cut after a key", file(`{"t"`, 0), fault.STHdrJSON, 8 + 4, ""},
	{"A07 cut in an entry", file(`{"t":{"dtype":"F32"`, 0), fault.STHdrJSON, 8 + 19, "t"},
	{"A07 cut in a shape", file(`{"t":{"shape":[1`, 0), fault.STHdrJSON, 8 + 16, "t"},
	{"A07 cut after a comma", file(`{"t":{"shape":[1,`, 0), fault.STHdrJSON, 8 + 17, "t"},
	{"A07 cut in an escape", file(`{"\u00`, 0), fault.STHdrJSON, 8 + 2, ""},
	{"A07 cut after a backslash", file(`{"\`, 0), fault.STHdrJSON, 8 + 3, ""},
	{"A07 cut before the brace", file(`{"t":{`+good+`}`, 4), fault.STHdrJSON, anywhere, ""},
	{"A08 leading space", file(" {}", 0), fault.STHdrStart, 8, ""},
	{"A08 byte order mark", file("\ufeff{}", 0), fault.STHdrStart, 8, ""},
	{"A08 array", file("[]", 0), fault.STHdrStart, 8, ""},
	{"A08 string", file(`"{}"`, 0), fault.STHdrStart, 8, ""},
	{"A09 byte after the JSON", file("{}x", 0), fault.STHdrJSON, 10, ""},
	{"A09 byte after the padding", file("{}  }", 0), fault.STHdrJSON, 12, ""},
	{"A09 NUL padding", file("{}\x00\x00", 0), fault.STHdrJSON, 10, ""},
	{"A09 newline padding", file("{}\n", 0), fault.STHdrJSON, 10, ""},
	{"A09 two objects", file("{}{}", 0), fault.STHdrJSON, 10, ""},
	{"A10 invalid UTF-8", file("{\"a\xff\":{"+good+"}}", 4), fault.STHdrUTF8, 8 + 3, ""},
	{"A10 overlong UTF-8", file("{\"\xc0\xaf\":{"+good+"}}", 4), fault.STHdrUTF8, 8 + 2, ""},
	{"A10 surrogate in UTF-8", file("{\"\xed\xa0\x80\":{"+good+"}}", 4), fault.STHdrUTF8, 8 + 2, ""},
	{"A10 lone high surrogate", file(`{"\ud800":{`+good+`}}`, 4), fault.STHdrUTF8, 8 + 2, ""},
	{"A10 lone low surrogate", file(`{"\udc00":{`+good+`}}`, 4), fault.STHdrUTF8, 8 + 2, ""},
	{"A10 two high surrogates", file(`{"\ud800\ud800":{`+good+`}}`, 4), fault.STHdrUTF8, 8 + 2, ""},
	{"A10 high surrogate and letter", file(`{"\ud800a":{`+good+`}}`, 4), fault.STHdrUTF8, 8 + 2, ""},
	{"A10 raw NUL in a name", file("{\"a\x00\":{"+good+"}}", 4), fault.STHdrUTF8, 8 + 3, ""},
	{"A10 escaped NUL in a name", file(`{"a\u0000":{`+good+`}}`, 4), fault.STHdrUTF8, 8 + 3, ""},
	{"A10 control byte in a name", file("{\"a\n\":{"+good+"}}", 4), fault.STHdrJSON, 8 + 3, ""},
	{"A10 unknown escape", file(`{"\x":{`+good+`}}`, 4), fault.STHdrJSON, 8 + 2, ""},
	{"A10 bad hexadecimal", file(`{"\u00zz":{`+good+`}}`, 4), fault.STHdrJSON, 8 + 2, ""},
	{"A11 duplicate tensor", file(`{"a":{`+good+`},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, 8), fault.STDup, anywhere, "a"},
	{"A11 duplicate by escape", file(`{"a":{`+good+`},"\u0061":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, 8),
		fault.STDup, anywhere, "a"},
	{"A12 duplicate dtype", file(one(`"dtype":"F32",`+good), 4), fault.STDup, anywhere, "t"},
	{"A12 duplicate shape", file(one(`"shape":[1],`+good), 4), fault.STDup, anywhere, "t"},
	{"A12 duplicate data_offsets by escape", file(one(`"data\u005foffsets":[0,4],`+good), 4), fault.STDup, anywhere, "t"},
	{"A13 metadata twice", file(`{"__metadata__":{},"__metadata__":{}}`, 0), fault.STDup, anywhere, "__metadata__"},
	{"A13 metadata key twice", file(`{"__metadata__":{"a":"1","\u0061":"2"}}`, 0), fault.STDup, anywhere, ""},
	{"A13 metadata nested", file(`{"__metadata__":{"a":{"b":"c"}}}`, 0), fault.STMetadata, anywhere, ""},
	{"A13 metadata number", file(`{"__metadata__":{"a":1}}`, 0), fault.STMetadata, anywhere, ""},
	{"A13 metadata null", file(`{"__metadata__":null}`, 0), fault.STMetadata, anywhere, ""},
	{"A13 metadata string", file(`{"__metadata__":"a"}`, 0), fault.STMetadata, anywhere, ""},
	{"A13 metadata of 5 MB", file(`{"__metadata__":{"a":"`+strings.Repeat("x", 5_000_000)+`"}}`, 0), fault.STMetadata, anywhere, ""},
	{"A14 tensor named __metadata__", file(`{"__metadata__":{`+good+`}}`, 4), fault.STMetadata, anywhere, ""},
	{"A14 tensor named __metadata__ by escape", file(`{"\u005f_metadata__":{`+good+`}}`, 4), fault.STMetadata, anywhere, ""},
	{"A15 deep array for a shape", file(`{"t":{"shape":`+strings.Repeat("[", 10_000), 0), fault.STEntry, anywhere, "t"},
	{"A15 deep array for an entry", file(`{"t":`+strings.Repeat("[", 10_000), 0), fault.STEntry, anywhere, "t"},
	{"A15 deep objects", file(strings.Repeat(`{"t":`, 10_000), 0), fault.STEntry, anywhere, "t"},
	{"A15 deep metadata", file(`{"__metadata__":`+strings.Repeat(`{"t":`, 10_000), 0), fault.STMetadata, anywhere, ""},
	{"A16 too many tensors", file(many(65_537), 0), fault.STTooMany, anywhere, ""},
	{"A17 unknown dtype", file(one(`"dtype":"F31","shape":[1],"data_offsets":[0,4]`), 4), fault.STDType, anywhere, "t"},
	{"A17 dtype in lower case", file(one(`"dtype":"f32","shape":[1],"data_offsets":[0,4]`), 4), fault.STDType, anywhere, "t"},
	{"A17 dtype INVALID", file(one(`"dtype":"INVALID","shape":[1],"data_offsets":[0,4]`), 4), fault.STDType, anywhere, "t"},
	{"A17 dtype a number", file(one(`"dtype":1,"shape":[1],"data_offsets":[0,4]`), 4), fault.STEntry, anywhere, "t"},
	{"A17 offsets for data_offsets", file(one(`"dtype":"F32","shape":[1],"offsets":[0,4]`), 4), fault.STEntry, anywhere, "t"},
	{"A17 key in another case", file(one(`"Dtype":"F32","shape":[1],"data_offsets":[0,4]`), 4), fault.STEntry, anywhere, "t"},
	{"A17 key too many", file(one(good+`,"x":1`), 4), fault.STEntry, anywhere, "t"},
	{"A17 dtype missing", file(one(`"shape":[1],"data_offsets":[0,4]`), 4), fault.STEntry, 8 + 1, "t"},
	{"A17 shape missing", file(one(`"dtype":"F32","data_offsets":[0,4]`), 4), fault.STEntry, 8 + 1, "t"},
	{"A17 empty entry", file(one(``), 0), fault.STEntry, 8 + 1, "t"},
	{"A17 entry an array", file(`{"t":[]}`, 0), fault.STEntry, 8 + 5, "t"},
	{"A17 entry null", file(`{"t":null}`, 0), fault.STEntry, 8 + 5, "t"},
	{"A17 shape a number", file(one(`"dtype":"F32","shape":1,"data_offsets":[0,4]`), 4), fault.STEntry, anywhere, "t"},
	{"A17 one offset", file(one(`"dtype":"F32","shape":[1],"data_offsets":[4]`), 4), fault.STEntry, anywhere, "t"},
	{"A17 three offsets", file(one(`"dtype":"F32","shape":[1],"data_offsets":[0,4,4]`), 4), fault.STEntry, anywhere, "t"},
	{"A17 no offsets", file(one(`"dtype":"F32","shape":[1],"data_offsets":[]`), 4), fault.STEntry, anywhere, "t"},
	{"A18 begin after end", file(one(`"dtype":"F32","shape":[1],"data_offsets":[4,0]`), 4), fault.STOffset, anywhere, "t"},
	{"A19 end past the data", file(one(`"dtype":"F32","shape":[2],"data_offsets":[0,8]`), 4), fault.STOffsetEOF, anywhere, "t"},
	{"A20 overlap", file(two(4, 0, 4, 2, 6), 6), fault.STOverlap, anywhere, "b"},
	{"A20 same bytes", file(two(4, 0, 4, 0, 4), 4), fault.STOverlap, anywhere, "b"},
	{"A20 empty tensor inside another", file(`{"a":{`+good+`},"b":{"dtype":"F32","shape":[0],"data_offsets":[2,2]}}`, 4),
		fault.STOverlap, anywhere, "b"},
	{"A21 hole", file(two(4, 0, 4, 5, 9), 9), fault.STHole, anywhere, "b"},
	{"A22 trailing bytes", file(one(good), 5), fault.STTrail, anywhere, ""},
	{"A22 data without tensors", file("{}", 1), fault.STTrail, 10, ""},
	{"A23 first tensor not at 0", file(one(`"dtype":"F32","shape":[1],"data_offsets":[1,5]`), 5), fault.STHole, anywhere, "t"},
	{"A24 too few bytes", file(one(`"dtype":"F32","shape":[2],"data_offsets":[0,4]`), 4), fault.STSize, anywhere, "t"},
	{"A24 too many bytes", file(one(`"dtype":"BF16","shape":[1],"data_offsets":[0,4]`), 4), fault.STSize, anywhere, "t"},
	{"A24 bytes of an empty tensor", file(one(`"dtype":"F32","shape":[0],"data_offsets":[0,4]`), 4), fault.STSize, anywhere, "t"},
	{"A25 shape overflows", file(one(`"dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,0]`), 0),
		fault.STOverflow, anywhere, "t"},
	{"A25 shape times dtype overflows", file(one(`"dtype":"F64","shape":[2305843009213693952],"data_offsets":[0,0]`), 0),
		fault.STOverflow, anywhere, "t"},
	{"A25 bits overflow", file(one(`"dtype":"U8","shape":[4611686018427387904],"data_offsets":[0,0]`), 0), fault.STOverflow, anywhere, "t"},
	{"A25 overflow behind a zero", file(one(`"dtype":"U8","shape":[0,4294967296,4294967296],"data_offsets":[0,0]`), 0),
		fault.STOverflow, anywhere, "t"},
	{"A26 negative axis", file(one(`"dtype":"F32","shape":[-1],"data_offsets":[0,4]`), 4), fault.STEntry, anywhere, "t"},
	{"A26 negative offset", file(one(`"dtype":"F32","shape":[1],"data_offsets":[-4,0]`), 4), fault.STEntry, anywhere, "t"},
	{"A26 float axis", file(one(`"dtype":"F32","shape":[1.0],"data_offsets":[0,4]`), 4), fault.STEntry, anywhere, "t"},
	{"A26 exponent", file(one(`"dtype":"F32","shape":[1e0],"data_offsets":[0,4]`), 4), fault.STEntry, anywhere, "t"},
	{"A26 string axis", file(one(`"dtype":"F32","shape":["1"],"data_offsets":[0,4]`), 4), fault.STEntry, anywhere, "t"},
	{"A26 boolean axis", file(one(`"dtype":"F32","shape":[true],"data_offsets":[0,4]`), 4), fault.STEntry, anywhere, "t"},
	{"A26 leading zero", file(one(`"dtype":"F32","shape":[01],"data_offsets":[0,4]`), 4), fault.STHdrJSON, anywhere, "t"},
	{"A26 plus sign", file(one(`"dtype":"F32","shape":[+1],"data_offsets":[0,4]`), 4), fault.STHdrJSON, anywhere, "t"},
	{"A26 trailing comma", file(one(`"dtype":"F32","shape":[1,],"data_offsets":[0,4]`), 4), fault.STHdrJSON, anywhere, "t"},
	{"A26 axis of 2^63", file(one(`"dtype":"F32","shape":[9223372036854775808],"data_offsets":[0,4]`), 4), fault.STOverflow, anywhere, "t"},
	{"A26 axis of 2^64", file(one(`"dtype":"F32","shape":[18446744073709551616],"data_offsets":[0,4]`), 4), fault.STOverflow, anywhere, "t"},
	{"A26 65 axes", file(one(`"dtype":"F32","shape":[1`+strings.Repeat(",1", 64)+`],"data_offsets":[0,4]`), 4),
		fault.STEntry, anywhere, "t"},
	{"A28 half a byte", file(one(`"dtype":"F4","shape":[3],"data_offsets":[0,1]`), 1), fault.STDType, anywhere, "t"},
	{"A28 six bits", file(one(`"dtype":"F6_E2M3","shape":[2],"data_offsets":[0,1]`), 1), fault.STDType, anywhere, "t"},
	{"A35 Git LFS pointer", []byte("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"), fault.STLFSPointer, 0, ""},
	{"A35 Xet pointer", []byte("# xet version 0\nfilesize = 12345\nhash = '4d7a'\n"), fault.STLFSPointer, 0, ""},
	{"A36 pickle", []byte("\x80\x02}q\x00X\x01\x00\x00\x00aq\x01K\x01s."), fault.STWrongType, 0, ""},
	{"A36 zip", []byte("PK\x03\x04\x00\x00\x00\x00\x08\x08\x00\x00"), fault.STWrongType, 0, ""},
	{"A36 GGUF", []byte("GGUF\x03\x00\x00\x00\x00\x00\x00\x00"), fault.STWrongType, 0, ""},
	{"A36 HTML page", []byte("<!DOCTYPE html><html><title>404"), fault.STWrongType, 0, ""},
	{"A36 error message", []byte(`{"error":"Repository not found"}`), fault.STWrongType, 0, ""},
	{"A37 big-endian length", append([]byte{0, 0, 0, 0, 0, 0, 0, 2}, "{}"...), fault.STHdrBig, 0, ""},
	{"no colon", file(`{"t" {}}`, 0), fault.STHdrJSON, 8 + 5, ""},
	{"no comma", file(`{"a":{`+good+`}"b":{}}`, 4), fault.STHdrJSON, anywhere, ""},
	{"key without quotes", file(`{t:{}}`, 0), fault.STHdrJSON, 8 + 1, ""},
	{"number for a key", file(`{1:{}}`, 0), fault.STHdrJSON, 8 + 1, ""},
	{"comma before the brace", file(`{"a":{`+good+`},}`, 4), fault.STHdrJSON, anywhere, ""},
	{"garbage for a shape", file(one(`"dtype":"F32","shape":@,"data_offsets":[0,4]`), 4), fault.STHdrJSON, anywhere, "t"},
}

const anywhere = -2

// two is a header with tensors "a" and "b" of n bytes each.
func two(n, a0, a1, b0, b1 int) string {
	return fmt.Sprintf(`{"a":{"dtype":"U8","shape":[%d],"data_offsets":[%d,%d]},"b":{"dtype":"U8","shape":[%d],"data_offsets":[%d,%d]}}`,
		n, a0, a1, n, b0, b1)
}

// many is a header with n empty tensors.
func many(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteByte("{,"[min(i, 1)])
		fmt.Fprintf(&b, `"%d":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}`, i)
	}
	return b.String() + "}"
}

func TestAttacks(t *testing.T) {
	for _, attack := range attacks {
		t.Run(attack.name, func(t *testing.T) {
			_, err := ReadHeader("x.safetensors", bytes.NewReader(attack.bytes), int64(len(attack.bytes)), DefaultLimits)
			list := fault.All(err)
			if len(list) != 1 {
				t.Fatalf("got %d faults, want one %s: %v", len(list), attack.code, err)
			}
			got := list[0]
			if got.Code != attack.code || got.File != "x.safetensors" || got.Tensor != attack.tensor || got.Remedy == "" {
				t.Errorf("got %v, want code %s, tensor %q, the file and a remedy", got, attack.code, attack.tensor)
			}
			if attack.offset != anywhere && got.Offset != attack.offset || got.Offset == fault.NoOffset || got.Offset > int64(len(attack.bytes)) {
				t.Errorf("got byte %d, want %d: %v", got.Offset, attack.offset, got)
			}
			if got.Code.Class() != fault.Rejected {
				t.Errorf("class of %s is %v, want Rejected", got.Code, got.Code.Class())
			}
		})
	}
}

// TestLongNamesAreNotRepeated has one tensor with a long name that all others overlap: each fault names what it overlaps, and the sum of
// the names must stay small.
func TestLongNamesAreNotRepeated(t *testing.T) {
	var text strings.Builder
	fmt.Fprintf(&text, `{"%s":{"dtype":"U8","shape":[9],"data_offsets":[0,9]}`, strings.Repeat("n", 3<<20))
	for i := range 20_000 {
		fmt.Fprintf(&text, `,"t%d":{"dtype":"U8","shape":[1],"data_offsets":[%d,%d]}`, i, i%8+1, i%8+2)
	}
	text.WriteString("}")
	file := binary.LittleEndian.AppendUint64(nil, uint64(text.Len()))
	file = append(append(file, text.String()...), make([]byte, 9)...)
	_, err := ReadHeader("f", bytes.NewReader(file), int64(len(file)), DefaultLimits)
	if all := fault.All(err); len(all) != maxFaults || all[0].Code != fault.STOverlap || len(err.Error()) > 1<<20 {
		t.Errorf("%d faults in %d bytes", len(all), len(err.Error()))
	}
}
