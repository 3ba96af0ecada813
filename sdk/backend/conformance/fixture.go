package conformance

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"

	"google.golang.org/protobuf/proto"

	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// shelf writes tensors into files of no particular format: backends are told where everything lies. Junk before, between and after the
// tensors shows who reads what he was not told to.
type shelf struct {
	t       T
	random  *rand.Rand
	dir     string
	files   [][]byte
	tensors []*backendpb.Tensor
	values  map[string][]float32 // what the stored bytes widen to
}

func newShelf(t T, seed uint64) *shelf {
	return &shelf{t: t, random: rand.New(rand.NewPCG(seed, 0)), dir: t.TempDir(), values: map[string][]float32{}}
}

// numbers are n normal numbers times size.
func (s *shelf) numbers(n int, size float64) []float32 {
	out := make([]float32, n)
	for i := range out {
		out[i] = float32(s.random.NormFloat64() * size)
	}
	return out
}

// spread are n normal numbers of magnitudes so far apart that their sum depends on the order in which it is taken, in f64 too.
func (s *shelf) spread(n int, dtype tensor.DType) []float32 {
	out, powers := s.numbers(n, 1), 61
	if dtype == tensor.F16 {
		powers = 21 // all it has room for: the order cannot be told from these
	}
	for i, v := range out {
		out[i] = float32(math.Ldexp(float64(v), i*7%powers-powers/2))
	}
	return out
}

// add stores a tensor in a file and returns its row.
func (s *shelf) add(file int, name string, dtype tensor.DType, shape []int64, values []float32) *backendpb.Tensor {
	for len(s.files) <= file {
		s.files = append(s.files, []byte("no format at all"))
	}
	bytes := encode(values, dtype)
	row := &backendpb.Tensor{
		Name: name, Dtype: dtype.String(), Shape: shape, File: int32(file), Offset: int64(len(s.files[file])), Length: int64(len(bytes)),
	}
	s.files[file] = append(append(s.files[file], bytes...), 0xff, 0xff, 0xff)
	s.tensors = append(s.tensors, row)
	s.values[name] = decode(bytes, dtype)
	return row
}

// bytes are a tensor's as stored.
func (s *shelf) bytes(t *backendpb.Tensor) []byte {
	return s.files[t.File][t.Offset : t.Offset+t.Length]
}

// write puts the files on disk and returns their rows.
func (s *shelf) write() []*backendpb.File {
	s.t.Helper()
	var rows []*backendpb.File
	for i, bytes := range s.files {
		path := filepath.Join(s.dir, strconv.Itoa(i))
		if err := os.WriteFile(path, bytes, 0o600); err != nil {
			s.t.Fatalf("%v", err)
		}
		sum := sha256.Sum256(bytes)
		rows = append(rows, &backendpb.File{Path: path, Size: int64(len(bytes)), Sha256: sum[:]})
	}
	return rows
}

// digest is a made-up name for a base or a generation.
func digest(name string) []byte {
	sum := sha256.Sum256([]byte(name))
	return sum[:]
}

// Base is a base on disk.
type Base struct {
	*shelf
	digest []byte
	files  []*backendpb.File
	config *backendpb.ModelConfig
}

// Request loads it.
func (b *Base) Request() *backendpb.LoadBaseRequest {
	return &backendpb.LoadBaseRequest{Digest: b.digest, Files: b.files, Tensors: b.tensors, Config: b.config}
}

func (b *Base) tensor(name string) *backendpb.Tensor {
	for _, t := range b.tensors {
		if t.Name == name {
			return t
		}
	}
	b.t.Fatalf("no tensor %q in the fixture", name)
	return nil
}

// plainBase has every dtype that the backend merges, in two files, a vector, which cannot be merged, and a matrix of a dtype that the backend
// does not merge.
func (k *kit) plainBase(t T) *Base {
	s := newShelf(t, 1)
	s.add(0, "first", k.dtype(tensor.BF16), []int64{24, 40}, s.numbers(24*40, 0.3))
	s.add(1, "second", k.dtype(tensor.F16), []int64{17, 33}, s.numbers(17*33, 0.3))
	s.add(0, "third", k.dtype(tensor.F32), []int64{9, 21}, s.numbers(9*21, 0.3))
	s.add(1, "conv1d", k.dtype(tensor.BF16), []int64{12, 20}, s.numbers(12*20, 0.3))
	s.add(1, "untouched", k.dtype(tensor.BF16), []int64{5, 5}, s.numbers(25, 0.3))
	s.add(0, "vector", k.dtype(tensor.F32), []int64{7}, s.numbers(7, 1))
	s.add(0, "spread", k.dtype(tensor.F32), []int64{6, 53}, s.spread(6*53, k.dtype(tensor.F32)))
	s.add(1, "foreign", k.foreign(), []int64{4, 6}, s.numbers(24, 1))
	return &Base{shelf: s, digest: digest("plain"), files: s.write()}
}

// overflowing is an adapter whose second patch makes entries that its dtype cannot hold.
func (k *kit) overflowing(t T, b *Base) *Adapter {
	size := 3000.0 // beyond F16, once squared
	if k.dtype(tensor.F16) != tensor.F16 {
		size = 1e25 // beyond f32
	}
	return newAdapter(t, b, "overflow", 3, target{"first", 2, tensor.F32, 1, false, 0.1}, target{"second", 2, tensor.F32, 1, false, size})
}

// Adapter is factors on disk and the patches they make.
type Adapter struct {
	*shelf
	base    *Base
	name    string
	files   []*backendpb.File
	patches []*backendpb.Patch
}

// target is one weight to adapt.
type target struct {
	name         string
	rank         int
	dtype        tensor.DType // of the factors
	scale        float64
	fanInFanOut  bool
	factorNumber float64 // size of the factors' numbers
}

func newAdapter(t T, b *Base, name string, seed uint64, targets ...target) *Adapter {
	a := &Adapter{shelf: newShelf(t, seed), base: b, name: name}
	for _, x := range targets {
		shape := b.tensor(x.name).Shape
		out, in, rank := shape[0], shape[1], int64(x.rank)
		if x.fanInFanOut {
			out, in = in, out
		}
		a.patches = append(a.patches, &backendpb.Patch{
			Tensor: x.name, Scale: x.scale, FanInFanOut: x.fanInFanOut,
			A: a.add(0, x.name+".A", x.dtype, []int64{rank, in}, a.numbers(int(rank*in), x.factorNumber)),
			B: a.add(0, x.name+".B", x.dtype, []int64{out, rank}, a.numbers(int(out*rank), x.factorNumber)),
		})
	}
	a.files = a.write()
	return a
}

func (k *kit) plainAdapter(t T, b *Base) *Adapter {
	return newAdapter(t, b, "adapter", 2,
		target{"first", 4, tensor.F32, 2, false, 0.2},
		target{"second", 3, tensor.BF16, 0.7, false, 0.2},
		target{"conv1d", 5, tensor.F16, 1.5, true, 0.2},
		target{"third", 1, tensor.F32, -0.1, false, 0.2},
		target{"spread", 2, tensor.F32, 1, false, 0.2})
}

func (a *Adapter) generation() []byte { return digest(a.name) }

// request stages it. The result is the caller's to change.
func (a *Adapter) request() *backendpb.StageRequest {
	return proto.CloneOf(&backendpb.StageRequest{Generation: a.generation(), Base: a.base.digest, Files: a.files, Patches: a.patches})
}

func encode(values []float32, dtype tensor.DType) []byte {
	out := make([]byte, 0, len(values)*dtype.Size())
	for _, v := range values {
		switch dtype {
		case tensor.BF16:
			out = binary.LittleEndian.AppendUint16(out, tensor.F32ToBF16(v))
		case tensor.F16:
			out = binary.LittleEndian.AppendUint16(out, tensor.F32ToF16(v))
		case tensor.F64:
			out = binary.LittleEndian.AppendUint64(out, math.Float64bits(float64(v)))
		default:
			out = binary.LittleEndian.AppendUint32(out, math.Float32bits(v))
		}
	}
	return out
}

func decode(bytes []byte, dtype tensor.DType) []float32 {
	out := make([]float32, len(bytes)/dtype.Size())
	if err := tensor.ToF32(out, bytes, dtype); err != nil {
		panic(err)
	}
	return out
}
