package compress

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/reference"
)

// The files of a PEFT directory, and how large the first may be.
const (
	configName     = "adapter_config.json"
	weightsName    = "adapter_model.safetensors"
	maxConfigBytes = 1 << 20
)

// maxPatterns is how many modules may have a rank of their own. Readers try each pattern on each module, and Tenon's refuses far more.
const maxPatterns = 2000

// configuration is the new adapter_config.json: the old one, field by field in its order, with the rank, the alpha and their patterns
// that the new factors have.
func (p *Plan) configuration() ([]byte, error) {
	text, err := p.originalConfig()
	if err != nil {
		return nil, err
	}
	patterns, err := p.patterns()
	if err != nil {
		return nil, err
	}
	rank := jsontext.Value(strconv.Itoa(p.rank()))
	changes := map[string]jsontext.Value{
		"r": rank, "lora_alpha": rank, "rank_pattern": patterns, "alpha_pattern": patterns, "use_rslora": jsontext.Value("false"),
	}
	if init := p.Adapter.Config.InitWeights; init != "true" && init != "false" && init != "null" {
		// The new factors are no start of any method, and some methods refuse ranks: "orthogonal" wants an even one.
		changes["init_lora_weights"], changes["eva_config"] = jsontext.Value("true"), jsontext.Value("null")
	}
	out, err := rewrite(text, changes, []string{"rank_pattern", "alpha_pattern"})
	if err != nil {
		return nil, fault.New(fault.ADConfig, "the configuration cannot be written again").In(p.Adapter.Dir).Wrap(err).Fix("save the adapter again")
	}
	return out, nil
}

// originalConfig reads the old configuration once more, and makes sure that it is the one that was checked.
func (p *Plan) originalConfig() ([]byte, error) {
	d, err := reference.Open(p.Adapter.Dir, reference.Subject{Name: "adapter", Mark: configName, Entries: 10_000, File: changed})
	if err != nil {
		return nil, err
	}
	defer d.Close()
	text, err := d.Read(configName, maxConfigBytes)
	if err != nil {
		return nil, err
	}
	lines := fmt.Appendf(nil, "%x  %s\n%x  %s\n", sha256.Sum256(text), configName, p.Adapter.Weights.SHA256(), weightsName)
	if sha256.Sum256(lines) != p.Adapter.Digest {
		return nil, changed(d.Name(configName), nil)
	}
	return text, nil
}

// changed is the fault of an adapter that is not what it was when it was opened.
func changed(path string, _ []byte) error {
	return fault.New(fault.STChanged, "it changed while it was read").In(path).Fix("compress an adapter that nobody is writing to")
}

// rewrite replaces the values of members of an object, keeps all others as they are, and adds those of added that the object lacks and
// whose value is not empty.
func rewrite(text []byte, changes map[string]jsontext.Value, added []string) ([]byte, error) {
	decoder := jsontext.NewDecoder(bytes.NewReader(text))
	var out bytes.Buffer
	encoder := jsontext.NewEncoder(&out, jsontext.WithIndent("  "))
	if _, err := decoder.ReadToken(); err != nil {
		return nil, err
	}
	if err := encoder.WriteToken(jsontext.BeginObject); err != nil {
		return nil, err
	}
	write := func(name string, value jsontext.Value) error {
		if err := encoder.WriteToken(jsontext.String(name)); err != nil {
			return err
		}
		return encoder.WriteValue(value)
	}
	seen := map[string]bool{}
	for decoder.PeekKind() != jsontext.KindEndObject {
		token, err := decoder.ReadToken()
		if err != nil {
			return nil, err
		}
		name := token.String()
		value, err := decoder.ReadValue()
		if err != nil {
			return nil, err
		}
		if replaced, ok := changes[name]; ok {
			value = replaced
		}
		seen[name] = true
		if err := write(name, value); err != nil {
			return nil, err
		}
	}
	for _, name := range added {
		if !seen[name] && string(changes[name]) != "{}" {
			if err := write(name, changes[name]); err != nil {
				return nil, err
			}
		}
	}
	if err := encoder.WriteToken(jsontext.EndObject); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// patterns is the rank_pattern, and the alpha_pattern too, of the modules whose rank is not r. Of several patterns that match a module
// the first one counts, and a pattern matches every module whose path ends with it, so longer paths come first and a module of rank r
// whose path ends like another's gets a pattern too.
func (p *Plan) patterns() (jsontext.Value, error) {
	most, own := p.rank(), map[string]int{}
	for _, t := range p.Targets {
		if t.Kept != most {
			own[t.Module] = t.Kept
		}
	}
	for _, t := range p.Targets {
		if _, has := own[t.Module]; !has && endsLikeOther(t.Module, own) {
			own[t.Module] = t.Kept
		}
	}
	if len(own) > maxPatterns {
		return nil, fault.New(fault.UsageFlag, "%d modules would have a rank of their own, and the limit is %d", len(own), maxPatterns).
			In(p.Adapter.Ref).Fix("give --rank, and one that every module has")
	}
	// A "." in a pattern stands for any character, so of two of the same length the one with fewer of them comes first.
	modules := slices.SortedFunc(maps.Keys(own), func(a, b string) int {
		return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(strings.Count(a, "."), strings.Count(b, ".")), cmp.Compare(a, b))
	})
	out := []byte("{")
	for i, module := range modules {
		if i > 0 {
			out = append(out, ',')
		}
		quoted, err := jsontext.AppendQuote(nil, key(module))
		if err != nil {
			return nil, err
		}
		out = fmt.Appendf(out, "%s:%d", quoted, own[module])
	}
	return append(out, '}'), nil
}

// endsLikeOther reports whether the path of another module matches the end of this one, "." for any character.
func endsLikeOther(module string, others map[string]int) bool {
	for other := range others {
		tail := len(module) - len(other)
		if tail < 0 || tail > 0 && module[tail-1] != '.' {
			continue
		}
		same := true
		for i := range len(other) {
			same = same && (other[i] == '.' || other[i] == module[tail+i])
		}
		if same {
			return true
		}
	}
	return false
}

var plainPath = regexp.MustCompile(`^[A-Za-z0-9_.-]+$`)

// key is a module's path as a regular expression. A path of letters, digits and dots stands as it is, as PEFT itself writes it.
func key(module string) string {
	if plainPath.MatchString(module) {
		return module
	}
	return regexp.QuoteMeta(module)
}
