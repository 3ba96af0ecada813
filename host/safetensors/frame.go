package safetensors

import (
	"encoding/binary"
	"io"
	"math"

	"github.com/tenon-ml/tenon/host/fault"
)

// sniffBytes is how much of a file's start Sniff gets to see: enough for a tar header.
const sniffBytes = 512

// readFrame checks everything about a file that needs no JSON, and returns the header's length. It reads at most sniffBytes.
func readFrame(name string, r io.ReaderAt, size int64, limits Limits) (length int64, err error) {
	if size == 0 {
		return 0, fault.New(fault.STEmpty, "the file is empty").In(name).AtByte(0).Fix("download or save it again")
	}
	if size < lengthBytes {
		return 0, fault.New(fault.STShort, "the file has %d bytes; the length of the header alone takes %d", size, lengthBytes).
			In(name).AtByte(size).Fix("download or save it again")
	}
	if limits.FileBytes > 0 && size > limits.FileBytes {
		return 0, fault.New(fault.STTooLarge, "the file has %d bytes; the limit is %d", size, limits.FileBytes).
			In(name).Fix("check that this is the right file")
	}
	head := make([]byte, min(size, sniffBytes))
	if err := readFull(name, r, head, 0); err != nil {
		return 0, err
	}
	length, failed := checkFrame(head, size, limits)
	if failed == nil {
		return length, nil
	}
	if kind, ok := Sniff(head); ok {
		failed = wrongType(kind)
	}
	return 0, failed.In(name)
}

// checkFrame checks the length field and the header's first byte, in the order in which a lie about them could do harm.
func checkFrame(head []byte, size int64, limits Limits) (int64, *fault.Error) {
	const remedy = "download or save the file again; it is not a whole safetensors file"
	most := int64(MaxHeaderBytes)
	if limits.HeaderBytes > 0 {
		most = min(most, limits.HeaderBytes)
	}
	claimed := binary.LittleEndian.Uint64(head)
	switch {
	case claimed < 2:
		return 0, fault.New(fault.STHdrSmall, "the header's length is %d; the shortest header, {}, has 2 bytes", claimed).AtByte(0).Fix(remedy)
	case claimed > math.MaxInt64-lengthBytes:
		return 0, fault.New(fault.STHdrLen, "the header's length is %d, which no file can have", claimed).AtByte(0).Fix(remedy)
	case claimed > uint64(most):
		return 0, fault.New(fault.STHdrBig, "the header's length is %d; the limit is %d", claimed, most).AtByte(0).Fix(remedy)
	case int64(claimed) > size-lengthBytes:
		return 0, fault.New(fault.STHdrTrunc, "the header's length is %d, but only %d bytes follow", claimed, size-lengthBytes).
			AtByte(0).Fix(remedy)
	case head[lengthBytes] != '{':
		return 0, fault.New(fault.STHdrStart, "the header begins with byte 0x%02x, not with {", head[lengthBytes]).
			AtByte(lengthBytes).Fix("save the file again: nothing, not even a space or a byte order mark, may come before the {")
	}
	return int64(claimed), nil
}

// wrongType is the fault for a file that is something else under this name.
func wrongType(kind string) *fault.Error {
	switch kind {
	case kindLFS, kindXet:
		return fault.New(fault.STLFSPointer, "this is a %s, not the weights it points to", kind).AtByte(0).
			Fix("fetch the real file, for example with git lfs pull")
	case kindPickle, kindZip:
		return fault.New(fault.STWrongType, "this is a %s, not a safetensors file", kind).AtByte(0).
			Fix("convert it: tenon convert --from-pickle FILE --out NEW.safetensors; renaming does not convert")
	}
	return fault.New(fault.STWrongType, "this is a %s, not a safetensors file", kind).AtByte(0).Fix("give the safetensors file itself")
}
