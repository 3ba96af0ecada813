package adapter

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/tenon-ml/tenon/host/fault"
)

func TestOpenReferences(t *testing.T) {
	lfs := []byte("version https://git-lfs.github.com/spec/v1\noid sha256:28\nsize 4\n")
	weights, config := weightsFile(t, plainTensors()), configFile(t, plainConfig())
	for _, c := range []struct {
		name  string
		files map[string][]byte
		ref   string // below the directory, or a whole reference when it holds "://"
		codes []fault.Code
		says  []string
	}{
		{"hf", nil, "hf://org/name", []fault.Code{fault.UsageFlag}, []string{"hf://"}},
		{"oci", nil, "oci://reg/name:1", []fault.Code{fault.UsageFlag}, []string{"oci://"}},
		{"http", nil, "HTTP://x/y", []fault.Code{fault.UsageFlag}, nil},
		{"file on a host", nil, "file://host/x", []fault.Code{fault.UsageFlag}, nil},
		{"NUL", nil, "a\x00b", []fault.Code{fault.UsageFlag}, nil},
		{"missing", nil, "no/such", []fault.Code{fault.IONotFound}, nil},
		{"empty", nil, "", []fault.Code{fault.IONotFound}, []string{"empty"}},
		{"unrelated", map[string][]byte{"README.md": {}}, "", []fault.Code{fault.IONotFound}, nil},
		{"a base", map[string][]byte{"config.json": {}, "model.safetensors": {}}, "", []fault.Code{fault.IONotFound}, []string{"--base"}},
		{"adapters inside", map[string][]byte{"run/" + configName: config, "run/" + weightsName: weights}, "",
			[]fault.Code{fault.IONotFound}, []string{"run"}},
		{"no weights", map[string][]byte{configName: config}, "", []fault.Code{fault.ADNoWeights}, nil},
		{"no configuration", map[string][]byte{weightsName: weights}, "", []fault.Code{fault.ADConfig}, []string{"missing"}},
		{"configuration in another case", map[string][]byte{"Adapter_Config.json": config, weightsName: weights}, "",
			[]fault.Code{fault.ADConfig}, []string{"case"}},
		{"two weights", map[string][]byte{configName: config, weightsName: weights, "Adapter_Model.safetensors": weights}, "",
			[]fault.Code{fault.ADNoWeights}, []string{"2 files"}},
		{"shards", map[string][]byte{configName: config, "adapter_model-00001-of-00002.safetensors": weights}, "",
			[]fault.Code{fault.ADNoWeights}, nil},
		{"pickle", map[string][]byte{configName: config, "adapter_model.bin": []byte("PK\x03\x04")}, "",
			[]fault.Code{fault.ADPickle}, []string{"tenon convert --from-pickle adapter_model.bin"}},
		{"pickle with a hostile name", map[string][]byte{configName: config, "a'$(x).bin": []byte("PK\x03\x04")}, "",
			[]fault.Code{fault.ADPickle}, []string{"--from-pickle FILE"}},
		{"pickle as the reference", map[string][]byte{"x.bin": []byte("PK\x03\x04")}, "x.bin", []fault.Code{fault.ADPickle}, nil},
		{"bare pickle", map[string][]byte{"x.dat": []byte("\x80\x02}q\x00")}, "x.dat", []fault.Code{fault.ADPickle}, nil},
		{"zip", map[string][]byte{"x.zip": []byte("PK\x03\x04")}, "x.zip", []fault.Code{fault.ADArchive}, []string{"unpack"}},
		{"zstd", map[string][]byte{"x.tar.zst": []byte("\x28\xb5\x2f\xfd")}, "x.tar.zst", []fault.Code{fault.ADArchive}, nil},
		{"archive in a directory", map[string][]byte{configName: config, "a.7z": {}}, "", []fault.Code{fault.ADArchive}, nil},
		{"GGUF", map[string][]byte{"x.gguf": []byte("GGUF\x03\x00")}, "x.gguf", []fault.Code{fault.GGShort}, nil},
		{"web page", map[string][]byte{"x": []byte("<!DOCTYPE html>")}, "x", []fault.Code{fault.STWrongType}, []string{"HTML"}},
		{"the weights alone", map[string][]byte{weightsName: weights}, weightsName, []fault.Code{fault.ADConfig}, []string{"the directory that holds both"}},
		{"LFS pointer as the reference", map[string][]byte{"x": lfs}, "x", []fault.Code{fault.STLFSPointer}, []string{"git lfs pull"}},
		{"LFS pointer as weights", map[string][]byte{configName: config, weightsName: lfs}, "",
			[]fault.Code{fault.STLFSPointer}, []string{"git lfs pull"}},
		{"LFS pointer as configuration", map[string][]byte{configName: lfs, weightsName: weights}, "", []fault.Code{fault.STLFSPointer}, nil},
		{"large configuration", map[string][]byte{configName: make([]byte, maxConfigBytes+1), weightsName: weights}, "",
			[]fault.Code{fault.ADConfig}, []string{"1048576"}},
		{"damaged weights and configuration", map[string][]byte{configName: []byte("{"), weightsName: []byte("abc")}, "",
			[]fault.Code{fault.ADConfig, fault.STShort}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			ref := c.ref
			if !strings.Contains(ref, "://") && !strings.Contains(ref, "\x00") {
				ref = filepath.Join(folder(t, c.files), c.ref)
			}
			a, err := Open(ref)
			if a != nil {
				t.Fatal("there is an adapter")
			}
			expect(t, err, c.codes...)
			mention(t, err.Error(), c.says...)
		})
	}
}

func TestOpenFileTypes(t *testing.T) {
	weights, config := weightsFile(t, plainTensors()), configFile(t, plainConfig())
	outside := folder(t, map[string][]byte{configName: config, weightsName: weights})
	for _, c := range []struct {
		name string
		make func(path string) error
		code fault.Code // "" for accepted
	}{
		{"link out", func(p string) error { return os.Symlink(filepath.Join(outside, weightsName), p) }, fault.IOFileType},
		{"link up", func(p string) error { return os.Symlink("../"+weightsName, p) }, fault.IOFileType},
		{"link to itself", func(p string) error { return os.Symlink(weightsName, p) }, fault.IOFileType},
		{"link to nothing", func(p string) error { return os.Symlink("missing", p) }, fault.IOFileType},
		{"link inside", func(p string) error { return os.Symlink("real/"+weightsName, p) }, ""},
		{"link to a directory", func(p string) error { return os.Symlink("real", p) }, fault.IOFileType},
		{"directory", func(p string) error { return os.Mkdir(p, 0o755) }, fault.IOFileType},
		{"FIFO", func(p string) error { return syscall.Mkfifo(p, 0o644) }, fault.IOFileType},
		{"socket", func(p string) error {
			listener, err := net.Listen("unix", p)
			if err == nil {
				t.Cleanup(func() { listener.Close() })
			}
			return err
		}, fault.IOFileType},
		{"device", func(p string) error { return os.Symlink("/dev/zero", p) }, fault.IOFileType},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, err := os.MkdirTemp("", "t") // a short path: a socket's may have 108 bytes
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.RemoveAll(dir) })
			for name, content := range map[string][]byte{configName: config, "real/" + weightsName: weights} {
				path := filepath.Join(dir, name)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, content, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if err := c.make(filepath.Join(dir, weightsName)); err != nil {
				t.Skip(err)
			}
			a, err := Open(dir)
			if a != nil {
				a.Close()
			}
			if c.code == "" {
				expect(t, err)
			} else {
				expect(t, err, c.code)
			}
		})
	}
}

func TestOpenHuggingFaceCache(t *testing.T) {
	weights, config := weightsFile(t, plainTensors()), configFile(t, plainConfig())
	blob := strings.Repeat("0123456789abcdef", 4)
	cache := func(t *testing.T, target string) string {
		dir := folder(t, map[string][]byte{
			"models--o--n/snapshots/abc/" + configName: config,
			"models--o--n/blobs/" + blob:               weights,
			"models--o--n/refs/main":                   weights,
			"other":                                    weights,
		})
		snapshot := filepath.Join(dir, "models--o--n", "snapshots", "abc")
		if err := os.Symlink(target, filepath.Join(snapshot, weightsName)); err != nil {
			t.Fatal(err)
		}
		return snapshot
	}
	t.Run("blob", func(t *testing.T) { opened(t, cache(t, "../../blobs/"+blob)) })
	for name, target := range map[string]string{"elsewhere in the repository": "../../refs/main", "out of it": "../../../other"} {
		t.Run(name, func(t *testing.T) {
			_, err := Open(cache(t, target))
			expect(t, err, fault.IOFileType)
		})
	}
}

// TestLinksInACache has links that lead, by way of a second link or of a linked folder, to another revision of the same repository.
func TestLinksInACache(t *testing.T) {
	weights, config := weightsFile(t, plainTensors()), configFile(t, plainConfig())
	for _, c := range []struct {
		name  string
		links map[string]string
		code  fault.Code
	}{
		{"link to a link", map[string]string{weightsName: "hop", "hop": "../def/" + weightsName}, fault.IOFileType},
		{"linked folder", map[string]string{weightsName: "folder/" + weightsName, "folder": "../def"}, fault.IOFileType},
		{"folder of blobs", map[string]string{weightsName: "../../blobs/sub/" + strings.Repeat("0", 40)}, fault.IOFileType},
		{"link to a missing blob", map[string]string{weightsName: "../../blobs/" + strings.Repeat("1", 40)}, fault.IOFileType},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := folder(t, map[string][]byte{
				"models--o--n/snapshots/abc/" + configName:                 config,
				"models--o--n/snapshots/def/" + weightsName:                weights,
				"models--o--n/blobs/sub/" + strings.Repeat("0", 40):        weights,
				"models--o--n/blobs/" + strings.Repeat("0123456789", 4):    weights,
				"models--o--n/snapshots/abc/" + weightsName + ".unrelated": nil,
			})
			snapshot := filepath.Join(dir, "models--o--n", "snapshots", "abc")
			for name, target := range c.links {
				if err := os.Symlink(target, filepath.Join(snapshot, name)); err != nil {
					t.Fatal(err)
				}
			}
			a, err := Open(snapshot)
			if a != nil {
				a.Close()
			}
			expect(t, err, c.code)
		})
	}
}
