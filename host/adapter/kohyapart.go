package adapter

import "strings"

// The parts of a single file (adapter-formats 2.7). Each has one of them at most.
const (
	loraDown     Part = "lora_down"             // r x in x kernel, or r x in
	loraUp       Part = "lora_up"               // out x r
	loraMid      Part = "lora_mid"              // r x r x kernel: the core of a Tucker decomposition
	alphaScalar  Part = "alpha"                 // the scale's numerator
	doraScale    Part = "dora_scale"            // magnitudes, per output or per input by their shape
	doraVector   Part = "lora_magnitude_vector" // magnitudes per output, as PEFT names them
	fullDelta    Part = "diff"                  // of the weight's shape
	biasDelta    Part = "diff_b"                // of the bias' shape
	normDelta    Part = "w_norm"                // of a norm's weight
	normBias     Part = "b_norm"                // of a norm's bias
	hadamard1A   Part = "hada_w1_a"             // LoHa: out x r, or r x out with a core
	hadamard1B   Part = "hada_w1_b"             // r x in
	hadamard2A   Part = "hada_w2_a"
	hadamard2B   Part = "hada_w2_b"
	hadamardT1   Part = "hada_t1" // r x r x kernel
	hadamardT2   Part = "hada_t2"
	kronecker1   Part = "lokr_w1"   // LoKr: the left factor, whole
	kronecker1A  Part = "lokr_w1_a" // or as a product
	kronecker1B  Part = "lokr_w1_b"
	kronecker2   Part = "lokr_w2"
	kronecker2A  Part = "lokr_w2_a" // p x r, or r x p with a core
	kronecker2B  Part = "lokr_w2_b"
	kroneckerT2  Part = "lokr_t2"
	notSupported Part = "unsupported" // a part that has a name and is refused by it
)

// endings are how the names of the parts end, of which no two fit one name: what the loaders of these files read, and what they are called in
// the dialects. "" stands for the part itself.
var endings = func() map[string]Part {
	all := map[string]Part{
		"lora_down.weight": loraDown, "lora_up.weight": loraUp, "lora_mid.weight": loraMid,
		"lora.down.weight": loraDown, "lora.up.weight": loraUp,
		"lora_linear_layer.down.weight": loraDown, "lora_linear_layer.up.weight": loraUp,
		"lora_A.weight": loraDown, "lora_B.weight": loraUp, "lora_A.default.weight": loraDown, "lora_B.default.weight": loraUp,
		"lora_A": loraDown, "lora_B": loraUp,
		"lora_magnitude_vector": doraVector, "lora_magnitude_vector.weight": doraVector, "lora_magnitude_vector.default.weight": doraVector,
	}
	for _, p := range []Part{alphaScalar, doraScale, fullDelta, biasDelta, normDelta, normBias, hadamard1A, hadamard1B, hadamard2A,
		hadamard2B, hadamardT1, hadamardT2, kronecker1, kronecker1A, kronecker1B, kronecker2, kronecker2A, kronecker2B, kroneckerT2} {
		all[string(p)] = p
	}
	return all
}()

// refusedEndings are the parts that nothing is made of, with what they are.
var refusedEndings = map[string]string{
	"oft_blocks":       "it is of an orthogonal change (OFT, BOFT), which rotates the weight",
	"oft_diag":         "it is of an orthogonal change (OFT), which rotates the weight",
	"rescale":          "it is of an orthogonal change (OFT, BOFT), which rotates the weight",
	"oft_R.weight":     "it is of an orthogonal change (OFT), which rotates the weight",
	"a1.weight":        "it is of GLoRA, whose change is a function of the weight",
	"a2.weight":        "it is of GLoRA, whose change is a function of the weight",
	"b1.weight":        "it is of GLoRA, whose change is a function of the weight",
	"b2.weight":        "it is of GLoRA, whose change is a function of the weight",
	"bm.weight":        "it is of GLoRA, whose change is a function of the weight",
	"on_input":         "it is of IA3, which scales activations",
	"q_layer.weight":   "it is of T-LoRA, whose rank depends on the time step",
	"p_layer.weight":   "it is of T-LoRA, whose rank depends on the time step",
	"lambda_layer":     "it is of T-LoRA, whose rank depends on the time step",
	"reshape_weight":   "it gives the weight another shape",
	"set_weight":       "it puts other values in place of the weight",
	"scalar":           "it is a trained factor that later versions of LyCORIS fold into the others",
	"lokr_t1":          "it is a core for the left factor, which no version of LyCORIS writes",
	"lora_B.bias":      "it adds to the bias of an adapted module (lora_bias)",
	"lora_embedding_A": "it adapts an embedding in the naming of PEFT",
	"lora_embedding_B": "it adapts an embedding in the naming of PEFT",
}

// cutPart takes the part off the end of a name. refused says why a part is not read, and is "" where it is. The part is Unknown where the name
// ends in none.
func cutPart(name string) (module string, part Part, refused string) {
	if module, part, ok := cutProcessor(name); ok {
		return module, part, ""
	}
	if strings.HasPrefix(name, "bundle_emb.") {
		return "bundle_emb", notSupported, "it is an embedding of a new token, which belongs to a tokenizer"
	}
	// The longest ending counts: "lora_A.weight" and not what would be a parameter "weight".
	rest := name
	for from := 0; ; {
		dot := strings.IndexByte(rest[from:], '.')
		if dot < 0 {
			return "", Unknown, ""
		}
		from += dot + 1
		ending := rest[from:]
		if part, ok := endings[ending]; ok {
			return rest[:from-1], part, ""
		}
		if reason, ok := refusedEndings[ending]; ok {
			return rest[:from-1], notSupported, reason
		}
	}
}
