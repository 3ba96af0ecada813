package conformance

import (
	"bytes"

	"google.golang.org/grpc/codes"

	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

func testActivate(t T, k *kit) {
	client, b := k.start(t), k.plainBase(t)
	load(t, client, b)
	one := newAdapter(t, b, "one", 6, target{"first", 2, tensor.F32, 1, false, 0.1})
	two := newAdapter(t, b, "two", 7, target{"first", 2, tensor.F32, 1, false, 0.1})
	stage(t, client, one.request())
	stage(t, client, two.request())

	for _, step := range []struct {
		what       string
		alias      string
		generation []byte
		sequence   uint64
		want       codes.Code
		then       []byte // what the alias "live" means afterwards
	}{
		{"the base's alias", "", one.generation(), 1, codes.InvalidArgument, nil},
		{"a generation nobody staged", "live", digest("nobody"), 5, codes.NotFound, nil},
		{"the first time", "live", one.generation(), 5, codes.OK, one.generation()},
		{"the same again", "live", one.generation(), 5, codes.OK, one.generation()},
		{"the same sequence, another generation", "live", two.generation(), 5, codes.FailedPrecondition, one.generation()},
		{"an older sequence", "live", two.generation(), 4, codes.FailedPrecondition, one.generation()},
		{"a newer one", "live", two.generation(), 9, codes.OK, two.generation()},
		{"another alias counts for itself", "other", two.generation(), 1, codes.OK, two.generation()},
		{"back, under a newer sequence", "live", one.generation(), 10, codes.OK, one.generation()},
		{"the base", "live", nil, 11, codes.OK, nil},
		{"the base again", "live", nil, 11, codes.OK, nil},
		{"and on again", "live", one.generation(), 12, codes.OK, one.generation()},
	} {
		_, err := client.Activate(t.Context(), &backendpb.ActivateRequest{Alias: step.alias, Generation: step.generation, Sequence: step.sequence})
		wantCode(t, "Activate "+step.what, err, step.want)
		var now []byte
		for _, a := range currentStatus(t, client).Aliases {
			if a.Alias == "live" {
				now = a.Generation
			}
		}
		if !bytes.Equal(now, step.then) {
			t.Errorf("after %s live is %x, want %x", step.what, now, step.then)
		}
	}

	release := func(generation []byte) (bool, error) {
		r, err := client.Release(t.Context(), &backendpb.ReleaseRequest{Generation: generation})
		return r.GetExisted(), err
	}
	_, err := release(one.generation())
	wantCode(t, "Release of what live means", err, codes.FailedPrecondition)
	activate(t, client, "live", nil, 13)
	if existed, err := release(one.generation()); err != nil || !existed {
		t.Errorf("Release: %v, %v", existed, err)
	}
	if existed, err := release(one.generation()); err != nil || existed {
		t.Errorf("Release again: %v, %v", existed, err)
	}
	if s := currentStatus(t, client); len(s.Generations) != 1 || !bytes.Equal(s.Generations[0].Generation, two.generation()) {
		t.Errorf("status: %v", s)
	}
	_, err = client.Verify(t.Context(), &backendpb.VerifyRequest{Generation: one.generation()})
	wantCode(t, "Verify after release", err, codes.NotFound)
	stage(t, client, one.request()) // and it can come back
}
