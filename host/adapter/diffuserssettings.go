package adapter

import (
	"maps"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/tenon-ml/tenon/host/fault"
)

// settingsKey is where diffusers keeps the PEFT configurations of a file's components since it writes them: one JSON object whose names begin
// with the component's, such as "transformer.lora_alpha".
const settingsKey = "lora_adapter_metadata"

// settingsFields are the fields of those configurations that give rank and scale.
var settingsFields = []string{"r", "lora_alpha", "use_rslora", "use_dora", "rank_pattern", "alpha_pattern"}

// refusedSettings are the fields that change what the tensors mean in ways that a single file is not read for.
var refusedSettings = []string{
	"alora_invocation_tokens", "arrow_config", "fan_in_fan_out", "kasa_config", "layer_replication", "lora_bias", "megatron_config",
	"modules_to_save", "monteclora_config", "target_parameters", "trainable_token_indices", "use_bdlora", "use_qalora", "velora_config",
}

// mutatingInits are the values of init_lora_weights, or their beginnings, with which the adapter was trained against a changed base.
var mutatingInits = []string{"pissa", "olora", "corda", "lora_ga", "loftq"}

// readSettings reads the configurations of the metadata, by prefix. Without them a file's scales are in its alphas alone.
func (k *kohya) readSettings(a *Adapter) map[string]*Config {
	text, ok := a.Weights.Metadata[settingsKey]
	if !ok {
		return nil
	}
	refuse := func(code fault.Code, cause string, args ...any) {
		a.problems.Add(fault.New(code, cause, args...).In(a.Weights.Name()).At("/__metadata__/" + settingsKey).
			Fix("save the adapter again with diffusers, or merge it there"))
	}
	if len(text) > maxConfigBytes {
		refuse(fault.ADConfig, "the configuration has %d bytes; the limit is %d", len(text), maxConfigBytes)
		return nil
	}
	var members map[string]jsontext.Value
	if err := json.Unmarshal([]byte(text), &members); err != nil {
		refuse(fault.ADConfig, "the configuration is not a JSON object: %s", quoted(err.Error()))
		return nil
	}
	parts := map[string]map[string]jsontext.Value{}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		prefix, field := "", name
		if at := strings.IndexByte(name, '.'); at >= 0 {
			prefix, field = name[:at+1], name[at+1:]
		}
		if prefix != "" && !slices.ContainsFunc(dottedPrefixes, func(p namePrefix) bool { return p.text == prefix }) {
			continue
		}
		if parts[prefix] == nil {
			parts[prefix] = map[string]jsontext.Value{}
		}
		parts[prefix][field] = members[name]
	}
	settings := map[string]*Config{}
	for _, prefix := range slices.Sorted(maps.Keys(parts)) {
		modules := k.dotted(prefix)
		if len(modules) == 0 {
			continue
		}
		for _, field := range refusedSettings {
			if v, ok := parts[prefix][field]; ok && !isOff(v) {
				refuse(fault.ADUnsupported, "%s%s is set, which is not read of a single file", prefix, field)
			}
		}
		if v := strings.ToLower(strings.Trim(string(parts[prefix]["init_lora_weights"]), `"`)); slices.ContainsFunc(mutatingInits, func(m string) bool {
			return strings.HasPrefix(v, m)
		}) {
			refuse(fault.ADUnsupported, "%sinit_lora_weights is %s: the adapter was trained against a base that it changed first", prefix, quoted(v))
		}
		config, problems := parseSettings(a, parts[prefix])
		if slow := tooMuch(config.patterns(), nil, modules); slow != nil {
			problems.Add(slow.In(a.Weights.Name()).At("/__metadata__/" + settingsKey))
		}
		if a.problems = append(a.problems, problems...); len(problems) == 0 {
			settings[prefix] = config
		}
	}
	return settings
}

// dotted are the modules of one prefix, by their dotted paths.
func (k *kohya) dotted(prefix string) []string {
	var names []string
	for _, m := range k.modules {
		if !m.flat && m.prefix == prefix {
			names = append(names, m.name)
		}
	}
	return names
}

// parseSettings reads the fields of one configuration by the rules of adapter_config.json.
func parseSettings(a *Adapter, members map[string]jsontext.Value) (*Config, fault.List) {
	kept := map[string]jsontext.Value{"peft_type": jsontext.Value(`"LORA"`), "target_modules": jsontext.Value(`"all-linear"`)}
	for _, field := range settingsFields {
		if v, ok := members[field]; ok {
			kept[field] = v
		}
	}
	text, err := json.Marshal(kept, json.Deterministic(true))
	if err != nil {
		return new(Config), fault.List{fault.New(fault.ADConfig, "the configuration in the metadata cannot be read").In(a.Weights.Name()).Wrap(err).
			Fix("save the adapter again with diffusers")}
	}
	config, problems, _ := ParseConfig(a.Weights.Name(), text)
	for _, p := range problems {
		p.At("/__metadata__/" + settingsKey + p.Pointer)
	}
	return &config, problems
}

// isOff reports whether a JSON value is what Python calls false.
func isOff(v jsontext.Value) bool {
	switch strings.Join(strings.Fields(string(v)), "") {
	case "null", "false", "0", `""`, "[]", "{}":
		return true
	}
	return false
}
