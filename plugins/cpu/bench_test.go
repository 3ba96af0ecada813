package cpu

import (
	"encoding/binary"
	"strconv"
	"testing"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// BenchmarkStage merges all 42 matrices of tiny-llama, digests included; BenchmarkGenerate writes 128 tokens with it.
func BenchmarkStage(b *testing.B) {
	readGolden(b)
	client, base := connect(b, New(Options{})), tinyBase(b)
	if _, err := client.LoadBase(b.Context(), base); err != nil {
		b.Fatal(err)
	}
	req := tinyAdapter(b, base.Digest, "e2e-all-r16", 2)
	for n := uint64(0); b.Loop(); n++ {
		binary.LittleEndian.PutUint64(req.Generation, n)
		receiveAll(b, func() (grpc.ServerStreamingClient[backendpb.MergeEvent], error) {
			return client.Stage(b.Context(), req)
		})
		if _, err := client.Release(b.Context(), &backendpb.ReleaseRequest{Generation: req.Generation}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGenerate(b *testing.B) {
	readGolden(b)
	client, base := connect(b, New(Options{})), tinyBase(b)
	if _, err := client.LoadBase(b.Context(), base); err != nil {
		b.Fatal(err)
	}
	req := &backendpb.GenerateRequest{Prompt: []int32{1}, MaxTokens: 128, Logprobs: -1}
	b.ReportAllocs()
	for b.Loop() {
		receiveAll(b, func() (grpc.ServerStreamingClient[backendpb.GenerateEvent], error) {
			return client.Generate(b.Context(), req)
		})
	}
	b.ReportMetric(float64(128*b.N)/b.Elapsed().Seconds(), "tokens/s")
}

// BenchmarkCompare compares the base with an adapter on a text of 128 tokens: one at a time, and two.
func BenchmarkCompare(b *testing.B) {
	readGolden(b)
	client, base := connect(b, New(Options{})), tinyBase(b)
	if _, err := client.LoadBase(b.Context(), base); err != nil {
		b.Fatal(err)
	}
	staged := tinyAdapter(b, base.Digest, "e2e-all-r16", 2)
	receiveAll(b, func() (grpc.ServerStreamingClient[backendpb.MergeEvent], error) {
		return client.Stage(b.Context(), staged)
	})
	req := &backendpb.CompareRequest{Generation: staged.Generation, Tokens: make([]int32, 128), First: 1}
	for _, atOnce := range []int{1, 2} {
		b.Run(strconv.Itoa(atOnce), func(b *testing.B) {
			for b.Loop() {
				var group errgroup.Group
				for range atOnce {
					group.Go(func() error {
						_, err := client.Compare(b.Context(), req)
						return err
					})
				}
				if err := group.Wait(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(128*atOnce*b.N)/b.Elapsed().Seconds(), "tokens/s")
		})
	}
}
