package interference

import (
	"math/bits"
	"unsafe"

	"github.com/tenon-ml/tenon/wasm/modules/internal/splitmix"
)

// word is two adjacent entries of a row as f32, the merge's own precision, which are looked at together: a pass over them takes half as many steps.
// Nothing depends on which of them is in which half.
type word = uint64

// Of both halves: the sign, and the magnitude. The bits of a magnitude are ordered as the magnitudes are; above infinite is no number.
const (
	signs      word = 0x80000000_80000000
	magnitudes word = 0x7fffffff_7fffffff
	infinite        = 0x7f800000
)

// wordsOf is how many words a row of n entries takes. Where n is odd the last half is 0, which is never kept.
func wordsOf(n int) int { return (n + 1) / 2 }

// halves views words as entries.
func halves(words []word) []float32 {
	if len(words) == 0 {
		return nil
	}
	return unsafe.Slice((*float32)(unsafe.Pointer(&words[0])), 2*len(words))
}

// both is a word with the same 32 bits in each half.
func both(bits uint32) word { return word(bits)<<32 | word(bits) }

// reaches sets the sign bit of each half of x whose magnitude is at least that half of least, which has no sign. There are no NaNs: a weight
// whose change has no finite norm is not compared.
func reaches(x, least word) word { return ((x | signs) - least) & signs }

// ones counts the halves that have their sign bit set, of a word with no other bit.
func ones(x word) uint64 { return uint64(bits.OnesCount64(x)) }

// buckets is how many there are by the leading bits of a magnitude: eight of the exponent and four of the mantissa.
const (
	buckets    = 1 << 12
	bucketBits = 31 - 12 // of a magnitude, below those that say the bucket
)

// sampled is how many words are looked at to guess where the k-th largest entry is, and margin how many of the sampled entries may lie on the wrong side
// of it: four standard deviations of the rank of a median, so that a second pass is needed next to never.
const (
	sampled = 2048
	margin  = 128
)

// largest gives the bits of the k-th largest magnitude of all halves. A sample brackets it; one pass counts what is above the bracket and keeps what
// is in it. scratch is used again from call to call.
func largest(words []word, k int, scratch *[]uint32, stream *splitmix.Stream) uint32 {
	least, most := uint32(0), uint32(infinite)
	if len(words) > 2*sampled {
		least, most = bracket(words, float64(k)/float64(2*len(words)))
	}
	above := gather(words, least, most, scratch)
	if k <= above || k > above+len(*scratch) {
		least, most = 0, infinite
		above = gather(words, least, most, scratch)
	}
	return ranked(*scratch, k-above, least, most, stream)
}

// bracket gives magnitudes between which the one lies, very likely, that this share of all reaches.
func bracket(words []word, share float64) (least, most uint32) {
	var count [buckets]int
	stride := len(words) / sampled
	for i := range sampled {
		w := words[i*stride]
		count[w>>bucketBits%buckets]++
		count[w>>(32+bucketBits)%buckets]++
	}
	first, last := int(share*2*sampled)-margin, int(share*2*sampled)+margin
	least, most = 0, infinite
	reached := 0 // by sampled entries, from the largest on
	for bucket := buckets - 1; bucket >= 0; bucket-- {
		if reached < first {
			most = min(uint32(bucket+1)<<bucketBits, infinite)
		}
		if reached += count[bucket]; reached > last {
			return uint32(bucket) << bucketBits, most
		}
	}
	return 0, most
}

// gather puts the magnitudes from least to most into scratch, and says how many are above them.
func gather(words []word, least, most uint32, scratch *[]uint32) (above int) {
	from, beyond := both(least), both(most+1)
	kept := resized(*scratch, 2*len(words))
	n, larger := 0, uint64(0)
	for _, w := range words {
		over := reaches(w, beyond)
		larger += ones(over)
		if in := reaches(w, from) &^ over; in != 0 {
			kept[n] = uint32(w & 0x7fffffff)
			n += int(in >> 31 & 1)
			kept[n] = uint32(w >> 32 & 0x7fffffff)
			n += int(in >> 63)
		}
	}
	*scratch = kept[:n]
	return int(larger)
}

// ranked gives the k-th largest of x, which lie from least to most and which it reorders: those of one bucket of equal width are few.
func ranked(x []uint32, k int, least, most uint32, stream *splitmix.Stream) uint32 {
	shift := max(bits.Len32(most-least)-12, 0)
	var count [buckets]int
	for _, v := range x {
		count[(v-least)>>shift%buckets]++
	}
	bucket := uint32(buckets - 1)
	for ; k > count[bucket]; bucket-- {
		k -= count[bucket]
	}
	n := 0
	for _, v := range x {
		if (v-least)>>shift == bucket {
			x[n] = v
			n++
		}
	}
	return selected(x[:n], k, stream)
}

// selected gives the k-th largest of x, which it reorders. Pivots are drawn at random, so that no order of the values makes it slow.
func selected(x []uint32, k int, stream *splitmix.Stream) uint32 {
	for {
		pivot := x[stream.Uint64()%uint64(len(x))]
		above, below := 0, len(x) // x[:above] is above the pivot, x[below:] below it, and between above and i equal to it
		for i := 0; i < below; {
			switch {
			case x[i] > pivot:
				x[i], x[above] = x[above], x[i]
				above++
				i++
			case x[i] < pivot:
				below--
				x[i], x[below] = x[below], x[i]
			default:
				i++
			}
		}
		switch {
		case k <= above:
			x = x[:above]
		case k <= below:
			return pivot
		default:
			x, k = x[below:], k-below
		}
	}
}
