package adaptertest

import (
	"bytes"
	"encoding/binary"
	"maps"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/sdk/tensor"
)

// without takes away the first tensor of some.
func without(some func(string) bool) func(testing.TB, string) bool {
	return func(t testing.TB, dir string) bool {
		tensors := Read(t, filepath.Join(dir, "adapter", weightsName))
		for _, name := range slices.Sorted(maps.Keys(tensors)) {
			if some(name) {
				delete(tensors, name)
				Write(t, filepath.Join(dir, "adapter", weightsName), tensors)
				return true
			}
		}
		return false
	}
}

// renamed gives the tensors other names; or the first one a copy of another name.
func renamed(from *regexp.Regexp, to string, another bool) func(testing.TB, string) bool {
	return func(t testing.TB, dir string) bool {
		tensors := Read(t, filepath.Join(dir, "adapter", weightsName))
		found := false
		for _, name := range slices.Sorted(maps.Keys(tensors)) {
			if !from.MatchString(name) || found && another {
				continue
			}
			found = true
			tensors[from.ReplaceAllString(name, to)] = tensors[name]
			if !another {
				delete(tensors, name)
			}
		}
		Write(t, filepath.Join(dir, "adapter", weightsName), tensors)
		return found
	}
}

// swapped gives the factors each other's names.
func swapped(t testing.TB, dir string) bool {
	path := filepath.Join(dir, "adapter", weightsName)
	other := strings.NewReplacer("lora_A", "lora_B", "lora_B", "lora_A", "lora_embedding_A", "lora_embedding_B", "lora_embedding_B", "lora_embedding_A")
	tensors := make(map[string]Tensor)
	for name, x := range Read(t, path) {
		tensors[other.Replace(name)] = x
	}
	Write(t, path, tensors)
	return true
}

// configured changes the text of the configuration.
func configured(from *regexp.Regexp, to string) func(testing.TB, string) bool {
	return func(t testing.TB, dir string) bool {
		return edited(t, filepath.Join(dir, "adapter", configName), from, to)
	}
}

func edited(t testing.TB, path string, from *regexp.Regexp, to string) bool {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	put(t, path, from.ReplaceAll(text, []byte(to)))
	return from.Match(text)
}

// filled changes the values of some tensors.
func filled(some func(string) bool, change func(values []float64)) func(testing.TB, string) bool {
	return func(t testing.TB, dir string) bool {
		path := filepath.Join(dir, "adapter", weightsName)
		tensors, found := Read(t, path), false
		if _, twins := tensors["base_model.model.lm_head.lora_A.weight"]; twins {
			return false // of which one alone would be spoiled
		}
		for name, x := range tensors {
			if !some(name) {
				continue
			}
			found = true
			values := x.Floats(t)
			change(values)
			var wide []byte
			for _, v := range values {
				wide = binary.LittleEndian.AppendUint64(wide, math.Float64bits(v))
			}
			tensors[name] = Tensor{DType: tensor.F64, Shape: x.Shape, Bytes: wide}.Rounded(t, x.DType)
		}
		Write(t, path, tensors)
		return found
	}
}

// alone spoils an adapter that changes nothing without its factors and their alpha: no other tensors but copies of the base's, no base of its own
// and no alphas of its own.
func alone(spoil func(testing.TB, string) bool) func(testing.TB, string) bool {
	more := regexp.MustCompile(`"init_lora_weights": "|"alpha_pattern": \{\s*"`)
	return func(t testing.TB, dir string) bool {
		config, err := os.ReadFile(filepath.Join(dir, "adapter", configName))
		if err != nil {
			t.Fatal(err)
		}
		base := Read(t, filepath.Join(dir, "base", "model.safetensors"))
		for name, x := range Read(t, filepath.Join(dir, "adapter", weightsName)) {
			copied := strings.Replace(strings.TrimPrefix(name, "base_model.model."), ".base_layer", "", 1)
			if isNoFactor(name) && !bytes.Equal(x.Bytes, base[copied].Bytes) {
				return false
			}
		}
		return !more.Match(config) && spoil(t, dir)
	}
}

// twice writes the name of the first tensor in the place of another's.
func twice(t testing.TB, dir string) bool {
	path := filepath.Join(dir, "adapter", weightsName)
	names := slices.Sorted(maps.Keys(Read(t, path)))
	for _, other := range names[1:] {
		if first := names[0]; len(first) == len(other) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			put(t, path, bytes.Replace(text, []byte(`"`+other+`"`), []byte(`"`+first+`"`), 1))
			return true
		}
	}
	return false
}

// hole leaves bytes between the first two tensors that belong to neither.
func hole(t testing.TB, dir string) bool {
	path := filepath.Join(dir, "adapter", weightsName)
	tensors := Read(t, path)
	gap := slices.Min(slices.Collect(maps.Keys(tensors))) + "!"
	tensors[gap] = Tensor{DType: tensor.F32, Shape: []int{2}, Bytes: make([]byte, 8)}
	Write(t, path, tensors)
	entry := regexp.MustCompile(regexp.QuoteMeta(`"`+gap+`":{`) + `[^}]*},`)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	put(t, path, entry.ReplaceAllFunc(text, func(found []byte) []byte { return bytes.Repeat([]byte(" "), len(found)) }))
	return entry.Match(text)
}

// tied gives the base one tensor for embedding and head, where the adapter changes the embedding alone.
func tied(t testing.TB, dir string) bool {
	tensors := Read(t, filepath.Join(dir, "adapter", weightsName))
	onlyEmbedding := false
	for name := range tensors {
		if strings.Contains(name, "lm_head") {
			return false
		}
		onlyEmbedding = onlyEmbedding || strings.HasSuffix(name, "embed_tokens.lora_embedding_A")
	}
	path := filepath.Join(dir, "base", "model.safetensors")
	base := Read(t, path)
	if _, ok := base["lm_head.weight"]; !ok || !onlyEmbedding {
		return false
	}
	delete(base, "lm_head.weight")
	Write(t, path, base)
	return edited(t, filepath.Join(dir, "base", "config.json"), regexp.MustCompile(`"tie_word_embeddings": false`), `"tie_word_embeddings": true`)
}

// resized takes a token from the vocabulary of a base whose embedding or head the adapter holds whole.
func resized(t testing.TB, dir string) bool {
	tables := map[string]string{"model.embed_tokens.base_layer.weight": "model.embed_tokens.weight", "lm_head.weight": "lm_head.weight"}
	path := filepath.Join(dir, "base", "model.safetensors")
	base, found := Read(t, path), false
	for name := range Read(t, filepath.Join(dir, "adapter", weightsName)) {
		table, whole := tables[strings.TrimPrefix(name, "base_model.model.")]
		if x, ok := base[table]; whole && ok {
			x.Shape = []int{x.Shape[0] - 1, x.Shape[1]}
			x.Bytes = x.Bytes[:x.Shape[0]*x.Shape[1]*x.DType.Size()]
			base[table], found = x, true
		}
	}
	Write(t, path, base)
	return found
}
