package merge

import (
	"context"
	"slices"
	"strings"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// RefuseForms refuses a plan with a change of a form that a backend does not compute: supported are those that it says it does.
func (p *Plan) RefuseForms(backend string, supported []string) error {
	for _, item := range p.Items {
		for _, form := range item.Forms() {
			if slices.Contains(supported, form) {
				continue
			}
			can := "nothing but two factors of a matrix"
			if len(supported) > 0 {
				can = strings.Join(supported, ", ")
			}
			return fault.New(fault.UsageFlag, "the change of this tensor is of the form %q, and backend %q computes %s", form, backend, can).
				In(p.Adapter.Ref).Of(item.Name).Fix("use --backend cpu")
		}
	}
	return nil
}

// checkForms asks a backend what it computes, where the plan is not plain, before anything is sent to it.
func (p *Plan) checkForms(ctx context.Context, client backendpb.BackendClient) error {
	if p.Unmerged {
		return p.RefuseUnmerged()
	}
	if p.Plain() {
		return nil
	}
	d, err := client.Describe(ctx, &backendpb.DescribeRequest{})
	if err != nil {
		return fault.New(fault.BackendDown, "the backend does not say what it computes").Wrap(err)
	}
	return p.RefuseForms(d.Name, d.Forms)
}
