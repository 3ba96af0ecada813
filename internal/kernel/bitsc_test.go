package kernel

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/tenon-ml/tenon/sdk/tensor"
)

// inC compiles testdata/merge.c and returns what it answers to a stream of requests.
func inC(t *testing.T, requests []byte) []byte {
	t.Helper()
	compiler, err := exec.LookPath("cc")
	if err != nil {
		t.Skipf("there is no C compiler to compare with: %v", err)
	}
	program := filepath.Join(t.TempDir(), "merge")
	source := filepath.Join("testdata", "merge.c")
	if output, err := exec.Command(compiler, "-O2", "-ffp-contract=off", "-Wall", "-o", program, source, "-lm").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	command := exec.Command(program)
	command.Stdin = bytes.NewReader(requests)
	answers, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	return answers
}

// TestBitsOfC merges random weights, and compares each implementation's bytes with those of a C program that uses fmaf.
func TestBitsOfC(t *testing.T) {
	kinds := map[tensor.DType]uint32{tensor.BF16: 1, tensor.F16: 2, tensor.F32: 3}
	r := rand.New(rand.NewPCG(13, 14))
	var cases []bitCase
	for _, dtype := range []tensor.DType{tensor.BF16, tensor.F16, tensor.F32} {
		for k, kind := range bitKinds {
			for _, fan := range []bool{false, true} {
				for _, rank := range []int{1 + k, 16, 61} {
					cases = append(cases, bitCase{dtype, rank, 1 + r.IntN(150), 1 + r.IntN(60), fan, kind})
				}
			}
		}
	}
	type drawn struct {
		d   *Delta
		src []byte
	}
	draws := make([]drawn, len(cases))
	var requests []byte
	for i, c := range cases {
		d, src := c.draw(t, r)
		draws[i] = drawn{d, src}
		fan := uint32(0)
		if c.fan {
			fan = 1
		}
		for _, n := range []uint32{kinds[c.dtype], uint32(c.out), uint32(c.in), uint32(c.rank), fan} {
			requests = binary.LittleEndian.AppendUint32(requests, n)
		}
		requests = append(appendFloats(appendFloats(requests, d.SB...), d.A...), src...)
	}
	answers := inC(t, requests)
	before := active
	defer func() { active = before }()
	for i, c := range cases {
		d, src := draws[i].d, draws[i].src
		want := answers[:len(src)]
		answers = answers[len(src):]
		for _, active = range usable() {
			rows, _ := d.Shape()
			got := make([]byte, len(src))
			if _, err := MergeRows(got, src, c.dtype, d, 0, rows); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				size, at := c.dtype.Size(), 0
				for got[at] == want[at] {
					at++
				}
				at -= at % size
				t.Errorf("%v/%s: entry %d: W %x becomes %x, and in C %x", c, active.name, at/size, src[at:at+size], got[at:at+size], want[at:at+size])
			}
		}
	}
	if len(answers) != 0 {
		t.Errorf("%d bytes more than asked for", len(answers))
	}
}

// TestFMA32OfC compares FMA32 with fmaf on triples of any patterns, and of such whose sums cancel, are subnormal or lie at midpoints.
func TestFMA32OfC(t *testing.T) {
	r := rand.New(rand.NewPCG(15, 16))
	const n = 200_000
	values := make([]float32, 0, 3*n)
	for range n / 4 {
		x, y, z := midpointTriple(r)
		product := math.Float32frombits(r.Uint32()&0x1fffffff | 0x30000000)
		near := math.Float32frombits(math.Float32bits(-product*y) + uint32(r.IntN(5)) - 2)
		small := float32(math.Ldexp(r.NormFloat64(), -70))
		values = append(values, x, y, z, product, y, near, small, float32(math.Ldexp(r.NormFloat64(), -72)), math.Float32frombits(r.Uint32()&0x80ffffff),
			math.Float32frombits(r.Uint32()), math.Float32frombits(r.Uint32()), math.Float32frombits(r.Uint32()))
	}
	requests := make([]byte, 20)
	binary.LittleEndian.PutUint32(requests[4:], n)
	answers := inC(t, appendFloats(requests, values...))
	if len(answers) != 4*n {
		t.Fatalf("%d bytes of answers, want %d", len(answers), 4*n)
	}
	for i := range n {
		x, y, z := values[3*i], values[3*i+1], values[3*i+2]
		want := math.Float32frombits(binary.LittleEndian.Uint32(answers[4*i:]))
		if got := FMA32(x, y, z); !sameBits(got, want) {
			t.Fatalf("FMA32(%x, %x, %x) = %x, and in C %x", x, y, z, got, want)
		}
	}
}

func appendFloats(b []byte, values ...float32) []byte {
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return b
}
