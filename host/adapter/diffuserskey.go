package adapter

import "strings"

// The endings of the names that the attention processors of diffusers gave before their modules had factors of their own.
const (
	processorDown = "_lora.down.weight"
	processorUp   = "_lora.up.weight"
)

// cutProcessor takes apart a name such as "down_blocks.0.attn1.processor.to_q_lora.up.weight", which adapts "down_blocks.0.attn1.to_q".
// The output projection was called to_out and is the first of a list: "to_out.0".
func cutProcessor(name string) (module string, part Part, ok bool) {
	module, part = "", loraDown
	if module, ok = strings.CutSuffix(name, processorDown); !ok {
		part = loraUp
		if module, ok = strings.CutSuffix(name, processorUp); !ok {
			return "", Unknown, false
		}
	}
	at := strings.LastIndexByte(module, '.') + 1
	parent, projection := module[:at], module[at:]
	if outer, is := strings.CutSuffix(parent, ".processor."); is {
		parent = outer + "."
	}
	if projection == "to_out" {
		projection = "to_out.0"
	}
	return parent + projection, part, projection != ""
}
