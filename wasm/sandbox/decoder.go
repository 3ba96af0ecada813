package sandbox

import (
	"fmt"
	"unicode/utf8"
)

// decoder reads the WebAssembly binary format from bytes nobody has looked at. The first error sticks: later reads give zeros, so a
// caller checks err once a loop. It never allocates in proportion to a count the bytes claim.
type decoder struct {
	bytes []byte
	at    int // offset of the next byte in the module
	end   int // reads stop here: the end of the section, body or module
	err   error
}

func (d *decoder) failf(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("offset %d: %w", d.at, fmt.Errorf(format, args...))
	}
}

func (d *decoder) left() int { return d.end - d.at }

func (d *decoder) byte() byte {
	if d.err != nil {
		return 0
	}
	if d.at >= d.end {
		d.failf("unexpected end")
		return 0
	}
	d.at++
	return d.bytes[d.at-1]
}

// skip passes n bytes.
func (d *decoder) skip(n int) {
	if d.err != nil {
		return
	}
	if n < 0 || n > d.left() {
		d.failf("%d bytes are claimed, %d are left", n, d.left())
		return
	}
	d.at += n
}

// unsigned reads an unsigned LEB128 number of at most bits bits. Longer encodings and stray upper bits are refused, so that no other
// decoder can read the same bytes differently.
func (d *decoder) unsigned(bits uint) uint64 {
	var value uint64
	for shift := uint(0); ; shift += 7 {
		b := d.byte()
		if d.err != nil {
			return 0
		}
		if room := bits - shift; room < 7 && b>>room != 0 {
			d.failf("a number does not fit %d bits", bits)
			return 0
		}
		value |= uint64(b&0x7f) << shift
		if b&0x80 == 0 {
			return value
		}
	}
}

// signed reads a signed LEB128 number of at most bits bits, as strictly as unsigned.
func (d *decoder) signed(bits uint) int64 {
	var value int64
	for shift := uint(0); ; shift += 7 {
		b := d.byte()
		if d.err != nil {
			return 0
		}
		if room := bits - shift; room < 7 {
			// The last byte: no continuation, and every bit from the sign bit up equal to it.
			if sign := int8(b<<1) >> room; b&0x80 != 0 || sign != 0 && sign != -1 {
				d.failf("a number does not fit %d bits", bits)
				return 0
			}
		}
		value |= int64(b&0x7f) << shift
		if b&0x80 == 0 {
			if unused := 64 - int(shift) - 7; unused > 0 {
				value = value << unused >> unused
			}
			return value
		}
	}
}

func (d *decoder) u32() uint32 {
	if d.err == nil && d.at < d.end && d.bytes[d.at] < 0x80 { // nearly all of them
		d.at++
		return uint32(d.bytes[d.at-1])
	}
	return uint32(d.unsigned(32))
}

// count reads the length of a vector whose entries take at least size bytes each, and refuses one that cannot fit in what is left or
// that exceeds limit.
func (d *decoder) count(what string, size, limit int) int {
	n := d.u32()
	switch {
	case d.err != nil:
		return 0
	case uint64(n)*uint64(size) > uint64(d.left()):
		d.failf("%d %s are claimed in %d bytes", n, what, d.left())
		return 0
	case uint64(n) > uint64(limit):
		d.failf("%d %s, at most %d are accepted", n, what, limit)
		return 0
	}
	return int(n)
}

// name reads a vector of bytes that must be UTF-8.
func (d *decoder) name() string {
	n := d.count("bytes of a name", 1, maxName)
	start := d.at
	d.skip(n)
	if d.err != nil {
		return ""
	}
	text := d.bytes[start:d.at]
	if !utf8.Valid(text) {
		d.failf("a name is not UTF-8")
		return ""
	}
	return string(text)
}

// limits reads the limits of a table or memory: minimum, maximum (or -1) and the flags that are not plain.
func (d *decoder) limits(what string) (minimum, maximum int64) {
	flag := d.byte()
	switch {
	case d.err != nil:
		return 0, -1
	case flag == 2 || flag == 3:
		d.failf("a shared %s needs the threads feature, which is not enabled", what)
		return 0, -1
	case flag >= 4 && flag <= 7:
		d.failf("a 64-bit %s needs the memory64 feature, which is not enabled", what)
		return 0, -1
	case flag > 1:
		d.failf("unknown limits flag %#x of a %s", flag, what)
		return 0, -1
	}
	minimum, maximum = int64(d.u32()), -1
	if flag == 1 {
		maximum = int64(d.u32())
		if d.err == nil && maximum < minimum {
			d.failf("the %s's maximum %d is below its minimum %d", what, maximum, minimum)
		}
	}
	return minimum, maximum
}

// valueType reads one value type of core WebAssembly 2.0.
func (d *decoder) valueType() byte {
	t := d.byte()
	if d.err == nil && !isNumeric(t) && !isReference(t) {
		d.failf("value type %#x is not one of core WebAssembly 2.0", t)
	}
	return t
}

// referenceType reads funcref or externref.
func (d *decoder) referenceType() byte {
	t := d.byte()
	if d.err == nil && !isReference(t) {
		d.failf("reference type %#x is not one of core WebAssembly 2.0", t)
	}
	return t
}

func isNumeric(t byte) bool   { return t >= 0x7b && t <= 0x7f } // v128 f64 f32 i64 i32
func isReference(t byte) bool { return t == 0x70 || t == 0x6f } // funcref externref
