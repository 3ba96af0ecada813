package adapter

import "strings"

// Part is what one tensor of a PEFT file is to its module.
type Part string

// The parts of a PEFT file (adapter-formats 2.2). Only FactorA and FactorB are merged; OriginalModule is ignored, and every other part is
// refused by name.
const (
	FactorA        Part = "lora_A"                 // r x in
	FactorB        Part = "lora_B"                 // out x r
	FactorBias     Part = "lora_B bias"            // out: lora_bias
	EmbeddingA     Part = "lora_embedding_A"       // r x entries
	EmbeddingB     Part = "lora_embedding_B"       // dim x r
	Magnitude      Part = "lora_magnitude_vector"  // DoRA
	Diagonal       Part = "lora_diag"              // KaSA
	TokenRows      Part = "trainable_tokens_delta" // replacement rows of an embedding
	BaseCopy       Part = "base_layer"             // a copy of a base parameter
	SavedModule    Part = "modules_to_save"        // a full replacement, in the legacy spelling
	OriginalModule Part = "original_module"        // a legacy copy of the untouched base
	Parameter      Part = "parameter"              // a full replacement
	Unknown        Part = "unknown"                // outside the grammar
)

// Key is the name of a tensor in a PEFT file, taken apart:
//
//	name := ["base_model.model." | "base_model."] module "." part ["." adapter] ["." parameter]
type Key struct {
	Prefix    string // "base_model.model.", "base_model." or ""
	Module    string // path in the Hugging Face module tree, without prefix; "" when Part is Unknown
	Part      Part
	Adapter   string // name of the adapter, where the key carries one
	Parameter string // last element of the name where Part is a full replacement: "weight", "bias", …
}

// The prefixes, longest first: PeftModel's save, its legacy form, and the form of injected adapters.
var prefixes = [...]string{"base_model.model.", "base_model.", ""}

// maxName is how many bytes a tensor's name may have; real ones have about a hundred. Some rules look at every end of a module's path,
// which takes the square of its length.
const maxName = 512

// ParseKey takes the name of a tensor apart. Part is Unknown when the name is outside the grammar: longer than maxName, an empty element,
// a control character, a part with something unexpected behind it, or a lora_ part nobody has defined.
func ParseKey(name string) Key {
	key := Key{Part: Unknown}
	if len(name) > maxName {
		return key
	}
	rest := name
	for _, prefix := range prefixes {
		if strings.HasPrefix(name, prefix) {
			key.Prefix, rest = prefix, name[len(prefix):]
			break
		}
	}
	path := strings.Split(rest, ".")
	for _, element := range path {
		if element == "" || strings.ContainsFunc(element, isControl) {
			return key
		}
	}
	at := partIndex(path)
	if at < 1 {
		return key
	}
	part, adapter, parameter := classify(path[at:])
	if part == Unknown {
		return key
	}
	key.Part, key.Adapter, key.Parameter = part, adapter, parameter
	key.Module = strings.Join(path[:at], ".")
	return key
}

func isControl(r rune) bool { return r < 0x20 || r == 0x7f }

// partIndex is where the part begins in a path: at its last element that names one, or at the last element, which is then a
// parameter of the model itself. A factor inside a base_layer (nested wrappers) belongs to the factor, with base_layer in its module.
func partIndex(path []string) int {
	for at := len(path) - 1; at >= 0; at-- {
		element := path[at]
		if strings.HasPrefix(element, "lora_") {
			return at
		}
		switch Part(element) {
		case TokenRows:
			if at > 0 && path[at-1] == "token_adapter" {
				return at - 1
			}
		case BaseCopy, SavedModule, OriginalModule:
			return at
		}
	}
	return len(path) - 1
}

// classify reads the elements from the part on.
func classify(path []string) (part Part, adapter, parameter string) {
	last := path[len(path)-1]
	between := func(from int) (string, bool) { // at most one element between the part and the end at from
		switch inner := path[1:from]; len(inner) {
		case 0:
			return "", true
		case 1:
			return inner[0], true
		}
		return "", false
	}
	var ok bool
	switch Part(path[0]) {
	case FactorA:
		if len(path) > 1 && last == "weight" {
			adapter, ok = between(len(path) - 1)
			part = FactorA
		}
	case FactorB:
		if len(path) > 1 && (last == "weight" || last == "bias") {
			adapter, ok = between(len(path) - 1)
			part = FactorB
			if last == "bias" {
				part = FactorBias
			}
		}
	case EmbeddingA, EmbeddingB, Diagonal:
		adapter, ok = between(len(path))
		part = Part(path[0])
	case Magnitude:
		end := len(path)
		if end > 1 && last == "weight" {
			end--
		}
		adapter, ok = between(end)
		part = Magnitude
	case "token_adapter":
		part, ok = TokenRows, len(path) == 2
	case BaseCopy:
		part, parameter, ok = BaseCopy, last, len(path) > 1
	case SavedModule, OriginalModule:
		part, parameter, ok = Part(path[0]), last, len(path) > 1
	default:
		part, parameter = Parameter, last
		ok = len(path) == 1 && !strings.HasPrefix(last, "lora_")
	}
	if !ok {
		return Unknown, "", ""
	}
	return part, adapter, parameter
}

// nested reports whether the module's path runs through a wrapper's base_layer: PEFT nests wrappers for fused experts and for
// attention's output projection, and which parameter is meant is not in the name.
func (k Key) nested() bool {
	for element := range strings.SplitSeq(k.Module, ".") {
		if element == string(BaseCopy) {
			return true
		}
	}
	return false
}
