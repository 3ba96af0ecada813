package convert

import (
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// configuration is an adapter_config.json as PEFT reads it, by PEFT's names.
type configuration struct {
	AlphaPattern  map[string]float64 `json:"alpha_pattern"`
	BaseModel     *string            `json:"base_model_name_or_path"`
	Bias          string             `json:"bias"`
	FanInFanOut   bool               `json:"fan_in_fan_out"`
	Inference     bool               `json:"inference_mode"`
	Init          bool               `json:"init_lora_weights"`
	Alpha         float64            `json:"lora_alpha"`
	Dropout       float64            `json:"lora_dropout"`
	ModulesToSave *[]string          `json:"modules_to_save"`
	PEFTType      string             `json:"peft_type"`
	Rank          int                `json:"r"`
	RankPattern   map[string]int     `json:"rank_pattern"`
	TargetModules []string           `json:"target_modules"`
	TaskType      string             `json:"task_type"`
	UseDoRA       bool               `json:"use_dora"`
	UseRsLoRA     bool               `json:"use_rslora"`
}

// choose sets r, the rank that most weights have.
func (f *peftForm) choose(p *Plan) {
	votes := map[float64]int{}
	for _, w := range p.Weights {
		votes[float64(w.Rank)]++
	}
	f.rank = int(most(votes))
	if p.Alpha == 0 { // llama.cpp's way of writing a scale of 1
		p.Alpha = float64(f.rank)
	}
}

// configuration is the text of the adapter_config.json. A weight of another rank than r gets a pattern, which is its whole path: no path of the
// architectures that are converted ends like another.
func (f *peftForm) configuration(p *Plan) ([]byte, error) {
	c := configuration{
		AlphaPattern: map[string]float64{}, RankPattern: map[string]int{}, Bias: "none", FanInFanOut: f.fanInFanOut, Inference: true, Init: true,
		Alpha: p.Alpha, PEFTType: "LORA", Rank: f.rank, TaskType: "CAUSAL_LM",
	}
	if f.modelName != "" {
		c.BaseModel = &f.modelName
	}
	var adapted []string
	for _, w := range p.Weights {
		module := strings.TrimSuffix(w.Target, ".weight")
		adapted = append(adapted, module)
		if w.Rank != f.rank {
			c.RankPattern[module] = w.Rank
		}
		if p.Alpha/float64(w.Rank) != w.Scale {
			c.AlphaPattern[module] = w.Scale * float64(w.Rank)
		}
	}
	c.TargetModules = targetModules(adapted, f.modules)
	text, err := json.Marshal(c, json.Deterministic(true), jsontext.WithIndent("  "))
	return append(text, '\n'), err
}

// targetModules selects exactly the adapted modules among all of the base: a kind that is adapted wherever it occurs by the last part of its
// path, as people write it, and others by their whole paths.
func targetModules(adapted, all []string) []string {
	last := func(module string) string { return module[strings.LastIndexByte(module, '.')+1:] }
	missing := map[string]bool{}
	for _, module := range all {
		if !slices.Contains(adapted, module) {
			missing[last(module)] = true
		}
	}
	var selected []string
	for _, module := range adapted {
		if kind := last(module); !missing[kind] {
			module = kind
		}
		selected = append(selected, module)
	}
	slices.Sort(selected)
	return slices.Compact(selected)
}
