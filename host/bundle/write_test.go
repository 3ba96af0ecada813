package bundle

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/host/fault"
)

func content(name, text string) Content {
	return Content{Name: name, Data: strings.NewReader(text), Size: int64(len(text)), SHA256: sha256.Sum256([]byte(text))}
}

func written(t *testing.T, files ...Content) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := Write(&out, [32]byte{1}, "peft", files); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestWrite(t *testing.T) {
	files := []Content{content("adapter_config.json", "{}"), content("adapter_model.safetensors", noise(3<<20)), content("README.md", "# x")}
	first := written(t, files...)
	before := runtime.GOMAXPROCS(1)
	slices.Reverse(files)
	second := written(t, files...)
	runtime.GOMAXPROCS(before)
	if !bytes.Equal(first, second) {
		t.Error("the same files give other bytes")
	}
	b, err := opened(t, first, DefaultLimits)
	if err != nil {
		t.Fatal(err)
	}
	m, err := b.Manifest("")
	if err != nil || m == nil || m.Format != "peft" || len(m.Files) != 3 || m.Adapter != "sha256:01"+strings.Repeat("00", 31) {
		t.Errorf("%+v, %v", m, err)
	}
	if none, err := b.Manifest("elsewhere"); none != nil || err != nil {
		t.Errorf("%+v, %v", none, err)
	}
}

func TestWriteRefuses(t *testing.T) {
	other := content("a", "one")
	other.SHA256[0] ^= 1
	short := content("a", "one")
	short.Size = 9
	for name, file := range map[string]Content{"another digest": other, "another size": short, "a path": content("a/b", ""), "up": content("..", "")} {
		t.Run(name, func(t *testing.T) {
			if err := Write(&bytes.Buffer{}, [32]byte{}, "peft", []Content{file}); err == nil {
				t.Error("it is written")
			}
		})
	}
}

func TestManifest(t *testing.T) {
	const files = `"files":[{"name":"a","size":3,"sha256":"7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed"}]`
	const head = `{"schema":"tenon.bundle/v1","adapter":"sha256:00","format":"peft",`
	for _, c := range []struct {
		name, manifest, text string
		extra                entry
		code                 fault.Code
		place                string
	}{
		{"right", head + files + "}", "one", entry{name: "b", text: ""}, "", ""},
		{"another text", head + files + "}", "two", entry{name: "b"}, fault.DigestBad, "b!/d/a"},
		{"another size", head + files + "}", "four", entry{name: "b"}, fault.DigestBad, "b!/d/a"},
		{"one too few", head + `"files":[]}`, "one", entry{name: "b"}, fault.DigestBad, "b!/d/a"},
		{"one too many", head + files + "}", "one", entry{name: "d/b"}, fault.DigestBad, "b!/d/b"},
		{"missing", strings.Replace(head+files+"}", `"name":"a"`, `"name":"c"`, 1), "one", entry{name: "b"}, fault.DigestBad, "b!/d/" + ManifestName},
		{"twice", strings.Replace(head+files+"}", `[{`, `[{"name":"a","size":3,"sha256":""},{`, 1), "one", entry{name: "b"}, fault.ADArchive, "b!/d/" + ManifestName},
		{"another schema", strings.Replace(head+files+"}", "/v1", "/v9", 1), "one", entry{name: "b"}, fault.ADArchive, "b!/d/" + ManifestName},
		{"unknown member", head + `"x":1,` + files + "}", "one", entry{name: "b"}, fault.ADArchive, "b!/d/" + ManifestName},
		{"duplicate member", head + files + "," + files + "}", "one", entry{name: "b"}, fault.ADArchive, "b!/d/" + ManifestName},
		{"no JSON", "{", "one", entry{name: "b"}, fault.ADArchive, "b!/d/" + ManifestName},
		{"large", head + files + "}" + strings.Repeat(" ", maxManifest), "one", entry{name: "b"}, fault.ADArchive, "b!/d/" + ManifestName},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, err := opened(t, zipped(t, archived(t, entry{name: "d/" + ManifestName, text: c.manifest}, entry{name: "d/a", text: c.text}, c.extra)), DefaultLimits)
			if err != nil {
				t.Fatal(err)
			}
			_, err = b.Manifest("d")
			if c.code == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			list := fault.All(err)
			if !slices.ContainsFunc(list, func(e *fault.Error) bool { return e.Code == c.code && e.File == c.place && e.Remedy != "" }) {
				t.Errorf("got %v, want %s in %s", err, c.code, c.place)
			}
		})
	}
}

// FuzzBundle holds that whatever is opened is refused by a fault or has files of checked names within the limits.
func FuzzBundle(f *testing.F) {
	plain := archived(f, entry{name: "d/adapter_config.json", text: "{}"}, entry{name: "d/adapter_model.safetensors", text: "x"})
	f.Add(zipped(f, plain))
	f.Add(zstandard(f, plain))
	f.Add(zipped(f, archived(f, entry{name: strings.Repeat("n", 200), text: "x"})))
	f.Add(zstandard(f, []byte("one file")))
	f.Add(zipped(f, make([]byte, 1<<20)))
	limits := Limits{Bytes: 1 << 20, Ratio: 100, Slack: 1 << 14, Window: 1 << 20, Entries: 20, Kept: 5}
	f.Fuzz(func(t *testing.T, data []byte) {
		if !Is(data) {
			// The archive itself, so that mutations reach the names without a checksum of gzip's in the way.
			data = zipped(t, data)
		}
		b, err := read("b", bytes.NewReader(data), limits, func(name string) bool { return strings.HasSuffix(name, "r") })
		if err != nil {
			if _, ok := errors.AsType[*fault.Error](err); !ok {
				t.Errorf("no fault: %v", err)
			}
			return
		}
		defer b.Close()
		total := int64(0)
		for _, file := range b.Files {
			total += file.Size
			if name, reason := cleanName(file.Name); !b.Single && (name != file.Name || reason != "") {
				t.Errorf("the name %q %s", file.Name, reason)
			}
		}
		if total > limits.Bytes || len(b.Files) > limits.Entries {
			t.Errorf("%d bytes in %d files", total, len(b.Files))
		}
	})
}
