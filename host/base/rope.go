package base

import "github.com/tenon-ml/tenon/host/fault"

// RopeScaling stretches rotary positions beyond those of the training, by the names and formulas of transformers.
type RopeScaling struct {
	Type                          string  // "" where there is none, "linear" or "llama3"
	Factor                        float64 // above 0
	LowFreqFactor, HighFreqFactor float64 // llama3: the low one is below the high one
	OriginalMaxPositions          int     // llama3: positions of the training before
}

// readRope reads the rotary embedding: rope_theta and rope_scaling, or rope_parameters, which holds both since transformers 5.
func (c *Config) readRope(f fields) {
	c.RopeTheta = f.positive("rope_theta", 0)
	c.refusePartial(f)
	told := ""
	for _, name := range []string{"rope_scaling", "rope_parameters"} {
		rope, ok := f.object(name)
		if !ok || len(rope.members) == 0 {
			continue
		}
		theta, scaling := rope.positive("rope_theta", 0), c.readRopeScaling(f, rope)
		if theta != 0 && c.RopeTheta != 0 && theta != c.RopeTheta {
			rope.add(fault.BSConfig, "rope_theta", "rope_theta is %v here and %v above", theta, c.RopeTheta).
				Fix("keep the one the model was trained with")
		}
		if told != "" && scaling != c.RopeScaling {
			f.add(fault.BSConfig, name, "%s and %s differ", told, name).Fix("keep the one the model was trained with")
		}
		if theta != 0 {
			c.RopeTheta = theta
		}
		told, c.RopeScaling = name, scaling
		c.refusePartial(rope)
	}
	if c.RopeTheta == 0 {
		c.RopeTheta = 10_000
	}
}

func (c *Config) refusePartial(f fields) {
	if f.positive("partial_rotary_factor", 1) != 1 {
		f.add(fault.BSArch, "partial_rotary_factor", "rotary embeddings of a part of each head are not served").Fix(unservedRemedy)
	}
}

// readRopeScaling reads one of the two objects that say how positions are stretched; f is the object around it.
func (c *Config) readRopeScaling(f, rope fields) RopeScaling {
	for _, name := range sortedKeys(rope.members) {
		if rope.members[name].Kind() == '{' {
			rope.add(fault.BSArch, name, "rotary embeddings that differ from layer to layer are not served").Fix(unservedRemedy)
			return RopeScaling{}
		}
	}
	s := RopeScaling{Type: rope.text("rope_type", rope.text("type", "default"))}
	switch s.Type {
	case "default":
		return RopeScaling{}
	case "linear":
		s.Factor = rope.needed("factor")
	case "llama3":
		s.Factor = rope.needed("factor")
		s.LowFreqFactor, s.HighFreqFactor = rope.needed("low_freq_factor"), rope.needed("high_freq_factor")
		if s.LowFreqFactor != 0 && s.HighFreqFactor != 0 && s.LowFreqFactor >= s.HighFreqFactor {
			rope.add(fault.BSConfig, "high_freq_factor", "high_freq_factor is %v, not above low_freq_factor, %v", s.HighFreqFactor, s.LowFreqFactor).
				Fix("use the config.json that was saved with the weights")
		}
		const original = "original_max_position_embeddings"
		outer := f.integer(original, 1, 0)
		s.OriginalMaxPositions = rope.integer(original, 1, outer)
		if outer != 0 && outer != s.OriginalMaxPositions {
			rope.add(fault.BSConfig, original, "%s is %d here and %d above", original, s.OriginalMaxPositions, outer).
				Fix("keep the one the model was trained with")
		}
		if s.OriginalMaxPositions == 0 {
			s.OriginalMaxPositions = c.MaxPositions
		}
	default:
		f.add(fault.BSArch, rope.name(), "rotary embeddings of type %q are not served, only default, linear and llama3", s.Type).Fix(unservedRemedy)
		return RopeScaling{}
	}
	return s
}
