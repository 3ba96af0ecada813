package adapter

import "strings"

// Part is what one tensor of a PEFT file is to its module.
type Part string

// The parts of a PEFT file (adapter-formats 2.2). OriginalModule is ignored and Diagonal refused by name; every other part has a place in
// the merged weights.
const (
	FactorA        Part = "lora_A"                 // r x in
	FactorB        Part = "lora_B"                 // out x r
	FactorBias     Part = "lora_B bias"            // out: lora_bias
	EmbeddingA     Part = "lora_embedding_A"       // r x entries
	EmbeddingB     Part = "lora_embedding_B"       // dim x r
	Magnitude      Part = "lora_magnitude_vector"  // DoRA
	Diagonal       Part = "lora_diag"              // KaSA
	TokenRows      Part = "trainable_tokens_delta" // replacement rows of an embedding
	BaseCopy       Part = "base_layer"             // a base parameter under an adapted module: a copy of it, or what replaces it
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
			if at > 0 && path[at-1] == tokenAdapter {
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
	case tokenAdapter:
		part, ok = TokenRows, len(path) == 2 || len(path) == 3
		if len(path) == 3 {
			adapter = last
		}
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

// tokenAdapter is the module that PEFT wraps around an embedding some of whose rows are trained.
const tokenAdapter = "token_adapter"

// place is where a factor's module is in the base's own tree. PEFT wraps a module once for each of its adapted parameters, and each wrapper
// puts a base_layer between itself and what is inside: depth is how many there are at the end of the path. Inside a MultiheadAttention
// the output projection is wrapped by itself, and attention is then the path of the attention. ok is false where a base_layer is
// anywhere else.
func (k Key) place() (module, attention string, depth int, ok bool) {
	path := strings.Split(k.Module, ".")
	for len(path) > 1 && path[len(path)-1] == string(BaseCopy) {
		path = path[:len(path)-1]
		depth++
	}
	if at := len(path) - 2; depth == 0 && at > 0 && path[at] == string(BaseCopy) && path[at+1] == outputProjection {
		attention = strings.Join(path[:at], ".")
		path = append(path[:at:at], outputProjection)
	}
	for _, element := range path {
		if element == string(BaseCopy) {
			return "", "", 0, false
		}
	}
	return strings.Join(path, "."), attention, depth, true
}

// outputProjection is what torch calls the output projection of a MultiheadAttention.
const outputProjection = "out_proj"

// parameter is the name of the base's parameter that a full replacement or a copy is of: the tensor's name without prefix, wrappers and the name
// of the adapter.
func (t *Tensor) parameter(adapter string) string {
	path := strings.Split(strings.TrimPrefix(t.Name, t.Key.Prefix), ".")
	kept := path[:0]
	for i := 0; i < len(path); i++ {
		switch last := i == len(path)-1; {
		case !last && path[i] == string(BaseCopy):
		case !last && path[i] == tokenAdapter && path[i+1] == string(BaseCopy):
		case !last && path[i] == string(SavedModule):
			if i+1 < len(path)-1 && (path[i+1] == adapter || adapter == "" && path[i+1] == defaultAdapter) {
				i++
			}
		default:
			kept = append(kept, path[i])
		}
	}
	return strings.Join(kept, ".")
}

// defaultAdapter is what PEFT calls an adapter that nobody named.
const defaultAdapter = "default"
