package safetensors

import (
	"encoding/binary"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// headerAlign is what the header's length is padded to, as other writers do, so that the data begins on such a boundary.
const headerAlign = 8

// Entry is one tensor to be written.
type Entry struct {
	Name  string
	DType tensor.DType
	Shape []int
}

// Layout makes the header of a file that holds the entries' data one after the other, in the order given. The header is the length field
// and the JSON, padded with spaces to a multiple of 8; refs are the entries with absolute offsets; size is that of the whole file. The
// same arguments give the same bytes: __metadata__ comes first, its keys sorted, and is left out when metadata is empty. What ReadHeader
// would refuse, whatever its limits, Layout refuses.
func Layout(entries []Entry, metadata map[string]string) (header []byte, refs []tensor.Ref, size int64, err error) {
	var faults fault.List
	seen := map[string]bool{metadataKey: true}
	refs = make([]tensor.Ref, len(entries))
	end := int64(0)
	for i, e := range entries {
		if seen[e.Name] {
			faults.Add(fault.New(fault.STDup, "a second tensor of this name, or of the name of the metadata, cannot be written").Of(e.Name))
		}
		seen[e.Name] = true
		if !writable(e.Name) {
			faults.Add(fault.New(fault.STHdrUTF8, "the name is not valid UTF-8 without NUL").Of(e.Name))
		}
		length, failed := e.bytes()
		if failed == nil && length > math.MaxInt64-end {
			failed = fault.New(fault.STOverflow, "the file needs more bytes than 63 bits can count")
		}
		if failed != nil {
			faults.Add(failed.Of(e.Name))
			continue
		}
		refs[i] = tensor.Ref{Name: e.Name, DType: e.DType, Shape: slices.Clone(e.Shape), Offset: end, Length: length}
		end += length
	}
	for _, key := range slices.Sorted(maps.Keys(metadata)) {
		if !writable(key) || !writable(metadata[key]) {
			faults.Add(fault.New(fault.STHdrUTF8, "the metadata is not valid UTF-8 without NUL").At(metadataPlace(key)))
		}
	}
	if err := faults.Err(); err != nil {
		return nil, nil, 0, err
	}
	header = appendHeader(make([]byte, lengthBytes), refs, metadata)
	length := len(header) - lengthBytes
	if length > MaxHeaderBytes {
		return nil, nil, 0, fault.New(fault.STHdrBig, "the header would have %d bytes; the limit is %d", length, MaxHeaderBytes)
	}
	binary.LittleEndian.PutUint64(header, uint64(length))
	start := int64(len(header))
	if end > math.MaxInt64-start {
		return nil, nil, 0, fault.New(fault.STOverflow, "the file needs more bytes than 63 bits can count")
	}
	for i := range refs {
		refs[i].Offset += start
	}
	return header, refs, start + end, nil
}

// bytes is the size of the entry's data.
func (e Entry) bytes() (int64, *fault.Error) {
	if e.DType.Bits() == 0 {
		return 0, fault.New(fault.STDType, "%v is not a dtype of the format", e.DType)
	}
	for _, n := range e.Shape {
		if n < 0 {
			return 0, fault.New(fault.STEntry, "the shape %v has a negative axis", e.Shape)
		}
	}
	length, whole, fits := byteSize(e.Shape, e.DType)
	switch {
	case !fits:
		return 0, fault.New(fault.STOverflow, "the shape %v of %v needs more bytes than 63 bits can count", e.Shape, e.DType)
	case !whole:
		return 0, fault.New(fault.STDType, "the shape %v of %v does not fill whole bytes", e.Shape, e.DType)
	}
	return length, nil
}

// appendHeader appends the JSON and its padding. The refs' offsets count from the start of the data.
func appendHeader(b []byte, refs []tensor.Ref, metadata map[string]string) []byte {
	b = append(b, '{')
	separator := ""
	if len(metadata) > 0 {
		b = append(b, `"__metadata__":{`...)
		for i, key := range slices.Sorted(maps.Keys(metadata)) {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendString(b, key)
			b = append(b, ':')
			b = appendString(b, metadata[key])
		}
		b = append(b, '}')
		separator = ","
	}
	for _, r := range refs {
		b = append(b, separator...)
		b = appendString(b, r.Name)
		b = append(b, `:{"dtype":"`...)
		b = append(b, r.DType.String()...)
		b = append(b, `","shape":[`...)
		for i, n := range r.Shape {
			if i > 0 {
				b = append(b, ',')
			}
			b = strconv.AppendInt(b, int64(n), 10)
		}
		b = append(b, `],"data_offsets":[`...)
		b = strconv.AppendInt(b, r.Offset, 10)
		b = append(b, ',')
		b = strconv.AppendInt(b, r.Offset+r.Length, 10)
		b = append(b, "]}"...)
		separator = ","
	}
	b = append(b, '}')
	for len(b)%headerAlign != 0 {
		b = append(b, ' ')
	}
	return b
}

// appendString appends s as JSON, escaping only what JSON demands.
func appendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ':
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}

// writable reports whether ReadHeader takes s as a string.
func writable(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }
