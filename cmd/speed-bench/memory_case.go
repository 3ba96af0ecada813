package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"

	"github.com/tenon-ml/tenon/host/safetensors"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// one lets everyone merge the same matrix with the same factors, in turns, a turn later in each round.
func (b *memoryBench) one(ctx context.Context, dtype tensor.DType, rank int) error {
	note("%v, r = %d", dtype, rank)
	prepare := request{Op: "prepare", DType: dtype.String(), Size: size, Rank: rank, Scale: scale, Copies: b.result.copies[dtype],
		Workers: b.result.workers, W: filepath.Join(b.dir, "w"), A: filepath.Join(b.dir, "a"), B: filepath.Join(b.dir, "b")}
	for path, e := range map[string]safetensors.Entry{
		prepare.W: {Name: "weight", DType: dtype, Shape: []int{size, size}},
		prepare.A: {Name: "lora_A", DType: tensor.F32, Shape: []int{rank, size}},
		prepare.B: {Name: "lora_B", DType: tensor.F32, Shape: []int{size, rank}},
	} {
		if err := writeRaw(path, e); err != nil {
			return err
		}
	}
	for _, c := range b.contenders {
		if _, err := c.ask(prepare); err != nil {
			return err
		}
	}
	result := memoryCase{dtype: dtype, rank: rank, seconds: map[string]series{}}
	merge := request{Op: "merge", Workers: b.result.workers, First: 4099, Step: size*size/64 + 1, Times: 5, Enough: 0.5}
	bytes := int64(2*size*size*dtype.Size() + 2*size*rank*4)
	work := []struct {
		name string
		r    request
	}{
		{limitCopy, request{Op: "copy", Amount: bytes, Workers: merge.Workers, Times: merge.Times, Enough: merge.Enough}},
		{limitFMA, request{Op: "fma32", Amount: int64(rank) * size * size, Workers: merge.Workers, Times: merge.Times, Enough: merge.Enough}},
		{tenonOne, request{Op: "merge", Workers: 1, Times: merge.Times, Enough: merge.Enough}},
	}
	for round := range b.rounds {
		var want []float64
		for i := range b.contenders {
			c := b.contenders[(i+round)%len(b.contenders)]
			r, err := b.ask(ctx, c, merge)
			if err != nil {
				return err
			}
			if want == nil {
				want = r.Sample
			}
			if err := same(want, r.Sample, dtype); err != nil {
				return fmt.Errorf("%s merges otherwise: %w", c.name, err)
			}
			result.seconds[c.name] = append(result.seconds[c.name], series(r.Seconds).median())
			if c != b.contenders[0] {
				continue
			}
			for _, w := range work { // beside Tenon's turn
				if r, err = b.ask(ctx, c, w.r); err != nil {
					return err
				}
				result.seconds[w.name] = append(result.seconds[w.name], series(r.Seconds).median())
			}
		}
	}
	b.result.cases = append(b.result.cases, result)
	return nil
}

// writeRaw writes the numbers of one tensor, in pieces: this process stays small, for the sake of those it starts (see measure).
func writeRaw(path string, e safetensors.Entry) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(fill(f, e, seed), f.Close())
}

// same refuses samples of merges that differ by more than the roundings of a dtype can.
func same(want, got []float64, dtype tensor.DType) error {
	if len(want) == 0 || len(want) != len(got) {
		return fmt.Errorf("samples of %d and %d entries", len(want), len(got))
	}
	step := math.Ldexp(1, -7) // of BF16, which PEFT rounds to
	if dtype == tensor.F32 {
		step = math.Ldexp(1, -16)
	}
	var errs []error
	for i := range want {
		if diff := math.Abs(want[i] - got[i]); !(diff <= step*max(math.Abs(want[i]), 0.02)) {
			errs = append(errs, fmt.Errorf("entry %d of the sample is %g, and %g elsewhere", i, got[i], want[i]))
		}
	}
	return errors.Join(errs...)
}
