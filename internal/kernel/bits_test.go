package kernel

import (
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"math"
	"math/bits"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tenon-ml/tenon/sdk/tensor"
)

var long = flag.Bool("long", false, "round all 2^32 values, which takes minutes")

// tiesAway allows for a fault of Bochs 2.7: its VCVTPS2PH rounds midpoints away from zero.
var tiesAway = os.Getenv("TENON_F16_TIES") == "away"

// sameStored compares entries; of f16, midpoints may be rounded away from zero where the processor does that.
func sameStored(got, want []byte, dtype tensor.DType) bool {
	if !tiesAway || dtype != tensor.F16 {
		return bytes.Equal(got, want)
	}
	for i := 0; i < len(want); i += 2 {
		if got, want := binary.LittleEndian.Uint16(got[i:]), binary.LittleEndian.Uint16(want[i:]); got != want && got != want+1 {
			return false
		}
	}
	return true
}

// halfFormat is a 16-bit format as IEEE 754 describes one.
type halfFormat struct {
	dtype     tensor.DType
	precision int // bits of the significand, the one in front of the point included
	least     int // exponent of the smallest value above zero
	round     func(float32) uint16
}

var halfFormats = []halfFormat{
	{tensor.BF16, 8, -133, tensor.F32ToBF16},
	{tensor.F16, 11, -24, tensor.F32ToF16},
}

// infinity is the pattern of the format's infinity: all bits of the exponent, none of the fraction.
func (f halfFormat) infinity() uint16 {
	return uint16(0x7fff) >> (f.precision - 1) << (f.precision - 1)
}

// nearest is the definition, in integers: of the multiples of the last place that the value's size asks for, the nearest, and of two as near the
// even one. A NaN keeps its sign and the upper bits of its payload, and is quiet.
func (f halfFormat) nearest(pattern uint32) uint16 {
	sign, exponent, significand := uint16(pattern>>31<<15), int(pattern>>23&0xff), uint64(pattern&0x7fffff)
	stored := f.precision - 1 // bits of the fraction
	switch {
	case exponent == 0xff && significand != 0:
		return sign | f.infinity() | 1<<(stored-1) | uint16(significand>>(23-stored))
	case exponent == 0xff:
		return sign | f.infinity()
	case exponent == 0:
		exponent = 1
	default:
		significand |= 1 << 23
	}
	exponent -= 150 // the value is significand * 2^exponent
	place := max(exponent+bits.Len64(significand)-f.precision, f.least)
	whole := significand // in units of 2^place
	if cut := place - exponent; cut <= 0 {
		whole <<= -cut
	} else if cut > 40 {
		whole = 0
	} else {
		whole >>= cut
		rest, half := significand-whole<<cut, uint64(1)<<(cut-1)
		if rest > half || rest == half && whole&1 == 1 {
			whole++
		}
	}
	// Counting in units of the last place, the patterns of a format are consecutive: one that became 2^precision is the next binade's first.
	result := whole
	if place > f.least || whole >= 1<<stored {
		result += uint64(place-f.least) << stored
	}
	return sign | uint16(min(result, uint64(f.infinity())))
}

// roundingBlock is rows of f32 patterns, each as long as the others.
type roundingBlock struct {
	patterns []uint32
	rows     int
}

// delta returns a delta whose entries are those values, but for -0, which becomes +0, and NaNs, which lose their payload. Rows of finite values
// come from a factor that is the identity: fma(1, x, 0) and fma(0, x, y) are exact. Others are laid out as one row, and so are those for the portable
// code, which has no tiles to fill.
func (b roundingBlock) delta() (*Delta, error) {
	rows := b.rows
	if active.merge.rows == 0 || slices.ContainsFunc(b.patterns, func(p uint32) bool { return p&0x7f800000 == 0x7f800000 }) {
		rows = 1
	}
	values, identity := make([]byte, 0, 4*len(b.patterns)), make([]byte, 4*rows*rows)
	for _, pattern := range b.patterns {
		values = binary.LittleEndian.AppendUint32(values, pattern)
	}
	for i := range rows {
		binary.LittleEndian.PutUint32(identity[4*i*(rows+1):], math.Float32bits(1))
	}
	return NewDelta(values, tensor.F32, identity, tensor.F32, rows, len(b.patterns)/rows, rows, 1, false)
}

// checkConversion compares the conversion of sdk/tensor with the definition.
func (b roundingBlock) checkConversion(f halfFormat) error {
	for _, pattern := range b.patterns {
		if got, want := f.round(math.Float32frombits(pattern)), f.nearest(pattern); got != want {
			return fmt.Errorf("sdk/tensor rounds %#08x to %v %#04x, want %#04x", pattern, f.dtype, got, want)
		}
	}
	return nil
}

// checkMerge compares the values, merged into zeros, with the definition.
func (b roundingBlock) checkMerge(f halfFormat) error {
	d, err := b.delta()
	if err != nil {
		return err
	}
	got := make([]byte, 2*len(b.patterns))
	counts, err := MergeRows(got, got, f.dtype, d, 0, d.Out)
	if err != nil {
		return err
	}
	var wantCounts Counts
	away := false
	for i, pattern := range b.patterns {
		want := f.nearest(pattern)
		switch {
		case pattern == 1<<31:
			want = 0
		case want&0x7fff > f.infinity():
			want = f.infinity() | 1<<(f.precision-2)
		}
		if want != 0 {
			wantCounts.Changed++
		}
		if want&0x7fff >= f.infinity() {
			wantCounts.NonFinite++
		}
		if got := binary.LittleEndian.Uint16(got[2*i:]); got != want {
			if tiesAway && f.dtype == tensor.F16 && got == f.nearest(pattern+1) && want == f.nearest(pattern-1) {
				away = true
				continue
			}
			return fmt.Errorf("a merge into zeros rounds %#08x to %v %#04x, want %#04x", pattern, f.dtype, got, want)
		}
	}
	if counts != wantCounts && !away {
		return fmt.Errorf("%d values from %#08x on, as %v: counts %+v, want %+v", len(b.patterns), b.patterns[0], f.dtype, counts, wantCounts)
	}
	return nil
}

const blockRows = 16 // more than the tallest tile, and not a multiple of the others

// everyValue returns block i of the 65,536 that hold all f32 values.
func everyValue(i int) roundingBlock {
	b := roundingBlock{make([]uint32, 1<<16), blockRows}
	for low := range b.patterns {
		b.patterns[low] = uint32(i<<16 | low)
	}
	return b
}

// sampledValues returns block i of 32 that hold each upper half of an f32 with 16 lower halves: at, next to and between the midpoints of bf16 and
// f16. Its 2,040 columns are no whole number of panels. In short, it holds each eighth upper half. Values that are not finite are in blocks of their own.
func sampledValues(i int) roundingBlock {
	lows := [blockRows]uint32{0, 1, 0x0fff, 0x1000, 0x1001, 0x1fff, 0x2000, 0x3000, 0x5000, 0x6fff, 0x7fff, 0x8000, 0x8001, 0x9000, 0xf001, 0xffff}
	// 16 times 2040 upper halves are finite, and as many again negative.
	first, width, step := uint32(i/16<<15|i%16*2040), uint32(2040), uint32(1)
	if testing.Short() {
		width, step = width/8, 8
	}
	b := roundingBlock{rows: blockRows}
	for _, low := range lows {
		for j := range width {
			b.patterns = append(b.patterns, (first+step*j+j%step)<<16|low)
		}
	}
	return b
}

// specialValues is a block of infinities and NaNs.
func specialValues(int) roundingBlock {
	b := roundingBlock{rows: 1}
	for high := range uint32(0x80) {
		for _, low := range []uint32{0, 1, 0x1000, 0x8000, 0xffff} {
			b.patterns = append(b.patterns, (0x7f80|high)<<16|low, (0xff80|high)<<16|low)
		}
	}
	return b
}

// checkBlocks checks blocks on all processors, and reports the first few errors.
func checkBlocks(t *testing.T, blocks int, check func(i int) error) {
	var next, failed atomic.Int64
	var group sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() {
			for failed.Load() < 3 {
				i := int(next.Add(1)) - 1
				if i >= blocks {
					return
				}
				if err := check(i); err != nil {
					failed.Add(1)
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
}

// TestRounding holds both roundings, of the conversions and of what the kernels store, to the definition of IEEE 754: with -long for each of the
// 2^32 values.
func TestRounding(t *testing.T) {
	type blockSet struct {
		name   string
		blocks int
		block  func(int) roundingBlock
	}
	sets := []blockSet{{"sample", 32, sampledValues}, {"special", 1, specialValues}}
	if *long {
		sets = append(sets, blockSet{"all", 1 << 16, everyValue})
	}
	for _, f := range halfFormats {
		for _, set := range sets {
			t.Run(fmt.Sprintf("%v/%s", f.dtype, set.name), func(t *testing.T) {
				checkBlocks(t, set.blocks, func(i int) error { return set.block(i).checkConversion(f) })
				eachImplementation(t, func(t *testing.T) {
					checkBlocks(t, set.blocks, func(i int) error { return set.block(i).checkMerge(f) })
				})
			})
		}
	}
}
