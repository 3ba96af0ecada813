package adapter

import (
	"math"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/tenon-ml/tenon/host/fault"
)

// The limits on the numbers of a configuration.
const (
	maxRank        = 1 << 16 // far above any rank in use; PEFT itself has no limit
	maxConfigBytes = 1 << 20
)

// Config is what an adapter_config.json says, as far as it bears on the merge. Fields whose value was refused are zero.
type Config struct {
	PEFTType     string         `json:"peftType"`
	Rank         int            `json:"rank"`  // r
	Alpha        float64        `json:"alpha"` // lora_alpha
	RsLoRA       bool           `json:"rsLora"`
	FanInFanOut  bool           `json:"fanInFanOut"`
	DoRA         bool           `json:"useDora"`
	LoRABias     bool           `json:"loraBias"`
	Bias         string         `json:"bias"` // "none", "all" or "lora_only"
	RankPattern  []RankPattern  `json:"rankPattern"`
	AlphaPattern []AlphaPattern `json:"alphaPattern"`
	Selector     Selector       `json:"selector"`
	SavedModules []string       `json:"modulesToSave"`
	Parameters   []string       `json:"targetParameters"`
	Tokens       []TokenIndices `json:"trainableTokenIndices"`
	WeightTying  bool           `json:"ensureWeightTying"`
	InitWeights  string         `json:"initLoraWeights"` // "true", "false" or the method's name
	BaseModel    string         `json:"baseModel"`       // base_model_name_or_path: advisory
	Revision     string         `json:"revision"`
	TaskType     string         `json:"taskType"`
	PEFTVersion  string         `json:"peftVersion"`
}

// RankPattern gives the modules its pattern matches another rank than r.
type RankPattern struct {
	Pattern
	Rank int `json:"rank"`
}

// AlphaPattern gives the modules its pattern matches another alpha than lora_alpha.
type AlphaPattern struct {
	Pattern
	Alpha float64 `json:"alpha"`
}

// RankOf returns the rank of a module: that of the first pattern, in the order of the file, that matches it, or r; 0 when the
// configuration's own is refused.
func (c *Config) RankOf(module string) int {
	for _, p := range c.RankPattern {
		if p.Match(module) {
			return p.Rank
		}
	}
	return c.Rank
}

// AlphaOf returns the alpha of a module, found as RankOf finds the rank.
func (c *Config) AlphaOf(module string) float64 {
	for _, p := range c.AlphaPattern {
		if p.Match(module) {
			return p.Alpha
		}
	}
	return c.Alpha
}

// alphaPlace points to what gave a module its alpha.
func (c *Config) alphaPlace(module string) string {
	for _, p := range c.AlphaPattern {
		if p.Match(module) {
			return string(jsontext.Pointer("/alpha_pattern").AppendToken(p.Text))
		}
	}
	return "/lora_alpha"
}

// scale returns s of W' = W + s B A: alpha/r, or alpha/sqrt(r) with rank-stabilized LoRA.
func (c *Config) scale(alpha float64, rank int) float64 {
	if c.RsLoRA {
		return alpha / math.Sqrt(float64(rank))
	}
	return alpha / float64(rank)
}

// patterns returns every pattern of the configuration that is matched against module names.
func (c *Config) patterns() []Pattern {
	var all []Pattern
	for _, p := range c.RankPattern {
		all = append(all, p.Pattern)
	}
	for _, p := range c.AlphaPattern {
		all = append(all, p.Pattern)
	}
	return append(all, c.Selector.patterns()...)
}

// ParseConfig reads the text of an adapter_config.json. file is its name in the messages. Config holds whatever could be read; problems
// lists everything that is refused, notes what a person should know and the merge does not depend on.
//
// A missing r or lora_alpha is refused although PEFT has a default for both (8): a file that PEFT wrote has them, and one without
// was made by hand or by a tool whose defaults nobody can know.
func ParseConfig(file string, text []byte) (config Config, problems, notes fault.List) {
	members, bad := parseObject(file, text)
	if bad != nil {
		return Config{}, fault.List{bad}, nil
	}
	f := newFields(file, members)
	config.PEFTType = f.peftType()
	config.Rank = f.rank()
	config.Alpha = f.alpha()
	config.RsLoRA = f.boolean("use_rslora")
	config.FanInFanOut = f.boolean("fan_in_fan_out")
	config.DoRA = f.boolean("use_dora")
	config.LoRABias = f.boolean("lora_bias")
	config.Bias = f.bias()
	config.RankPattern = f.rankPattern()
	config.AlphaPattern = f.alphaPattern()
	config.Selector = f.selector()
	config.SavedModules = f.stringList("modules_to_save")
	config.Parameters = f.stringList("target_parameters")
	config.Tokens = f.tokens()
	config.WeightTying = f.boolean("ensure_weight_tying")
	config.InitWeights = f.initWeights()
	config.BaseModel = f.text("base_model_name_or_path")
	config.Revision = f.text("revision")
	config.TaskType = f.text("task_type")
	config.PEFTVersion = f.text("peft_version")
	f.boolean("inference_mode")
	f.code(text)
	f.unsupported()
	f.unknown()
	return config, bounded(f.problems, f.refused), bounded(f.notes, f.noted)
}

func (f *fields) peftType() string {
	m, present := f.take("peft_type")
	kind, isText := m.text()
	switch {
	case !present:
		f.refuse(fault.New(fault.ADPeftType, "peft_type is missing").In(f.file).
			Fix("give an adapter that PEFT saved as LORA; the others are not read"))
	case !isText:
		f.wrongType(m, fault.ADPeftType, "a string")
	case kind != "LORA":
		f.refuse(f.at(fault.New(fault.ADPeftType, "peft_type is %q, and only LORA is read", kind), m).
			Fix("convert the adapter to LoRA where PEFT can, or merge it with PEFT and give the merged model as the base"))
	}
	return kind
}

func (f *fields) rank() int {
	m, present := f.take("r")
	if !present {
		f.refuse(fault.New(fault.ADRank, "r is missing").In(f.file).
			Fix("write the rank the adapter was trained with; it is the first dimension of every lora_A"))
		return 0
	}
	return f.rankValue(m)
}

// rankValue reads a whole number from 1 to maxRank.
func (f *fields) rankValue(m member) int {
	n, ok := m.integer()
	if !ok || n < 1 || n > maxRank {
		f.refuse(f.at(fault.New(fault.ADRank, "%s is %s, and a rank is a whole number from 1 to %d", m.name, m.excerpt(), maxRank), m).
			Fix("write the rank the adapter was trained with; it is the first dimension of lora_A"))
		return 0
	}
	return int(n)
}

func (f *fields) alpha() float64 {
	m, present := f.take("lora_alpha")
	if !present {
		f.refuse(fault.New(fault.ADAlpha, "lora_alpha is missing").In(f.file).
			Fix("write the alpha the adapter was trained with: without it the scale is unknown"))
		return 0
	}
	return f.alphaValue(m)
}

// alphaValue reads a finite number. Zero and below are legal, so they are only noted.
func (f *fields) alphaValue(m member) float64 {
	alpha, ok := m.number()
	switch {
	case !ok:
		f.refuse(f.at(fault.New(fault.ADAlpha, "%s is %s, and an alpha is a finite number", m.name, m.excerpt()), m).
			Fix("write the alpha the adapter was trained with"))
		return 0
	case alpha == 0:
		f.note(f.at(fault.New(fault.ADAlpha, "%s is 0: what it scales adds nothing to the base", m.name), m).
			Fix("check that the adapter was saved with the alpha it was trained with"))
	case alpha < 0:
		f.note(f.at(fault.New(fault.ADAlpha, "%s is %s: what it scales is subtracted from the base", m.name, m.excerpt()), m).
			Fix("check that the adapter is meant to be subtracted"))
	}
	return alpha
}

func (f *fields) rankPattern() []RankPattern {
	var patterns []RankPattern
	for _, m := range f.object("rank_pattern") {
		rank := f.rankValue(m)
		if pattern, ok := f.pattern(m, m.name, suffixPattern); ok && rank > 0 {
			patterns = append(patterns, RankPattern{Pattern: pattern, Rank: rank})
		}
	}
	return patterns
}

func (f *fields) alphaPattern() []AlphaPattern {
	var patterns []AlphaPattern
	for _, m := range f.object("alpha_pattern") {
		alpha := f.alphaValue(m)
		if pattern, ok := f.pattern(m, m.name, suffixPattern); ok {
			patterns = append(patterns, AlphaPattern{Pattern: pattern, Alpha: alpha})
		}
	}
	return patterns
}

// pattern compiles text, which stands at m, and refuses it where compile does.
func (f *fields) pattern(m member, text string, compile func(string) (Pattern, error)) (Pattern, bool) {
	if f.programs > maxAllPrograms {
		f.refuse(f.at(fault.New(fault.ADPattern, "the patterns before this one compile to more than %d instructions", maxAllPrograms), m).
			Fix("give fewer patterns, and names in place of regular expressions"))
		return Pattern{}, false
	}
	pattern, err := compile(text)
	f.programs += pattern.program
	if err != nil {
		f.refuse(f.at(fault.New(fault.ADPattern, "the pattern %q cannot be matched as Python would", text), m).Wrap(err).
			Fix("write it without look-around, back-references and Python-only escapes, or name the modules one by one"))
		return Pattern{}, false
	}
	return pattern, true
}
