package adapter

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/host/bundle"
	"github.com/tenon-ml/tenon/host/fault"
)

// flatTensors are the factors of one module as Kohya's scripts name them.
func flatTensors() map[string]stored {
	return map[string]stored{
		"lora_te_text_model_encoder_layers_0_self_attn_q_proj.lora_down.weight": f32(4, 16),
		"lora_te_text_model_encoder_layers_0_self_attn_q_proj.lora_up.weight":   f32(16, 4),
	}
}

// bundleFile writes a file whose name ends as a bundle's does.
func bundleFile(t *testing.T, name string, data []byte) string {
	t.Helper()
	return filepath.Join(folder(t, map[string][]byte{name: data}), name)
}

// TestBundles holds that an adapter is the same one however it is wrapped.
func TestBundles(t *testing.T) {
	config, weights, single := configFile(t, plainConfig()), weightsFile(t, plainTensors()), weightsFile(t, flatTensors())
	peft := opened(t, folder(t, map[string][]byte{configName: config, weightsName: weights})).Digest
	flat := opened(t, bundleFile(t, "any.safetensors", single)).Digest
	of := func(prefix string) []byte {
		return tarred(t, packedEntry{name: prefix + configName, data: config}, packedEntry{name: prefix + weightsName, data: weights},
			packedEntry{name: "README.md", data: []byte("# an adapter")})
	}
	for _, c := range []struct {
		name, place string
		data        []byte
		want        [32]byte
	}{
		{"at.tar.zst", "", zstded(t, of("")), peft},
		{"at.tgz", "", gzipped(t, of("./")), peft},
		{"folder.tar.gz", "!/a", gzipped(t, of("a/")), peft},
		{"deep.tar.gz", "!/a/b/c", gzipped(t, of("a/b/c/")), peft},
		{"no ending", "", zstded(t, of("")), peft},
		{"one.safetensors.zst", "", zstded(t, single), flat},
		{"one.safetensors.gz", "", gzipped(t, single), flat},
		{"one.tar.zst", "!/x.safetensors", zstded(t, tarred(t, packedEntry{name: "x.safetensors", data: single})), flat},
		{"kept.tar.zst", "!/" + singleName, zstded(t, tarred(t, packedEntry{name: singleName, data: single})), flat},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := bundleFile(t, c.name, c.data)
			a := opened(t, path)
			if a.Digest != c.want || a.Ref != path || a.Dir != path+c.place || len(a.Notes) != 0 {
				t.Errorf("%x of %q, notes %v", a.Digest, a.Dir, a.Notes)
			}
			if in, err := Inspect(path); err != nil || in.Digest != c.want {
				t.Errorf("inspect: %v", err)
			}
		})
	}
}

func TestBundlesRefused(t *testing.T) {
	config, weights := configFile(t, plainConfig()), weightsFile(t, plainTensors())
	packed := func(config []byte, manifest string) []byte {
		return gzipped(t, tarred(t, packedEntry{name: bundle.ManifestName, data: []byte(manifest)},
			packedEntry{name: configName, data: config}, packedEntry{name: weightsName, data: weights}))
	}
	out := filepath.Join(t.TempDir(), "a.tar.zst")
	if _, err := Pack(folder(t, map[string][]byte{configName: config, weightsName: weights}), out); err != nil {
		t.Fatal(err)
	}
	manifest := manifestOf(t, out)
	for _, c := range []struct {
		name  string
		data  []byte
		code  fault.Code
		place string
	}{
		{"another configuration", packed(bytes.ReplaceAll(config, []byte("8"), []byte("9")), manifest), fault.DigestBad, "!/" + configName},
		{"another adapter", packed(config, strings.Replace(manifest, "sha256:", "sha256:0", 1)), fault.DigestBad, ""},
		{"PEFT's weights alone", zstded(t, weights), fault.ADConfig, ""},
		{"damaged weights", gzipped(t, tarred(t, packedEntry{name: "d/" + configName, data: config}, packedEntry{name: "d/" + weightsName, data: weights[:20]})),
			fault.STHdrTrunc, "!/d/" + weightsName},
		{"a configuration that is none", gzipped(t, tarred(t, packedEntry{name: configName, data: []byte("[]")}, packedEntry{name: weightsName, data: weights})),
			fault.ADConfig, "!/" + configName},
		{"weights elsewhere", gzipped(t, tarred(t, packedEntry{name: "a/" + configName, data: config}, packedEntry{name: "b/" + weightsName, data: weights})),
			fault.ADNoWeights, "!/a"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := bundleFile(t, "b.tar.gz", c.data)
			a, err := Open(path)
			if a != nil {
				a.Close()
				t.Fatal("there is an adapter")
			}
			if !slices.ContainsFunc(fault.All(err), func(e *fault.Error) bool { return e.Code == c.code && e.File == path+c.place && e.Remedy != "" }) {
				t.Errorf("got %v, want %s in %s", err, c.code, c.place)
			}
		})
	}
}

// manifestOf is the text of a bundle's manifest.
func manifestOf(t *testing.T, path string) string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := bundle.Open(path, f, bundle.DefaultLimits, isWanted)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for _, f := range b.Files {
		if f.Name == bundle.ManifestName {
			text, err := io.ReadAll(io.NewSectionReader(f.Data, 0, f.Size))
			if err != nil {
				t.Fatal(err)
			}
			return string(text)
		}
	}
	t.Fatal("there is no manifest")
	return ""
}

func TestPack(t *testing.T) {
	files := map[string][]byte{
		configName: configFile(t, plainConfig()), weightsName: weightsFile(t, plainTensors()), "README.md": []byte("# r"), "LICENSE": []byte("terms"),
		"optimizer.pt": []byte("x"), "trainer_state.json": []byte("{}"),
	}
	dir := folder(t, files)
	out := filepath.Join(t.TempDir(), "a.tar.zst")
	first, err := Pack(dir, out)
	if err != nil {
		t.Fatal(err)
	}
	again := filepath.Join(t.TempDir(), "b.tar.zst")
	second, err := Pack(out, again) // of the bundle itself
	if err != nil {
		t.Fatal(err)
	}
	one, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	two, err := os.ReadFile(again)
	if err != nil || !bytes.Equal(one, two) || first.Bundle != second.Bundle || first.Size != int64(len(one)) {
		t.Errorf("%d and %d bytes, %v", len(one), len(two), err)
	}
	if a := opened(t, out); a.Digest != first.Adapter || a.Digest != opened(t, dir).Digest || len(first.Files) != 4 {
		t.Errorf("%+v", first)
	}
	for name, c := range map[string]struct {
		ref, out string
		code     fault.Code
	}{
		"exists":              {dir, out, fault.MergeExists},
		"another ending":      {dir, filepath.Join(t.TempDir(), "a.zip"), fault.UsageFlag},
		"no directory for it": {dir, filepath.Join(t.TempDir(), "no", "a.tar.zst"), fault.IOWrite},
		"no adapter":          {t.TempDir(), filepath.Join(t.TempDir(), "a.tar.zst"), fault.IONotFound},
		"a README that is no text": {folder(t, with(files, map[string]any{"README.md": []byte("\x80\x02}q\x00.")})),
			filepath.Join(t.TempDir(), "a.tar.zst"), fault.STWrongType},
		"a long README": {folder(t, with(files, map[string]any{"README.md": bytes.Repeat([]byte("x"), maxCompanion+1)})),
			filepath.Join(t.TempDir(), "a.tar.zst"), fault.ADArchive},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Pack(c.ref, c.out)
			if got := codes(err); len(got) != 1 || got[0] != c.code {
				t.Errorf("got %v, want %s", err, c.code)
			}
			if left, _ := os.ReadDir(filepath.Dir(c.out)); c.out != out && len(left) > 0 {
				t.Errorf("%v is left", left)
			}
		})
	}
}

// TestOriginals writes the originals of an adapter as a store keeps them, and opens them as the same adapter.
func TestOriginals(t *testing.T) {
	for name, ref := range map[string]func(t *testing.T) string{
		"PEFT":  func(t *testing.T) string { return adapterFolder(t, plainConfig(), plainTensors()) },
		"Kohya": func(t *testing.T) string { return bundleFile(t, "x.safetensors", weightsFile(t, flatTensors())) },
		"GGUF":  func(t *testing.T) string { return shared(t, "models/stories260K/adapter.gguf") },
		"bundle": func(t *testing.T) string {
			return bundleFile(t, "x.safetensors.zst", zstded(t, weightsFile(t, flatTensors())))
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := opened(t, ref(t))
			again, err := a.Share()
			if err != nil {
				t.Fatal(err)
			}
			if err := a.Close(); err != nil {
				t.Fatal(err)
			}
			files := map[string][]byte{}
			for _, f := range again.Files {
				data, err := io.ReadAll(io.NewSectionReader(f.Data, 0, f.Size+1))
				if err != nil || int64(len(data)) != f.Size {
					t.Fatalf("%s has %d bytes, %v", f.Name, len(data), err)
				}
				files[f.Name] = data
			}
			if err := again.Close(); err != nil {
				t.Fatal(err)
			}
			back := opened(t, folder(t, files))
			if back.Digest != a.Digest || back.Format != a.Format || len(back.Tensors) != len(a.Tensors) || a.Digest == [32]byte{} {
				t.Errorf("%s %x, was %s %x", back.Format, back.Digest, a.Format, a.Digest)
			}
		})
	}
}
