package compress

import (
	"github.com/tenon-ml/tenon/host/adapter"
	"github.com/tenon-ml/tenon/host/fault"
)

// refuseOthers refuses an adapter of which more is known than the factors of linear modules. What else is in its file would be gone from the smaller
// one, or the change that is factorised would not be the one it makes.
func refuseOthers(a *adapter.Adapter) error {
	if a.Format != adapter.FormatPEFT {
		return fault.New(fault.ADUnsupported, "an adapter of format %q is not compressed, and one of PEFT is", a.Format).In(a.Ref).
			Fix("give it as a PEFT directory")
	}
	var problems fault.List
	switch method := a.Config.InitWeights; method {
	case "pissa", "olora":
		problems.Add(fault.New(fault.ADUnsupported, "init_lora_weights is %q: the change is not the product of these factors alone", method).
			In(a.Ref).Fix("save it again in PEFT with path_initial_model_for_weight_conversion, which gives a plain LoRA"))
	}
	if len(a.Config.Parameters) > 0 {
		problems.Add(fault.New(fault.ADUnsupported, "factors of parameters (target_parameters) are not compressed").In(a.Ref).
			Fix("merge it as it is"))
	}
	for _, t := range a.Tensors {
		linear := (t.Key.Part == adapter.FactorA || t.Key.Part == adapter.FactorB) && len(t.Shape) == 2
		if !linear && t.Key.Part != adapter.OriginalModule {
			problems.Add(fault.New(fault.ADUnsupported, "the tensor is no factor of a linear module, and would be gone from a smaller adapter").
				In(a.Weights.Name()).Of(t.Name).Fix("merge the adapter as it is"))
		}
	}
	return problems.Err()
}
