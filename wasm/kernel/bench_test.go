package kernel

import (
	"context"
	"fmt"
	"sort"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/internal/kernel"
	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

func BenchmarkMatMul(b *testing.B) {
	r := newRand()
	for _, n := range []int{64, 512} {
		x, y := random(r, n, n), random(r, n, n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				if _, err := MatMul(x, y, false, false); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(2*float64(n*n*n)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
		})
	}
}

func BenchmarkSVD(b *testing.B) {
	r := newRand()
	for _, n := range []int{16, 64, 192, 256} {
		m := random(r, n, n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				if _, _, _, err := SVD(m); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkQR(b *testing.B) {
	r := newRand()
	for _, rank := range []int{16, 64, 256} {
		m := random(r, 4096, rank)
		b.Run(fmt.Sprintf("4096x%d", rank), func(b *testing.B) {
			for b.Loop() {
				if _, _, err := QR(m); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDeltaSVD(b *testing.B) {
	const size = 4096
	r := newRand()
	for _, rank := range []int{16, 64, 256} {
		left, right := random(r, size, rank), random(r, rank, size)
		b.Run(fmt.Sprintf("r=%d", rank), func(b *testing.B) {
			for b.Loop() {
				if _, _, _, _, err := DeltaSVD(left, right, 2); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkStreams passes over a 4096 x 4096 bf16 weight with factors of rank 16.
func BenchmarkStreams(b *testing.B) {
	const size, rank = 4096, 16
	r := newRand()
	w := storedMatrix(tensor.BF16, random(r, size, size))
	left, right := scaled(0.01, random(r, size, rank)), scaled(0.01, random(r, size, rank))
	d, err := kernel.NewDelta(encode(tensor.F32, right.Data...), tensor.F32, encode(tensor.F32, left.Data...), tensor.F32, rank, size, size, 2,
		false)
	if err != nil {
		b.Fatal(err)
	}
	update := Update{B: left, A: &Matrix{rank, size, right.Data}, Scale: 2}
	for name, run := range map[string]func() error{
		"stats":   func() error { _, err := Stats(w, tensor.BF16); return err },
		"project": func() error { _, err := Project(w, false, left, right); return err },
		"rounding in bf16": func() error {
			_, err := Roundings(w, update, []abi.Format{abi.FormatBF16}, 0, size)
			return err
		},
		"rounding in all formats": func() error {
			_, err := Roundings(w, update, everyFormat, 0, size)
			return err
		},
		"project and stats": func() error { _, _, err := ProjectStats(w, false, left, right, tensor.BF16); return err },
		"roundloss":         func() error { _, err := RoundLoss(w, tensor.BF16, d); return err },
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(2 * size * size)
			for b.Loop() {
				if err := run(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkTopSVD(b *testing.B) {
	tensors := storedTensors(b, sharedFile(b, "models", "tiny-llama", "base", "model.safetensors"))
	var names []string
	for name := range tensors {
		if strings.Contains(name, "_proj") {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	for _, k := range []int{1, 8, 16, 64} {
		b.Run(fmt.Sprintf("tiny-llama/k=%d", k), func(b *testing.B) {
			for b.Loop() {
				for _, name := range names {
					if _, _, _, err := TopSVD(context.Background(), tensors[name], false, k); err != nil {
						b.Fatal(name, err)
					}
				}
			}
			b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s/"+fmt.Sprint(len(names)))
		})
	}
}

// BenchmarkTopSVDOfWideModels takes the 64 largest singular triples of a 4096 x 4096 bf16 weight with a decaying spectrum.
func BenchmarkTopSVDOfWideModels(b *testing.B) {
	w := storedMatrix(tensor.BF16, decaying(4096, 4096))
	for b.Loop() {
		if _, _, _, err := TopSVD(b.Context(), w, false, 64); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkDeltaValues takes the singular values of every weight of an adapter of rank 16 on all linear layers of a model of 32 layers of
// width 4096: 224 weights, 42 million parameters.
func BenchmarkDeltaValues(b *testing.B) {
	const rank = 16
	r := newRand()
	shapes := [][2]int{{4096, 4096}, {1024, 4096}, {1024, 4096}, {4096, 4096}, {14336, 4096}, {14336, 4096}, {4096, 14336}}
	var left, right []*Matrix
	for _, shape := range shapes {
		left, right = append(left, random(r, shape[0], rank)), append(right, random(r, rank, shape[1]))
	}
	for b.Loop() {
		for range 32 {
			for i := range shapes {
				if _, err := DeltaValues(left[i], right[i], 2); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s/adapter")
}
