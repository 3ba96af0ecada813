package main

import (
	"math"
	"slices"
	"testing"
	"time"
)

func TestWriteRate(t *testing.T) {
	start := time.Unix(1000, 0)
	at := func(tenths ...int) []time.Time {
		var out []time.Time
		for _, n := range tenths {
			out = append(out, start.Add(time.Duration(n)*100*time.Millisecond))
		}
		return out
	}
	for _, c := range []struct {
		name        string
		times       [][]time.Time
		read, write float64
	}{
		{"one text", [][]time.Time{at(10, 11, 12, 13)}, 4, 10},
		{"two at once", [][]time.Time{at(10, 12, 14, 16), at(12, 14, 16, 20)}, 8 / 1.2, 10},
		{"one after the other", [][]time.Time{at(10, 12), at(20, 22)}, 4, 3 / 1.2},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := readRate(start, c.times, 4*len(c.times)); math.Abs(got-c.read) > 1e-9 {
				t.Errorf("reads %g tokens/s, want %g", got, c.read)
			}
			if got := writeRate(c.times); math.Abs(got-c.write) > 1e-9 {
				t.Errorf("writes %g tokens/s, want %g", got, c.write)
			}
		})
	}
}

// TestPrompts: nothing that one text left can serve another.
func TestPrompts(t *testing.T) {
	b := &decodeBench{result: &decodeResult{shapes: decodeShapes}}
	first := map[[2]int32]bool{}
	texts := 0
	for turn := range uint64(10) {
		for _, c := range decodeCases {
			prompts := b.prompts(c, turn)
			if !slices.Equal(prompts, b.prompts(c, turn)) {
				t.Fatal("the same turn has other prompts")
			}
			for text := range slices.Chunk(prompts, c.prompt) {
				first[[2]int32(text)] = true
				texts++
			}
		}
	}
	if len(first) != texts {
		t.Errorf("%d texts begin in %d ways", texts, len(first))
	}
}

// TestDecodeShapes: the model is of about 0.5 GB.
func TestDecodeShapes(t *testing.T) {
	bytes := 0
	for _, e := range decodeShapes.tensors() {
		bytes += stored(e)
	}
	if bytes < 450e6 || bytes > 550e6 {
		t.Errorf("%d bytes", bytes)
	}
}
