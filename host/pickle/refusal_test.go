package pickle

import (
	"archive/zip"
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/host/fault"
)

// packed is an archive as torch.save writes it, of a pickle and of storages.
func packed(t testing.TB, text string, storages map[string]string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	add := func(name, content string) {
		f, err := w.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
		if err == nil {
			_, err = f.Write([]byte(content))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	add("x/data.pkl", text)
	for _, key := range slices.Sorted(maps.Keys(storages)) {
		add("x/"+key, storages[key])
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// Parts of pickles, in the opcodes that torch.save writes.
const (
	proto   = "\x80\x02"
	odict   = "ccollections\nOrderedDict\n)R"
	storage = "((X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x06tQ" // 6 elements of storage 0, after a mark
	view    = "ctorch._utils\n_rebuild_tensor_v2\n" + storage
	name    = "X\x01\x00\x00\x00w"
	end     = "s."
)

func TestReadRefuses(t *testing.T) {
	six := map[string]string{"data/0": strings.Repeat("\x00", 24)}
	of := func(tensor string) string { return proto + "}" + name + tensor + end }
	tensor := of(view + "K\x00K\x02K\x03\x86K\x03K\x01\x86\x89" + odict + "tR")
	small := DefaultLimits
	small.PickleBytes, small.Values, small.Stack, small.Tensors, small.Bytes = 1<<16, 1000, 100, 2, 1<<20
	for _, c := range []struct {
		name string
		text string
		with map[string]string
		code fault.Code
		says string
	}{
		{"right", tensor, six, "", ""},
		{"runs a command", proto + "cos\nsystem\nX\x02\x00\x00\x00ls\x85R.", six, fault.ADPickle, `"os.system"`},
		{"names a command and does not run it", proto + "cos\nsystem\n0" + tensor[2:], six, fault.ADPickle, "os.system"},
		{"a command by the stack", proto + "\x8c\x05posix\x8c\x06system\x93.", six, fault.ADPickle, "posix.system"},
		{"a method of the allowed", proto + "ccollections\nOrderedDict.__init__\n.", six, fault.ADPickle, "OrderedDict.__init__"},
		{"a module of the allowed", proto + "ctorch\nload\n.", six, fault.ADPickle, "torch.load"},
		{"an opcode of old", proto + "i__builtin__\neval\n.", six, fault.ADPickle, "0x69"},
		{"NEWOBJ", proto + odict + ")\x81.", six, fault.ADPickle, "0x81"},
		{"a call of a storage class", proto + "ctorch\nFloatStorage\n)R.", six, fault.ADPickle, "is called"},
		{"a call of a text", proto + "X\x01\x00\x00\x00w)R.", six, fault.ADPickle, "no function"},
		{"attributes of a tensor", of(view + "K\x00K\x02K\x03\x86K\x03K\x01\x86\x89" + odict + "tR}b"), six, fault.ADPickle, "attributes"},
		{"attributes of a dict", proto + odict + "}X\x09\x00\x00\x00__class__K\x01sb.", six, fault.ADPickle, "_metadata"},
		{"no value", proto + ".", six, fault.ADPickle, "0 values"},
		{"two values", proto + "NN.", six, fault.ADPickle, "2 values"},
		{"cut", tensor[:len(tensor)-5], six, fault.ADPickle, ""},
		{"something after the end", tensor + "x", six, fault.ADPickle, "follow"},
		{"string longer than the file", proto + "X\xff\xff\xff\x7fw.", six, fault.ADPickle, "ends within"},
		{"string of 2^64-1 bytes", proto + "\x8d\xff\xff\xff\xff\xff\xff\xff\xffw.", six, fault.ADPickle, "ends within"},
		{"empty stack", proto + "0.", six, fault.ADPickle, "empty"},
		{"no mark", proto + "K\x01t.", six, fault.ADPickle, "no mark"},
		{"memo of nothing", proto + "h\x07.", six, fault.ADPickle, "memo"},
		{"memo of a mark", proto + "(q\x00h\x00.", six, fault.ADPickle, "mark"},
		{"deep stack", proto + strings.Repeat("N", 200) + ".", six, fault.ADPickle, "more values"},
		{"many values", proto + strings.Repeat("N0", 2000) + ".", six, fault.ADPickle, "more values"},
		{"many marks", proto + strings.Repeat("(", 200) + ".", six, fault.ADPickle, "more values"},
		{"large pickle", proto + strings.Repeat("N0", 1<<16) + ".", six, fault.STTooLarge, "65536"},
		{"not a dict", proto + "K\x01.", six, fault.ADPickle, "a number"},
		{"a list of itself", proto + "]q\x00h\x00a.", six, fault.ADPickle, "a list"},
		{"key that is no name", proto + "}K\x01K\x01s.", six, fault.ADPickle, "not a name"},
		{"the same name twice", proto + "}" + strings.Repeat(name+view+"K\x00K\x02K\x03\x86K\x03K\x01\x86\x89"+odict+"tRs", 2) + ".", six, fault.STDup, ""},
		{"three tensors", proto + "}" + strings.Repeat(name+"Ns", 3) + ".", six, fault.STTooMany, ""},
		{"past the storage", of(view + "K\x00K\x02K\x04\x86K\x04K\x01\x86\x89" + odict + "tR"), six, fault.ADPickle, "element 7 of a storage of 6"},
		{"offset past the storage", of(view + "K\x01K\x02K\x03\x86K\x03K\x01\x86\x89" + odict + "tR"), six, fault.ADPickle, "element 6"},
		{"negative offset", of(view + "J\xff\xff\xff\xffK\x02K\x03\x86K\x03K\x01\x86\x89" + odict + "tR"), six, fault.ADPickle, "not described"},
		{"negative stride", of(view + "K\x00K\x02K\x03\x86J\xff\xff\xff\xffK\x01\x86\x89" + odict + "tR"), six, fault.ADPickle, "not described"},
		{"shape that overflows", of(view + "K\x00" + strings.Repeat("J\xff\xff\xff\x7f", 3) + "\x87K\x00K\x00K\x00\x87\x89" + odict + "tR"), six, fault.ADPickle, "more elements"},
		{"stride that overflows", of(view + "K\x00K\x03K\x03\x86\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7fK\x01\x86\x89" + odict + "tR"), six, fault.ADPickle, "reaches element"},
		{"repeated without end", of(view + "K\x00J\x00\x00\x00\x40\x85K\x00\x85\x89" + odict + "tR"), six, fault.STTooLarge, "1048576"},
		{"other strides than sizes", of(view + "K\x00K\x02K\x03\x86K\x01\x85\x89" + odict + "tR"), six, fault.ADPickle, "not described"},
		{"a conjugate view", of(view + "K\x00K\x02K\x03\x86K\x03K\x01\x86\x89" + odict + "}X\x04\x00\x00\x00conj\x88stR"), six, fault.ADPickle, "metadata"},
		{"hooks", of(view + "K\x00K\x02K\x03\x86K\x03K\x01\x86\x89}K\x01K\x01stR"), six, fault.ADPickle, "hooks"},
		{"no such storage", tensor, map[string]string{"data/1": ""}, fault.ADArchive, "does not have the storage"},
		{"a smaller storage", tensor, map[string]string{"data/0": "abc"}, fault.STSize, "3 bytes"},
		{"big-endian", tensor, map[string]string{"data/0": six["data/0"], "byteorder": "big"}, fault.ADDType, "byte order"},
		{"TorchScript", tensor, map[string]string{"data/0": six["data/0"], "code/x.py": "pass"}, fault.ADPickle, "TorchScript"},
		{"an integer of 9 bytes", proto + "\x8a\x09123456789.", six, fault.ADPickle, "9 bytes"},
		{"protocol 0", "(lp0\n.", six, fault.ADPickle, "0x6c"},
	} {
		t.Run(c.name, func(t *testing.T) {
			data := packed(t, c.text, c.with)
			checkpoint, err := Read("f", bytes.NewReader(data), int64(len(data)), small)
			if err == nil {
				checkpoint.Close()
			}
			if c.code != "" {
				wantFault(t, err, c.code, c.says)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

// TestChecksums holds that the bytes of a storage are compared with their checksum before anything is made of them.
func TestChecksums(t *testing.T) {
	for _, file := range []string{"module.bin", "deflated.bin"} {
		data, err := os.ReadFile(filepath.Join("testdata", file))
		if err != nil {
			t.Fatal(err)
		}
		z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range z.File {
			if strings.HasSuffix(f.Name, "data/0") {
				offset, err := f.DataOffset()
				if err != nil {
					t.Fatal(err)
				}
				data[offset+1] ^= 4
			}
		}
		in := filepath.Join(t.TempDir(), file)
		if err := os.WriteFile(in, data, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err = Convert(in, filepath.Join(t.TempDir(), "out.safetensors"))
		wantFault(t, err, fault.ADArchive, "damaged")
	}
}

// FuzzPickle holds that a pickle is refused by a fault or gives tensors whose elements can be written.
func FuzzPickle(f *testing.F) {
	for _, file := range []string{"module.bin", "protocol4.bin"} {
		z, err := zip.OpenReader(filepath.Join("testdata", file))
		if err != nil {
			f.Fatal(err)
		}
		for _, member := range z.File {
			if strings.HasSuffix(member.Name, pickleName) {
				r, err := member.Open()
				var text bytes.Buffer
				if err == nil {
					_, err = text.ReadFrom(r)
				}
				if err != nil {
					f.Fatal(err)
				}
				f.Add(text.Bytes())
			}
		}
		z.Close()
	}
	f.Add([]byte(proto + "}" + name + view + "K\x00K\x02K\x03\x86K\x03K\x01\x86\x89" + odict + "tRs."))
	limits := Limits{PickleBytes: 1 << 16, Values: 1 << 14, Stack: 1 << 12, Tensors: 100, Bytes: 1 << 16, Entries: 10}
	f.Fuzz(func(t *testing.T, text []byte) {
		data := packed(t, string(text), map[string]string{"data/0": strings.Repeat("\x00", 24), "data/1": strings.Repeat("\x00", 8)})
		c, err := Read("f", bytes.NewReader(data), int64(len(data)), limits)
		if err != nil {
			if len(fault.All(err)) == 0 {
				t.Errorf("no fault: %v", err)
			}
			return
		}
		defer c.Close()
		for _, tensor := range c.Tensors {
			var out bytes.Buffer
			if err := c.WriteTo(&out, tensor); err != nil {
				t.Error(err)
			}
			if want := tensor.view.count() * int64(tensor.DType.Size()); int64(out.Len()) != want {
				t.Errorf("%d bytes, want %d", out.Len(), want)
			}
		}
	})
}
