package gate

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/wasm/modules"
	"github.com/tenon-ml/tenon/wasm/sandbox"
)

// Fit says what can be told of the policy's modules before there is an adapter. err names each module that cannot run, whatever it is run on, and so
// would keep the gate closed always: files and pins as Missing, parameters it does not have, functions it imports and is not granted, limits
// below what its manifest asks for. notes name modules of others that may give up, because their manifest needs what the policy does not grant.
// installed is what ships with the host.
func (p *Policy) Fit(installed []modules.Module) (notes []string, err error) {
	var list fault.List
	for _, r := range (&Gate{Policy: p, Modules: installed}).schedule() {
		if r.refused == nil {
			r.refused = r.unable()
		}
		if refused := r.refused; refused != nil {
			remedy := "put the files there that the policy pins"
			if refused.code != fault.ModuleFile {
				remedy = cmp.Or(refused.remedy, r.remedy(refused.status))
			}
			list.Add(fault.New(refused.code, "module %s: %s", r.requirement.ID, refused.text).In(r.requirement.File).Fix("%s", remedy))
			continue
		}
		if lacking := r.lacking(); len(lacking) > 0 && r.requirement.File != "" {
			notes = append(notes, fmt.Sprintf("module %s needs %s, by its manifest, and the policy does not grant it: it may give up", r.requirement.ID, among(lacking)))
		}
	}
	return notes, list.Err()
}

// lacking are the capabilities that the module's manifest needs and the policy does not grant.
func (r *run) lacking() []abi.Capability {
	return slices.DeleteFunc(slices.Clone(r.module.Manifest.Needs), r.granted)
}

// unable is why the module cannot run on any adapter; nil where it may. Tenon's own modules do without some of what they need, such as the base,
// so a need alone refuses nothing: an import does.
func (r *run) unable() *refusal {
	asked, got := r.module.Manifest.Limits, r.requirement.Limits.WithDefaults()
	if refused := excess(asked, unset(r.requirement.Limits, asked, got), r.requirement.snake); refused != nil {
		return refused
	}
	precheck := func(granted []abi.Capability) error {
		return sandbox.Precheck(r.module.Wasm, r.module.Manifest, granted, got)
	}
	err := precheck(r.requirement.Grant)
	if err == nil {
		return nil
	}
	refused := unfit(fault.ModuleFailed, "%s", sandbox.Plain(err.Error(), maxText))
	if !denied(err) {
		return refused
	}
	refused.status = sandbox.Denied
	imported := slices.DeleteFunc(r.lacking(), func(c abi.Capability) bool {
		others := slices.DeleteFunc(slices.Clone(r.module.Manifest.Needs), func(other abi.Capability) bool { return other == c })
		return !denied(precheck(others))
	})
	if len(imported) > 0 {
		refused.text = fmt.Sprintf("it imports functions of %s, which the policy does not grant", among(imported))
		grant := append(slices.Clone(r.requirement.Grant), imported...)
		slices.Sort(grant)
		refused.remedy = fmt.Sprintf("take the module out, or grant it in the policy: grant: [%s]", strings.Join(words(grant), ", "))
	}
	return refused
}

// unset raises what grows with the adapter, where the policy leaves it to that, to what the manifest asks for.
func unset(set, asked, got abi.Limits) abi.Limits {
	if set.Metrics == 0 {
		got.Metrics = max(got.Metrics, asked.Metrics)
	}
	if set.Findings == 0 {
		got.Findings = max(got.Findings, asked.Findings)
	}
	if set.GridValues == 0 {
		got.GridValues = max(got.GridValues, asked.GridValues)
	}
	if set.HostCalls == 0 {
		got.HostCalls = max(got.HostCalls, asked.HostCalls)
	}
	if set.RunMillis == 0 {
		got.RunMillis = max(got.RunMillis, asked.RunMillis)
	}
	return got
}

func denied(err error) bool {
	var refusal *sandbox.Refusal
	return errors.As(err, &refusal) && refusal.Status == sandbox.Denied
}

func words(capabilities []abi.Capability) []string {
	var names []string
	for _, c := range capabilities {
		names = append(names, string(c))
	}
	return names
}

// among is capabilities in a sentence.
func among(capabilities []abi.Capability) string { return strings.Join(words(capabilities), " and ") }
