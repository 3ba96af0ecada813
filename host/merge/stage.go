package merge

import (
	"context"
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"log/slog"

	"github.com/tenon-ml/tenon/host/telemetry"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

func newDigest() hash.Hash { return sha256.New() }

// Staged is a generation that a backend holds, complete and verified, not yet live.
type Staged struct {
	Plan    *Plan
	Digests Digests
	Content [32]byte // digest over Digests
	Changed int64    // entries that differ from the base

	changed map[string]int64 // of each tensor
}

// Stage has a backend compute the plan's generation and verifies it: every planned tensor and no other, digests recomputed from the
// resident bytes, and each row's product with a probe chosen now, all held against the host's own merge. When it fails the backend is told
// to forget the generation. A change of a form that the backend does not compute is refused before.
func (p *Plan) Stage(ctx context.Context, client backendpb.BackendClient) (*Staged, error) {
	return p.StageTelling(ctx, client, nil)
}

// StageTelling is Stage that tells how many tensors are done, and of how many. told may be nil.
func (p *Plan) StageTelling(ctx context.Context, client backendpb.BackendClient, told func(done, total int)) (*Staged, error) {
	if err := p.checkForms(ctx, client); err != nil {
		return nil, err
	}
	staged := &Staged{Plan: p}
	err := p.stage(ctx, client, staged, told)
	if err == nil {
		err = p.verify(ctx, client, staged)
	}
	if err != nil {
		// The generation must not stay where a later activation could find it. The caller's context may be what failed.
		_, releaseErr := client.Release(context.WithoutCancel(ctx), &backendpb.ReleaseRequest{Generation: p.Digest[:]})
		return nil, errors.Join(err, releaseErr)
	}
	if staged.Content, err = p.contentDigest(staged.Digests); err != nil {
		return nil, err
	}
	return staged, nil
}

// stage has the backend compute, and takes what it says of each tensor. A backend that is not listened to any more need not go on.
func (p *Plan) stage(ctx context.Context, client backendpb.BackendClient, staged *Staged, told func(done, total int)) (err error) {
	ctx, end := telemetry.Step(ctx, telemetry.StepStage, slog.String("generation", DigestString(p.Digest)))
	defer end(&err)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := client.Stage(ctx, p.StageRequest())
	if err != nil {
		return err
	}
	recv, done := stream.Recv, 0
	if told != nil {
		recv = func() (*backendpb.MergeEvent, error) {
			event, err := stream.Recv()
			if err == nil {
				done++
				told(done, len(p.Items))
			}
			return event, err
		}
	}
	if err = p.collect(recv, staged); err != nil || p.Unmerged {
		return err
	}
	return p.refuseNoEffect(staged.Changed)
}

// collect reads merge events to their end and checks them against the plan.
func (p *Plan) collect(recv func() (*backendpb.MergeEvent, error), staged *Staged) error {
	events := newEvents(len(p.Items))
	for _, item := range p.Items {
		events.planned[item.Name] = item
	}
	staged.Digests, staged.changed = Digests{}, map[string]int64{}
	for {
		event, err := recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return errors.Join(events.overflow.Err(), err)
		}
		if err := events.take(event, true); err != nil {
			return err
		}
		staged.Digests[event.Tensor] = [32]byte(event.Sha256)
		staged.changed[event.Tensor] = event.Changed
		staged.Changed += event.Changed
	}
	return events.end(p)
}

// verify asks the backend to rehash and to multiply, and holds both against the merge.
func (p *Plan) verify(ctx context.Context, client backendpb.BackendClient, staged *Staged) (err error) {
	ctx, end := telemetry.Step(ctx, telemetry.StepVerify, slog.String("generation", DigestString(p.Digest)))
	defer end(&err)
	seed := newProbeSeed()
	response, err := client.Verify(ctx, &backendpb.VerifyRequest{Generation: p.Digest[:], Seed: seed})
	if err != nil {
		return err
	}
	probes := map[string]*backendpb.Probe{}
	for _, probe := range response.Probes {
		probes[probe.Tensor] = probe
	}
	return p.each(ctx, func(item Item) error {
		probe := probes[item.Name]
		if probe == nil || len(probe.Sha256) != sha256.Size {
			return mismatch(item, "the backend verified without this tensor")
		}
		if [32]byte(probe.Sha256) != staged.Digests[item.Name] {
			return mismatch(item, "the resident bytes hash to %x, staging said %x", probe.Sha256, staged.Digests[item.Name])
		}
		if p.Unmerged {
			return p.checkFactors(item, staged)
		}
		return p.checkResident(item, seed, claim{[32]byte(probe.Sha256), staged.changed[item.Name], probe.Product})
	})
}
