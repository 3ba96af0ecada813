package adapter

import (
	"strings"

	"github.com/tenon-ml/tenon/host/fault"
)

// The methods of init_lora_weights that train against a residual base which follows from the published one alone.
const (
	initPiSSA = "pissa"
	initOLoRA = "olora"
)

// initWeights reads init_lora_weights. The methods that train against a changed base are refused where the change cannot be derived from
// the base: merging such factors into the base as it is published gives another model than the one that was trained.
func (f *fields) initWeights() string {
	m, present := f.take("init_lora_weights")
	if !present {
		return "true"
	}
	switch m.value.Kind() {
	case 't', 'f', 'n':
		return string(m.value)
	}
	method, ok := m.text()
	if !ok {
		f.wrongType(m, fault.ADConfig, "a boolean or a string")
		return ""
	}
	switch strings.ToLower(method) {
	case "gaussian", "eva", "orthogonal", "mica":
		return method
	case initOLoRA:
		return initOLoRA
	}
	if method == initPiSSA {
		return method
	}
	f.refuse(f.at(fault.New(fault.ADUnsupported, "init_lora_weights is %q: %s", method, initReason(method)), m).
		Fix("save it again in PEFT with path_initial_model_for_weight_conversion, which gives a plain LoRA"))
	return method
}

// initReason tells why the residual base of a method cannot be had.
func initReason(method string) string {
	const residual = "the adapter was trained against a residual base, W - s B0 A0, not against the published one, and "
	switch {
	case method == "corda" || method == "lora_ga":
		return residual + "B0 A0 depends on the data it was computed from"
	case method == "loftq":
		return residual + "B0 A0 depends on the quantiser"
	case strings.HasPrefix(method, "pissa_niter_"):
		return residual + "B0 A0 comes from a randomised decomposition that cannot be repeated"
	}
	return "Tenon does not know whether this method changes the base that is trained against"
}

// residual reports whether the factors of a linear module are relative to a residual base.
func (c *Config) residual() bool { return c.InitWeights == initPiSSA || c.InitWeights == initOLoRA }
