package base

import "github.com/tenon-ml/tenon/host/fault"

// The kinds of attention that a layer may have, as config.json lists them.
const (
	fullAttention    = "full_attention"
	slidingAttention = "sliding_attention"
)

// defaultWindow is sliding_window where config.json leaves it out, in every family that has one.
const defaultWindow = 4096

// readWindow reads which layers see only the tokens just before.
func (c *Config) readWindow(f fields) {
	c.layerTypes = f.texts("layer_types")
	switch c.ModelType {
	case "mistral": // a window in every layer, or in none
		c.SlidingWindow = c.window(f)
	case "qwen2", "qwen3":
		if f.boolean("use_sliding_window", false) {
			c.SlidingWindow = c.window(f)
		}
		c.firstSliding = f.integer("max_window_layers", 0, 28)
	case "llama":
		if f.has("sliding_window") {
			f.add(fault.BSArch, "sliding_window", "a llama with a sliding window is not served").Fix(unservedRemedy)
		}
	}
	c.checkLayerTypes(f)
}

// window reads sliding_window: the default where it is absent, none where it is null.
func (c *Config) window(f fields) int {
	if f.isNull("sliding_window") {
		return 0
	}
	return f.integer("sliding_window", 1, defaultWindow)
}

// checkLayerTypes refuses a list that says something else than the family computes.
func (c *Config) checkLayerTypes(f fields) {
	if c.layerTypes == nil {
		return
	}
	add := func(code fault.Code, cause string, args ...any) *fault.Error {
		return f.add(code, "layer_types", cause, args...)
	}
	const saved = "use the config.json that was saved with the weights"
	if len(c.layerTypes) != c.Layers {
		add(fault.BSConfig, "layer_types lists %d layers of %d", len(c.layerTypes), c.Layers).Fix(saved)
		return
	}
	for _, kind := range c.layerTypes {
		switch {
		case kind != fullAttention && kind != slidingAttention:
			add(fault.BSArch, "layers of type %q are not served, only %s and %s", kind, fullAttention, slidingAttention).Fix(unservedRemedy)
		case kind == slidingAttention && c.SlidingWindow == 0:
			add(fault.BSConfig, "layer_types has layers with a sliding window, and the model has none").Fix(saved)
		case kind == fullAttention && c.SlidingWindow != 0 && c.ModelType == "mistral":
			add(fault.BSArch, "a mistral with a sliding window in some layers only is not served").Fix(unservedRemedy)
		default:
			continue
		}
		return
	}
}

// slidingLayers are the layers that have the window, ascending, of a config that Servable vouches for.
func (c Config) slidingLayers() []int {
	var layers []int
	for i := range c.Layers {
		sliding := i >= c.firstSliding
		if c.layerTypes != nil {
			sliding = c.layerTypes[i] == slidingAttention
		}
		if sliding && c.SlidingWindow != 0 {
			layers = append(layers, i)
		}
	}
	return layers
}
