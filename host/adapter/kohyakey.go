package adapter

import (
	"fmt"
	"slices"
	"strings"
)

// component is which model of a pipeline a prefix of the names stands for. Two prefixes of one component are two dialects.
type component string

// The components; unnamed is where a name has no prefix.
const (
	unnamed      component = ""
	wholeModel   component = "the model"
	denoiser     component = "the denoiser"
	textEncoder  component = "the text encoder"
	textEncoder2 component = "the second text encoder"
	textEncoder3 component = "the third text encoder"
	prior        component = "the prior"
	priorText    component = "the prior's text encoder"
)

// isText reports whether the component is a text encoder.
func (c component) isText() bool {
	return c == textEncoder || c == textEncoder2 || c == textEncoder3 || c == priorText
}

// namePrefix is what comes before the path of a module.
type namePrefix struct {
	text      string
	component component
}

// flatPrefixes come before the path of a module in which every "." is "_".
var flatPrefixes = []namePrefix{
	{"lora_unet_", denoiser}, {"lora_transformer_", denoiser},
	{"lora_te_", textEncoder}, {"lora_te1_", textEncoder}, {"lora_te2_", textEncoder2}, {"lora_te3_", textEncoder3},
	{"lora_prior_unet_", prior}, {"lora_prior_te_", priorText},
	{"lycoris_", wholeModel},
}

// dottedPrefixes come before the path of a module as it is.
var dottedPrefixes = []namePrefix{
	{"diffusion_model.", denoiser}, {"transformer.", denoiser}, {"unet.", denoiser},
	{"text_encoder.", textEncoder}, {"text_encoder_2.", textEncoder2}, {"text_encoder_3.", textEncoder3},
}

// singleKey is the name of a tensor in a single file, taken apart:
//
//	name := flat-prefix path-with-"_" "." part | [dotted-prefix] path "." part
type singleKey struct {
	component component
	prefix    string
	module    string
	flat      bool
	part      Part
}

// parseSingleKey takes a name apart. The reason says why the name is refused, and is "" where it is not; then the part is Unknown where the
// name is outside the grammar, and otherwise one that nothing is made of.
func parseSingleKey(name string) (key singleKey, reason string) {
	key.part = Unknown
	switch {
	case len(name) > maxName:
		return key, fmt.Sprintf("the name has %d bytes; the limit is %d", len(name), maxName)
	case strings.ContainsFunc(name, isControl):
		return key, "the name has a control character"
	}
	module, part, refused := cutPart(name)
	if part == Unknown {
		return key, "the name is not one that Kohya's scripts, LyCORIS or diffusers give to a tensor of an adapter"
	}
	if !key.place(module) {
		return key, "the name has no known prefix such as lora_unet_ or lycoris_, and is no dotted path of a module"
	}
	if slices.Contains(strings.Split(key.module, "."), "") {
		return key, "the module's path has an empty element"
	}
	key.part = part
	return key, refused
}

// place finds the prefix of a module's name.
func (k *singleKey) place(module string) bool {
	dotted := strings.Contains(module, ".")
	if !dotted {
		for _, p := range flatPrefixes {
			if rest, ok := strings.CutPrefix(module, p.text); ok && rest != "" {
				k.component, k.prefix, k.module, k.flat = p.component, p.text, rest, true
				return true
			}
		}
		if strings.HasPrefix(module, "lora_") {
			return false
		}
	}
	for _, p := range dottedPrefixes {
		if rest, ok := strings.CutPrefix(module, p.text); ok && rest != "" {
			k.component, k.prefix, k.module = p.component, p.text, rest
			return true
		}
	}
	k.module = module
	return module != ""
}

// remedy says what to do about a name that is refused.
func (k *singleKey) remedy() string {
	if k.part == Unknown {
		return "save the adapter again with the tool that trained it"
	}
	return "merge the adapter with the tool that trained it, and give the merged model as the base"
}
