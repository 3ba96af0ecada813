package cpu

import (
	"encoding/binary"
	"testing"

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
