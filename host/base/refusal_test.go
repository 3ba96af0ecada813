package base

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/safetensors"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

func TestRefusals(t *testing.T) {
	const index = "model.safetensors.index.json"
	const pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\n"
	one, two := single(t), sharded(t)
	name := llamaTensors()[0].Name
	stored := func(e safetensors.Entry) files {
		return one.with(files{"model.safetensors": weights(t, replaced(name, e))})
	}
	tests := []struct {
		name  string
		files files
		code  fault.Code
		parts []string
	}{
		{"empty directory", files{}, fault.IONotFound, []string{"config.json", "model.safetensors", index}},
		{"no weights", one.without("model.safetensors"), fault.IONotFound, []string{"model.safetensors", index}},
		{"no config", one.without("config.json"), fault.BSConfig, []string{"no config.json"}},
		{"adapter", files{"adapter_config.json": "{}", "adapter_model.safetensors": ""}, fault.BSConfig, []string{"adapter"}},
		{"pickle", files{"config.json": "{}", "pytorch_model.bin": "PK"}, fault.BSConfig,
			[]string{"pytorch_model.bin", "pickle", "save_pretrained"}},
		{"pickled shards", files{"config.json": "{}", "pytorch_model-00001-of-00002.bin": "PK"}, fault.BSConfig, []string{"pickle"}},
		{"GGUF", files{"base.gguf": "GGUF"}, fault.BSConfig, []string{"base.gguf", "GGUF"}},
		{"other name", files{"config.json": "{}", "consolidated.safetensors": ""}, fault.BSConfig, []string{"consolidated.safetensors"}},
		{"shards without index", two.without(index), fault.BSIndex, []string{firstShard, "no " + index}},
		{"two checkpoints", two.with(files{"model.safetensors": one["model.safetensors"]}), fault.BSIndex, []string{"both"}},

		{"config empty", one.with(files{"config.json": " "}), fault.BSConfig, []string{"empty", "byte 0"}},
		{"config an array", one.with(files{"config.json": "[]"}), fault.BSConfig, []string{"an array"}},
		{"config null", one.with(files{"config.json": "null"}), fault.BSConfig, []string{"null"}},
		{"config cut", one.with(files{"config.json": llamaConfig[:50]}), fault.BSConfig, []string{"config.json", "byte 50"}},
		{"config with a duplicate", one.with(files{"config.json": `{"a":1,"a":2}`}), fault.BSConfig, []string{"#/a", "duplicate"}},
		{"config with a duplicate inside", one.with(files{"config.json": `{"a":{"b":1,"\u0062":2}}`}), fault.BSConfig,
			[]string{"#/a/b", "duplicate"}},
		{"config with invalid UTF-8", one.with(files{"config.json": "{\"a\":\"\xff\"}"}), fault.BSConfig, []string{"UTF-8"}},
		{"config with NaN", one.with(files{"config.json": `{"a":NaN}`}), fault.BSConfig, []string{"byte 5"}},
		{"config with more after it", one.with(files{"config.json": `{} {}`}), fault.BSConfig, nil},
		{"config too long", one.with(files{"config.json": strings.Repeat(" ", maxConfigBytes) + "{}"}), fault.BSConfig, []string{"more than"}},
		{"config deep", one.with(files{"config.json": strings.Repeat(`{"a":`, 20_000)}), fault.BSConfig, []string{"depth"}},
		{"generation config cut", one.with(files{"generation_config.json": "{"}), fault.BSConfig, []string{"generation_config.json"}},

		{"quantised", one.edit(t, "config.json", `{`, `{"quantization_config":{"quant_method":"gptq"},`), fault.BSQuantized,
			[]string{"#/quantization_config"}},
		{"quantised inside", one.edit(t, "config.json", `{`, `{"text_config":{"quantization_config":{}},`), fault.BSQuantized,
			[]string{"#/text_config/"}},
		{"AutoGPTQ", one.with(files{"quantize_config.json": "{}"}), fault.BSQuantized, []string{"quantize_config.json"}},
		{"FP8 weight", stored(safetensors.Entry{Name: name, DType: tensor.F8E4M3, Shape: []int{10, 8}}),
			fault.BSQuantized, []string{name, "F8_E4M3"}},
		{"GPTQ weight", stored(safetensors.Entry{Name: "a.qweight", DType: tensor.I32, Shape: []int{4}}),
			fault.BSQuantized, []string{"a.qweight"}},

		{"index empty", two.with(files{index: ""}), fault.BSIndex, []string{"empty"}},
		{"index cut", two.with(files{index: two[index][:40]}), fault.BSIndex, []string{"byte 40"}},
		{"index an array", two.with(files{index: "[]"}), fault.BSIndex, []string{index}},
		{"index null", two.with(files{index: "null"}), fault.BSIndex, []string{"no tensor"}},
		{"index without map", two.with(files{index: `{"metadata":{}}`}), fault.BSIndex, []string{"no tensor"}},
		{"index with a number", two.with(files{index: `{"weight_map":{"a":1}}`}), fault.BSIndex, []string{"#/weight_map/a", "number"}},
		{"index with a duplicate", two.with(files{index: `{"weight_map":{"a":"x","a":"y"}}`}), fault.BSIndex, []string{"duplicate"}},
		{"A38 path up", two.edit(t, index, `"`+firstShard, `"../`+firstShard), fault.BSPath, []string{"../", "#/weight_map/"}},
		{"A38 absolute path", two.edit(t, index, `"`+firstShard, `"/etc/passwd`), fault.BSPath, []string{"/etc/passwd"}},
		{"A38 path down", two.edit(t, index, `"`+firstShard, `"sub/`+firstShard), fault.BSPath, []string{"sub/"}},
		{"A38 backslash", two.edit(t, index, `"`+firstShard, `"..\\`+firstShard), fault.BSPath, nil},
		{"A38 dot", two.edit(t, index, `"`+firstShard, `".","x":"`+firstShard), fault.BSIndex, []string{`"."`}},
		{"A38 two dots", two.edit(t, index, `"`+firstShard, `"..","x":"`+firstShard), fault.BSPath, []string{`".."`}},
		{"A38 no name", two.edit(t, index, `"`+firstShard, `"","x":"`+firstShard), fault.BSPath, []string{`""`}},
		{"A38 pickle for a shard", two.edit(t, index, firstShard, "model.bin"), fault.BSIndex, []string{"model.bin"}},
		{"A38 missing shard", two.without(secondShard), fault.BSIndex, []string{secondShard, "missing"}},
		{"A38 tensor only in the index", two.edit(t, index, `"weight_map":{`, `"weight_map":{"ghost":"`+firstShard+`",`), fault.BSIndex,
			[]string{"ghost", "no shard holds"}},
		{"A38 tensor only in a shard", two.edit(t, index, `"`+name+`":"`+firstShard+`",`, ""), fault.BSIndex, []string{name, "does not name"}},
		{"A38 tensor in the other shard", two.edit(t, index, `"`+name+`":"`+firstShard, `"`+name+`":"`+secondShard), fault.BSIndex,
			[]string{name, "the index says"}},
		{"A38 tensor in two shards", two.with(files{secondShard: weights(t, append(llamaTensors()[5:], llamaTensors()[0]))}), fault.BSIndex,
			[]string{name, "too"}},

		{"shard malformed", two.with(files{secondShard: two[secondShard][:100]}), fault.STHdrTrunc, []string{secondShard}},
		{"shard with trailing bytes", two.with(files{firstShard: two[firstShard] + "x"}), fault.STTrail, []string{firstShard}},
		{"shard a pointer", one.with(files{"model.safetensors": pointer}), fault.STLFSPointer, []string{"model.safetensors"}},
		{"tokenizer a pointer", one.with(files{"tokenizer.json": pointer}), fault.STLFSPointer, []string{"tokenizer.json"}},
		{"config a pointer", one.with(files{"config.json": pointer}), fault.STLFSPointer, []string{"config.json"}},
		{"no tensors", one.with(files{"model.safetensors": weights(t, nil)}), fault.BSTensor, []string{"no tensor"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b, err := Open(test.files.write(t))
			if b != nil {
				b.Close()
			}
			wantFault(t, err, test.code, test.parts...)
		})
	}
}

func TestFaultsOfAllFilesComeTogether(t *testing.T) {
	broken := sharded(t).with(files{"config.json": "{", firstShard: "x", secondShard: ""})
	_, err := Open(broken.write(t))
	wantFault(t, err, fault.BSConfig)
	wantFault(t, err, fault.STShort)
	wantFault(t, err, fault.STEmpty)
}

// cache lays the files out as the Hugging Face cache does, and returns the snapshot's directory.
func cache(t *testing.T, f files) (repository, snapshot string) {
	t.Helper()
	repository = filepath.Join(t.TempDir(), "models--org--name")
	snapshot = filepath.Join(repository, "snapshots", "0123abcd")
	err := errors.Join(os.MkdirAll(snapshot, 0o700), os.Mkdir(filepath.Join(repository, "blobs"), 0o700))
	for name, content := range f {
		blob := fmt.Sprintf("%x", sha256.Sum256([]byte(content)))
		err = errors.Join(err, os.WriteFile(filepath.Join(repository, "blobs", blob), []byte(content), 0o600),
			os.Symlink("../../blobs/"+blob, filepath.Join(snapshot, name)))
	}
	if err != nil {
		t.Fatal(err)
	}
	return repository, snapshot
}

func TestHuggingFaceCache(t *testing.T) {
	model := sharded(t).with(files{"tokenizer.json": "{}"})
	_, snapshot := cache(t, model)
	b := open(t, snapshot)
	if b.Digest != open(t, model.write(t)).Digest {
		t.Error("the digest depends on the layout")
	}
	if len(b.Files) != 3 {
		t.Errorf("files %+v", b.Files)
	}
	for _, f := range b.Files {
		if text, err := os.ReadFile(f.Path); err != nil || string(text) != model[f.Name] {
			t.Errorf("%s: %v", f.Path, err)
		}
	}
}

// TestLinksOut replaces a file by a link that leaves the directory, and by what is no file.
func TestLinksOut(t *testing.T) {
	model := single(t).with(files{"tokenizer.json": "{}"})
	outside := model.write(t)
	replacements := map[string]func(path string) error{
		"absolute link": func(path string) error { return os.Symlink(filepath.Join(outside, filepath.Base(path)), path) },
		"relative link": func(path string) error {
			target, err := filepath.Rel(filepath.Dir(path), filepath.Join(outside, filepath.Base(path)))
			return errors.Join(err, os.Symlink(target, path))
		},
		"loop":      func(path string) error { return os.Symlink(filepath.Base(path), path) },
		"dangling":  func(path string) error { return os.Symlink("nothing", path) },
		"FIFO":      func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"directory": func(path string) error { return os.Mkdir(path, 0o700) },
	}
	for name, replace := range replacements {
		for _, file := range []string{"config.json", "model.safetensors", "tokenizer.json"} {
			t.Run(name+" for "+file, func(t *testing.T) {
				dir := model.without(file).write(t)
				if err := replace(filepath.Join(dir, file)); err != nil {
					t.Fatal(err)
				}
				_, err := Open(dir)
				wantFault(t, err, fault.IOFileType, file)
			})
		}
	}
	t.Run("out of a cache", func(t *testing.T) {
		repository, snapshot := cache(t, model)
		blob := filepath.Join(repository, "blobs", fmt.Sprintf("%x", sha256.Sum256([]byte(model["tokenizer.json"]))))
		if err := errors.Join(os.Remove(blob), os.Symlink(filepath.Join(outside, "tokenizer.json"), blob)); err != nil {
			t.Fatal(err)
		}
		_, err := Open(snapshot)
		wantFault(t, err, fault.IOFileType, "tokenizer.json")
	})
	t.Run("inside the directory", func(t *testing.T) {
		dir := model.write(t)
		config := filepath.Join(dir, "config.json")
		if err := errors.Join(os.Rename(config, filepath.Join(dir, "c")), os.Symlink("c", config)); err != nil {
			t.Fatal(err)
		}
		open(t, dir)
	})
}

// TestFolderOfLicences has a folder where only files are carried over, as the REUSE convention asks for.
func TestFolderOfLicences(t *testing.T) {
	dir := single(t).with(files{"LICENSE": "text"}).write(t)
	if err := os.Mkdir(filepath.Join(dir, "LICENSES"), 0o700); err != nil {
		t.Fatal(err)
	}
	if b := open(t, dir); len(b.Files) != 2 {
		t.Errorf("files %+v", b.Files)
	}
}

// TestChangedWhileHashed writes to a file between its opening and its hashing.
func TestChangedWhileHashed(t *testing.T) {
	for name, change := range map[string]func(path string) error{
		"grows":   func(path string) error { return os.Truncate(path, 1<<20) },
		"shrinks": func(path string) error { return os.Truncate(path, 1) },
		"touched": func(path string) error { return syscall.Utimes(path, []syscall.Timeval{{Sec: 1}, {Sec: 1}}) },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(single(t).write(t), "model.safetensors")
			f, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			before, err := f.Stat()
			if err = errors.Join(err, change(path)); err != nil {
				t.Fatal(err)
			}
			_, err = hashFile("shard", f, before)
			wantFault(t, err, fault.STChanged, "shard")
		})
	}
}
