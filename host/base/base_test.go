package base

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/safetensors"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

func TestOpen(t *testing.T) {
	beside := files{"tokenizer.json": "{}", "LICENSE": "Apache-2.0", "README.md": "# A model", "NOTICE.txt": "n",
		"training.log": "no part of it"}
	tests := []struct {
		name   string
		files  files
		shards []string
		carry  []string
	}{
		{"single", single(t).with(beside), []string{"model.safetensors"},
			[]string{"LICENSE", "NOTICE.txt", "README.md", "config.json", "tokenizer.json"}},
		{"sharded", sharded(t).with(beside), []string{firstShard, secondShard},
			[]string{"LICENSE", "NOTICE.txt", "README.md", "config.json", "model.safetensors.index.json", "tokenizer.json"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := test.files.write(t)
			b := open(t, dir)
			if b.Ref != dir || !filepath.IsAbs(b.Dir) {
				t.Errorf("Ref %q, Dir %q", b.Ref, b.Dir)
			}
			var shards, carry []string
			lines := ""
			for _, s := range b.Shards {
				shards = append(shards, s.Name)
				if s.Path != filepath.Join(b.Dir, s.Name) || s.Size != int64(len(test.files[s.Name])) ||
					s.SHA256 != sha256.Sum256([]byte(test.files[s.Name])) {
					t.Errorf("shard %+v", s)
				}
			}
			for _, f := range b.Files {
				carry = append(carry, f.Name)
				want := File{filepath.Join(b.Dir, f.Name), f.Name, int64(len(test.files[f.Name])), sha256.Sum256([]byte(test.files[f.Name]))}
				if f != want {
					t.Errorf("got %+v, want %+v", f, want)
				}
			}
			if !slices.Equal(shards, test.shards) || !slices.Equal(carry, test.carry) {
				t.Errorf("shards %q, files %q", shards, carry)
			}
			for _, name := range sortedKeys(test.files) {
				if name == "config.json" || strings.HasPrefix(name, "model") {
					lines += fmt.Sprintf("%x  %s\n", sha256.Sum256([]byte(test.files[name])), name)
				}
			}
			if want := sha256.Sum256([]byte(lines)); b.Digest != want {
				t.Errorf("digest %x, want %x of\n%s", b.Digest, want, lines)
			}
			entries := llamaTensors()
			if len(b.Tensors) != len(entries) {
				t.Fatalf("%d tensors, want %d", len(b.Tensors), len(entries))
			}
			parameters := int64(0)
			for i, e := range entries {
				x, ok := b.Tensor(e.Name)
				if !ok || b.Tensors[i].Name != e.Name || x.DType != e.DType || !slices.Equal(x.Shape, e.Shape) {
					t.Errorf("tensor %d: %+v, want %+v", i, x, e)
				}
				raw := test.files[b.Shards[x.File].Name]
				if !bytes.Equal(readAll(t, b, x), []byte(raw[x.Offset:x.Offset+x.Length])) {
					t.Errorf("%s: wrong bytes", e.Name)
				}
				parameters += x.Length / 2
			}
			if b.Parameters() != parameters || b.DType() != tensor.BF16 {
				t.Errorf("%d parameters of %v, want %d of BF16", b.Parameters(), b.DType(), parameters)
			}
			if err := b.Servable(); err != nil {
				t.Errorf("Servable: %v", err)
			}
			modules := b.Modules()
			if len(modules) != len(entries) || !slices.IsSorted(modules) || !slices.Contains(modules, "model.layers.1.mlp.up_proj") {
				t.Errorf("modules %q", modules)
			}
			if _, ok := b.Tensor("absent"); ok {
				t.Error("a tensor that is not there was found")
			}
			if err := b.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestDigestCoversTheModelOnly changes files that are and are not the model.
func TestDigestCoversTheModelOnly(t *testing.T) {
	model := sharded(t).with(files{"README.md": "one"})
	digest := func(f files) [32]byte { return open(t, f.write(t)).Digest }
	before := digest(model)
	if digest(model) != before || digest(model.with(files{"README.md": "two", "x": "y"})) != before {
		t.Error("the digest depends on the directory or on the README")
	}
	for _, name := range []string{"config.json", "model.safetensors.index.json"} {
		if digest(model.with(files{name: model[name] + "\n"})) == before {
			t.Errorf("the digest does not cover %s", name)
		}
	}
	shard := []byte(model[secondShard])
	shard[len(shard)-1] ^= 1
	if digest(model.with(files{secondShard: string(shard)})) == before {
		t.Error("the digest does not cover the last byte of the last shard")
	}
}

func TestReferences(t *testing.T) {
	dir := single(t).write(t)
	for _, ref := range []string{dir, dir + "/", "file://" + dir, "FILE://localhost" + dir} {
		if b := open(t, ref); b.Ref != ref || len(b.Shards) != 1 {
			t.Errorf("%s: %+v", ref, b)
		}
	}
	t.Run("link to the directory", func(t *testing.T) {
		link := filepath.Join(t.TempDir(), "link")
		if err := os.Symlink(dir, link); err != nil {
			t.Fatal(err)
		}
		real, err := filepath.EvalSymlinks(dir)
		if b := open(t, link); err != nil || b.Dir != real {
			t.Errorf("Dir %q, want %q", b.Dir, real)
		}
	})
	other := files{"base.gguf": "GGUF\x03\x00\x00\x00", "pytorch_model.bin": "PK\x03\x04", "legacy": "\x80\x02}q\x00.", "notes": "text",
		"model.zip": "PK\x03\x04", "config.json": "{}"}.write(t)
	tests := []struct {
		ref   string
		code  fault.Code
		parts []string
	}{
		{"hf://org/name", fault.UsageFlag, []string{"hf:// references are not read", "give its directory"}},
		{"oci://registry/name:tag", fault.UsageFlag, []string{"oci://"}},
		{"http://host/name", fault.UsageFlag, []string{"http://"}},
		{"HTTPS://host/name", fault.UsageFlag, []string{"https://"}},
		{"file://host/name", fault.UsageFlag, []string{"local directory"}},
		{"file:///name#sub", fault.UsageFlag, []string{"local directory"}},
		{"file:///%zz", fault.UsageFlag, []string{"local directory"}},
		{"", fault.UsageFlag, []string{"no path"}},
		{"a\x00b", fault.UsageFlag, []string{"no path"}},
		{filepath.Join(dir, "absent"), fault.IONotFound, []string{"no such directory"}},
		{filepath.Join(dir, "model.safetensors"), fault.UsageFlag, []string{"a base is a directory"}},
		{filepath.Join(dir, "config.json", "x"), fault.IORead, nil},
		{filepath.Join(other, "base.gguf"), fault.GGShort, []string{"base.gguf"}},
		{filepath.Join(other, "pytorch_model.bin"), fault.BSConfig, []string{"pickle", "save_pretrained"}},
		{filepath.Join(other, "legacy"), fault.BSConfig, []string{"pickle"}},
		{filepath.Join(other, "notes"), fault.BSConfig, []string{"unknown kind"}},
		{filepath.Join(other, "model.zip"), fault.BSConfig, []string{"zip archive"}},
		{filepath.Join(other, "config.json"), fault.UsageFlag, []string{"a base is a directory"}},
		{"/dev/null", fault.IOFileType, []string{"device"}},
	}
	for _, test := range tests {
		t.Run(test.ref, func(t *testing.T) {
			_, err := Open(test.ref)
			wantFault(t, err, test.code, test.parts...)
		})
	}
}

func TestDType(t *testing.T) {
	entries := []safetensors.Entry{
		{Name: "a", DType: tensor.F32, Shape: []int{3}},
		{Name: "b", DType: tensor.BF16, Shape: []int{7}},
		{Name: "c", DType: tensor.F16, Shape: []int{1}},
	}
	b := open(t, files{"config.json": "{}", "model.safetensors": weights(t, entries)}.write(t))
	if b.DType() != tensor.BF16 || b.Parameters() != 11 {
		t.Errorf("%v, %d parameters", b.DType(), b.Parameters())
	}
	if len(b.Modules()) != 0 {
		t.Errorf("modules %q", b.Modules())
	}
}

func TestNearest(t *testing.T) {
	b := open(t, single(t).write(t))
	tests := []struct{ name, want string }{
		{"model.layers.0.self_attn.q_porj.weight", "model.layers.0.self_attn.q_proj.weight"},
		{"model.layers.0.self_attn.qproj.weight", "model.layers.0.self_attn.q_proj.weight"},
		{"model.layer.1.mlp.up_proj.weight", "model.layers.1.mlp.up_proj.weight"},
		{"model.layers.1.mlp.up_proj.weight", "model.layers.1.mlp.up_proj.weight"},
		{"model.layers.7.mlp.up_proj.weight", "model.layers.0.mlp.up_proj.weight"}, // two are as close: the first
		{"transformer.h.0.attn.c_attn.weight", ""},
		{"", ""},
	}
	for _, test := range tests {
		got, ok := b.Nearest(test.name)
		if got != test.want || ok != (test.want != "") {
			t.Errorf("Nearest(%q) = %q, %v; want %q", test.name, got, ok, test.want)
		}
	}
}

func TestEdits(t *testing.T) {
	tests := []struct {
		a, b  string
		limit int
		want  int
	}{
		{"", "", 3, 0}, {"a", "", 3, 1}, {"", "abc", 3, 3}, {"abc", "abc", 0, 0}, {"ab", "ba", 3, 1}, {"kitten", "sitting", 4, 3},
		{"q_porj", "q_proj", 1, 1}, {"abcdef", "badcfe", 3, 3}, {"abcd", "wxyz", 2, 3}, {"abcdef", "a", 2, 3}, {"xab", "xba", 1, 1},
	}
	for _, test := range tests {
		if got := edits(test.a, test.b, test.limit); got != test.want {
			t.Errorf("edits(%q, %q, %d) = %d, want %d", test.a, test.b, test.limit, got, test.want)
		}
	}
}

func TestBackend(t *testing.T) {
	b := open(t, sharded(t).write(t))
	for i, f := range b.BackendFiles() {
		if s := b.Shards[i]; f.Path != s.Path || f.Size != s.Size || !bytes.Equal(f.Sha256, s.SHA256[:]) {
			t.Errorf("file %v, want %+v", f, s)
		}
	}
	for i, x := range b.BackendTensors() {
		want := b.Tensors[i]
		if x.Name != want.Name || x.Dtype != "BF16" || fmt.Sprint(x.Shape) != fmt.Sprint(want.Shape) || int(x.File) != want.File ||
			x.Offset != want.Offset || x.Length != want.Length {
			t.Errorf("tensor %v, want %+v", x, want)
		}
	}
	c := b.ModelConfig()
	got := []any{c.Architecture, c.HiddenSize, c.IntermediateSize, c.Layers, c.Heads, c.KvHeads, c.HeadDim, c.VocabSize, c.MaxPositions,
		c.RmsNormEps, c.RopeTheta, c.TieWordEmbeddings}
	want := []any{"llama", int32(8), int32(12), int32(2), int32(2), int32(1), int32(4), int32(10), int32(32), 1e-5, 5e5, false}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("config %v, want %v", got, want)
	}
	gpt := open(t, single(t).with(files{"config.json": `{"model_type":"gpt2"}`}).write(t))
	if gpt.ModelConfig() != nil {
		t.Error("a model that is not servable has a config for backends")
	}
}

// TestSharedModels opens the models beside the repository.
func TestSharedModels(t *testing.T) {
	tests := []struct {
		name       string
		parameters int64
		dtype      tensor.DType
		layers     int
	}{{"tiny-llama", 2_828_736, tensor.BF16, 6}, {"stories260K", 260_032, tensor.F32, 5}}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := filepath.Join("../../../shared/models", test.name, "base")
			if _, err := os.Stat(dir); err != nil {
				t.Skipf("../shared/models is absent: %v", err)
			}
			b := open(t, dir)
			if err := b.Servable(); err != nil {
				t.Error(err)
			}
			if b.Parameters() != test.parameters || b.DType() != test.dtype || b.Config.Layers != test.layers || !b.Config.TieWordEmbeddings {
				t.Errorf("%d parameters of %v, config %+v", b.Parameters(), b.DType(), b.Config)
			}
			if b.Config.BOS != 1 || !slices.Equal(b.Config.EOS, []int{2}) {
				t.Errorf("BOS %d, EOS %v", b.Config.BOS, b.Config.EOS)
			}
		})
	}
}
