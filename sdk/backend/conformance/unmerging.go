package conformance

import (
	"bytes"
	"crypto/sha256"
	"math"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// besideAdapter changes matrices that are multiplied with, by factors of every dtype, and of ranks that no register holds evenly.
func besideAdapter(t T, b *Base, name string, seed uint64) *Adapter {
	targets := []target{
		{"model.layers.0.self_attn.q_proj.weight", 4, tensor.F32, 2, false, 0.3},
		{"model.layers.0.self_attn.v_proj.weight", 17, tensor.F16, 0.5, false, 0.2},
		{"model.layers.1.self_attn.o_proj.weight", 1, tensor.BF16, -1, false, 0.3},
		{"model.layers.0.mlp.gate_proj.weight", 3, tensor.F32, 1, false, 0.3},
		{"model.layers.1.mlp.down_proj.weight", 2, tensor.BF16, 1, false, 0.3},
	}
	if !b.config.TieWordEmbeddings {
		targets = append(targets, target{"lm_head.weight", 2, tensor.F32, 1, false, 0.3})
	}
	return newAdapter(t, b, name, seed, targets...)
}

// unmergedRequest stages it beside the base.
func (a *Adapter) unmergedRequest() *backendpb.StageRequest {
	req := a.request()
	req.Unmerged = true
	return req
}

// testUnmerged stages factors beside the base, and wants of the generation whatever a merged one does.
func testUnmerged(t T, k *kit) {
	for _, tied := range []bool{false, true} {
		client, b := k.start(t), k.llamaBase(t, tied)
		load(t, client, b)
		a := besideAdapter(t, b, "beside", 13)
		events := stage(t, client, a.unmergedRequest())
		sums := map[string][]byte{}
		for _, p := range a.patches {
			sum := sha256.Sum256(append(slices.Clone(a.bytes(p.A)), a.bytes(p.B)...))
			sums[p.Tensor] = sum[:]
		}
		if len(events) != len(sums) {
			t.Fatalf("%d events for %d patches", len(events), len(sums))
		}
		for _, e := range events {
			if !bytes.Equal(e.Sha256, sums[e.Tensor]) || e.Changed != 0 || e.NonFinite != 0 {
				t.Errorf("%s: %s; the factors have %x, and none is changed", e.Tensor, told(e), sums[e.Tensor])
			}
		}
		again := stage(t, client, a.unmergedRequest())
		if !slices.EqualFunc(events, again, func(x, y *backendpb.MergeEvent) bool { return proto.Equal(x, y) }) {
			t.Errorf("staging again answers %v, first %v", again, events)
		}
		s := currentStatus(t, client)
		if len(s.Generations) != 1 || !s.Generations[0].Unmerged || s.Generations[0].Bytes == 0 {
			t.Errorf("status: %v", s)
		}
		verified, err := client.Verify(t.Context(), &backendpb.VerifyRequest{Generation: a.generation(), Seed: 7})
		if err != nil || len(verified.Probes) != len(sums) {
			t.Fatalf("Verify: %v, %v", verified, err)
		}
		for _, probe := range verified.Probes {
			if !bytes.Equal(probe.Sha256, sums[probe.Tensor]) || len(probe.Product) != 0 {
				t.Errorf("%s: digest %x and %d products, want %x and none", probe.Tensor, probe.Sha256, len(probe.Product), sums[probe.Tensor])
			}
		}
		o := b.unmergedOracle(a)
		activate(t, client, "live", a.generation(), 1)
		checkGreedy(t, client, "live", a.generation(), o)
		checkGreedy(t, client, "", nil, b.oracle(nil))
		tokens := comparedText(b)
		r := compareTexts(t, client, &backendpb.CompareRequest{Generation: a.generation(), Tokens: tokens, First: 1})
		for i, want := range o.logprobs(tokens)[:len(tokens)-1] {
			if want := -want[tokens[i+1]]; !(math.Abs(r.NllGeneration[i]-want) <= logprobTolerance*(1+math.Abs(want))) {
				t.Fatalf("token %d: NLL of the generation is %g, want %g", i+1, r.NllGeneration[i], want)
			}
		}
		activate(t, client, "live", nil, 2)
		released, err := client.Release(t.Context(), &backendpb.ReleaseRequest{Generation: a.generation()})
		if s := currentStatus(t, client); err != nil || !released.Existed || len(s.Generations) != 0 {
			t.Errorf("Release: %v, %v; status: %v", released, err, s)
		}
	}
}

func testUnmergedRefuses(t T, k *kit) {
	for _, tied := range []bool{false, true} {
		client, b := k.start(t), k.llamaBase(t, tied)
		load(t, client, b)
		a := besideAdapter(t, b, "beside", 13)
		embedding := newAdapter(t, b, "embedding", 14, target{"model.embed_tokens.weight", 3, tensor.F32, 1, false, 0.3})
		damaged, twice, swapped := a.unmergedRequest(), a.unmergedRequest(), a.unmergedRequest()
		damaged.Files[0].Sha256[0] ^= 1
		twice.Patches[1] = twice.Patches[0]
		swapped.Patches[0].A, swapped.Patches[0].B = swapped.Patches[0].B, swapped.Patches[0].A
		scaled := a.unmergedRequest()
		if k.names(backendpb.FormMagnitude) {
			p := scaled.Patches[2]
			p.Magnitude = proto.CloneOf(p.B) // of rank 1
		} else {
			scaled.Patches[0].A = nil
		}
		for _, c := range []struct {
			what string
			req  *backendpb.StageRequest
			want codes.Code
		}{
			{"more than two factors, or less", scaled, codes.InvalidArgument},
			{"an embedding", embedding.unmergedRequest(), codes.InvalidArgument},
			{"wrong digest of the factors", damaged, codes.DataLoss},
			{"tensor twice", twice, codes.InvalidArgument},
			{"factors swapped", swapped, codes.InvalidArgument},
		} {
			_, err := drain(client.Stage(t.Context(), c.req))
			wantCode(t, c.what, err, c.want)
			if s := currentStatus(t, client); len(s.Generations) != 0 {
				t.Errorf("%s left behind: %v", c.what, s.Generations)
			}
		}
	}
}
