package host

import (
	"context"
	"slices"
	"strings"

	"github.com/tenon-ml/tenon/host/backend"
	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/merge"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// WithBackend is the same host with another backend.
func (h *Host) WithBackend(spec backend.Spec) *Host {
	other := *h
	other.backend = spec
	return &other
}

// describe asks a backend what it is, and logs the answer: its words are shown, and decide nothing but what it is asked for.
func (h *Host) describe(ctx context.Context, client backendpb.BackendClient) (*backendpb.DescribeResponse, error) {
	d, err := client.Describe(ctx, &backendpb.DescribeRequest{})
	if err != nil {
		return nil, fault.New(fault.BackendDown, "backend %q does not say what it is", h.backend.Name).Wrap(err)
	}
	h.log.Debug("backend", "name", d.Name, "version", d.Version, "device", d.Device, "dtypes", d.Dtypes, "architectures", d.Architectures)
	return d, nil
}

// merges refuses a plan with weights of a dtype that the backend does not merge, before anything is written.
func (h *Host) merges(d *backendpb.DescribeResponse, p *merge.Plan) error {
	for _, item := range p.Items {
		if dtype := item.Base.DType.String(); !slices.Contains(d.Dtypes, dtype) {
			return fault.New(fault.UsageFlag, "backend %q merges %s, and this weight is %s", h.backend.Name, strings.Join(d.Dtypes, ", "), dtype).
				Of(item.Name).Fix("use --backend cpu")
		}
	}
	return nil
}

// generates refuses a base that the backend cannot run, before it is loaded.
func (h *Host) generates(d *backendpb.DescribeResponse, b *base.Base) error {
	architecture := b.ModelConfig().GetArchitecture()
	switch {
	case slices.Contains(d.Architectures, architecture):
		return nil
	case len(d.Architectures) == 0:
		return fault.New(fault.UsageFlag, "backend %q does not generate text", h.backend.Name).In(b.Ref).Fix("use --backend cpu")
	}
	return fault.New(fault.UsageFlag, "backend %q generates with %s, and the base is of %q",
		h.backend.Name, strings.Join(d.Architectures, ", "), architecture).In(b.Ref).Fix("use --backend cpu")
}
