package adapter

import (
	"bytes"
	"regexp"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/tenon-ml/tenon/host/fault"
)

// The fields that change what the tensors mean and that Tenon does not read, each with why it is refused. A value that Python calls
// false leaves the feature off, so it is accepted.
var unsupportedFields = []struct{ name, reason string }{
	{"layer_replication", "the adapter is for a base with layers copied, which has another depth"},
	{"megatron_config", "the adapter is for Megatron's parallel layers"},
	{"use_qalora", "QA-LoRA pools the input by groups, so its delta is no matrix of the base's shape"},
	{"arrow_config", "Arrow routes each token to another adapter, so there is no one delta"},
	{"alora_invocation_tokens", "the adapter acts only after its invocation tokens, so it has no merged form"},
	{"kasa_config", "KaSA drops singular values of the base"},
	{"use_bdlora", "the factors are stored as blocks of a block-diagonal matrix"},
	{"monteclora_config", "the factors are samples around a mean"},
	{"velora_config", "nobody has verified that its factors merge as a Linear's"},
}

// The fields that have no effect on the merge, whatever they hold: how the adapter was trained, and how it was initialised where
// init_lora_weights does not name the method.
var inertFields = []string{
	"lora_dropout", "runtime_config", "qalora_group_size", "loftq_config", "eva_config", "corda_config", "lora_ga_config",
}

// The fields that name code to run, at any depth. Nothing in an adapter's configuration may decide what a server executes.
var codeFields = map[string]bool{"auto_map": true, "_target_": true, "trust_remote_code": true, "custom_pipelines": true}

func (f *fields) unsupported() {
	for _, field := range unsupportedFields {
		if m, ok := f.value(field.name); ok && (!m.empty() || field.name == "megatron_config") {
			f.refuse(f.at(fault.New(fault.ADUnsupported, "%s is set: %s", field.name, field.reason), m).
				Fix("merge this adapter with PEFT and give the merged model as the base, or train it without %s", field.name))
		}
	}
	for _, name := range inertFields {
		f.take(name)
	}
}

// libraryPath is a module inside transformers or diffusers: what PEFT writes for a model class without a task type. A bare prefix
// test would let "transformers_modules.…" pass, which is where Hugging Face puts downloaded code.
var libraryPath = regexp.MustCompile(`^(?:transformers|diffusers)(?:\.[A-Za-z_][A-Za-z0-9_]*)*$`)

var identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// code refuses every field by which a configuration could make a loader import or run something. text is the whole document.
func (f *fields) code(text []byte) {
	for name := range codeFields {
		f.take(name)
	}
	decoder := jsontext.NewDecoder(bytes.NewBuffer(text))
	for {
		token, err := decoder.ReadToken()
		if err != nil {
			break // the end: the text has been parsed before
		}
		name := token.Kind() == '"' && codeFields[token.String()]
		if kind, length := decoder.StackIndex(decoder.StackDepth()); !name || kind != '{' || length%2 == 0 {
			continue // no such string, or not in a name's place
		}
		value, err := decoder.ReadValue()
		if err != nil || (member{value: value}).empty() {
			continue
		}
		// Only now, because a pointer takes as long as the place is deep.
		m := member{pointer: decoder.StackPointer(), value: value.Clone(), offset: decoder.InputOffset() - int64(len(value))}
		m.name = m.pointer.LastToken()
		f.refuseCode(m, "a field that names code to run")
		if f.refused > maxFaults {
			break
		}
	}
	if m, ok := f.value("megatron_core"); ok {
		if text, isText := m.text(); !isText || text != "megatron.core" {
			f.refuseCode(m, "PEFT imports the Python module it names")
		}
	}
	f.autoMapping()
}

func (f *fields) refuseCode(m member, reason string) {
	f.refuse(f.at(fault.New(fault.ADCode, "%s is %s: %s", m.name, m.excerpt(), reason), m).
		Fix("remove the field; weights need no code"))
}

// autoMapping accepts what PEFT itself writes for a model without a task type, the class and its library, when the library is a module
// of transformers or diffusers: nothing of it is imported here, and no merge depends on it. Other tools add flags of their own; any other
// text in it could name code.
func (f *fields) autoMapping() {
	m, ok := f.value("auto_mapping")
	if !ok {
		return
	}
	members, ok := m.object()
	if !ok {
		f.wrongType(m, fault.ADConfig, "an object")
		return
	}
	for _, inner := range members {
		text, isText := inner.text()
		switch {
		case inner.empty():
		case inner.name == "parent_library" && (!isText || !libraryPath.MatchString(text)):
			f.refuseCode(inner, "it is no module of transformers or diffusers")
		case inner.name == "base_model_class" && (!isText || !identifier.MatchString(text)):
			f.refuseCode(inner, "it is no class name")
		case inner.name == "parent_library":
			f.note(f.at(fault.New(fault.ADUnknownField, "auto_mapping names the library %q; nothing of it is imported", text), inner))
		case inner.name == "base_model_class" || codeFields[inner.name]:
		case isText || inner.value.Kind() == '{' || inner.value.Kind() == '[':
			f.refuseCode(inner, "Tenon does not know it, and it could name code")
		default:
			f.unknownField(inner)
		}
	}
}

// maxUnknown is how many unknown fields are noted one by one.
const maxUnknown = 32

// unknown notes every field that Tenon does not know. PEFT adds some in every release; one that is null, false or empty is off.
func (f *fields) unknown() {
	unknown := 0
	for _, m := range f.members {
		if f.taken[m.name] || m.empty() {
			continue
		}
		if unknown++; unknown <= maxUnknown {
			f.unknownField(m)
		}
	}
	if extra := unknown - maxUnknown; extra > 0 {
		f.note(fault.New(fault.ADUnknownField, "%s are unknown and were ignored", plural(extra, "other field")).In(f.file))
	}
}

func (f *fields) unknownField(m member) {
	if m.empty() {
		return
	}
	f.note(f.at(fault.New(fault.ADUnknownField, "the field %q is unknown and was ignored: its value is %s", m.name, m.excerpt()), m).
		Fix("check in PEFT's documentation that it does not change the merged weights"))
}
