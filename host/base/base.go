// Package base opens base checkpoints: a Hugging Face directory with a config.json and safetensors weights, in one file or in shards with
// an index, or one GGUF file. A base is named by the digest of its bytes. Any architecture opens, so that adapters can be checked against it and merged into
// it; what Servable accepts can also be generated with.
package base

import (
	"errors"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/reference"
	"github.com/tenon-ml/tenon/host/safetensors"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// File is a file of the base's directory with the digest of the bytes that Open read.
type File struct {
	Path   string // absolute
	Name   string // inside the directory, slash-separated
	Size   int64  // bytes
	SHA256 [32]byte
}

// Shard is one open file of weights. The fields are those of File.
type Shard struct {
	*safetensors.File
	Path   string
	Name   string
	Size   int64
	SHA256 [32]byte

	opened fs.FileInfo // before the header was read
}

// Tensor is one stored tensor; Ref.File indexes Base.Shards and Ref.Offset is absolute in that shard.
type Tensor struct {
	tensor.Ref
}

// Base is an open base checkpoint. It is safe for concurrent use, except that Close must come last. The weights' bytes are never held in
// memory: read them through Reader, which gives an error, and no fault, when a file has shrunk.
type Base struct {
	Ref     string   // as the user wrote it
	Dir     string   // absolute, without symbolic links
	Digest  [32]byte // of config.json, the shard index and the shards; see identity.go
	Config  Config
	Shards  []Shard  // by name
	Files   []File   // what a merged directory carries over besides the shards, config.json and the index included; by name
	Tensors []Tensor // by name

	shown    string         // what messages call the directory, or the GGUF file
	index    map[string]int // name to place in Tensors
	servable func() error   // Servable's answer, computed once
	oneFile  *oneFile       // of a base that is one GGUF file: there are neither Shards nor Files; nil otherwise
}

var _ io.Closer = (*Base)(nil)

// Open opens the base a reference names: the path of a directory or of a GGUF file, or a file:// URL of one. It reads every byte once, for the digests, and
// returns every fault it finds together, as a fault.List.
func Open(ref string) (*Base, error) { return openWith(ref, memory{}) }

// OpenCached is Open, except that large files that have not changed since they were last hashed are not hashed again: cacheDir remembers
// their digests.
func OpenCached(ref, cacheDir string) (*Base, error) { return openWith(ref, newMemory(cacheDir)) }

func openWith(ref string, memory memory) (*Base, error) {
	found, file, path, err := reference.Find(ref, subject)
	if err != nil {
		return nil, err
	}
	if file != nil {
		return openSingle(ref, path, file, memory)
	}
	defer found.Close()
	d := directory{found}
	b := &Base{Ref: ref, Dir: d.Real, shown: d.Path}
	if err := b.read(d, memory); err != nil {
		b.Close() // the reason why it did not open is all that matters
		return nil, err
	}
	b.servable = sync.OnceValue(b.findUnservable)
	return b, nil
}

// read fills b from its directory. On an error the shards opened so far are in b, for Close.
func (b *Base) read(d directory, memory memory) error {
	c, err := d.findCheckpoint()
	if err != nil {
		return err
	}
	documents, err := b.readConfig(d)
	if err = join(err, b.openShards(d, c)); err != nil {
		return err
	}
	if err := b.collectTensors(c); err != nil {
		return err
	}
	if c.index != nil {
		documents = append(documents, c.index)
	}
	return b.identify(d, documents, memory)
}

// readConfig reads config.json and generation_config.json and returns those there are.
func (b *Base) readConfig(d directory) (documents []*document, err error) {
	config, err := d.read(configName, maxConfigBytes)
	if err != nil {
		return nil, err
	}
	documents = append(documents, config)
	var generation *document
	if d.Has(generationName) {
		if generation, err = d.read(generationName, maxConfigBytes); err != nil {
			return nil, err
		}
		documents = append(documents, generation)
	}
	if b.Config, err = parseConfig(config, generation); err != nil {
		return nil, err
	}
	return documents, d.checkQuantized(b.Config)
}

// Close closes the weights. Closing again does nothing.
func (b *Base) Close() error {
	if b.oneFile != nil {
		return b.oneFile.close()
	}
	var errs []error
	for _, s := range b.Shards {
		errs = append(errs, s.File.Close())
	}
	return errors.Join(errs...)
}

// Tensor returns the tensor of that name.
func (b *Base) Tensor(name string) (Tensor, bool) {
	i, ok := b.index[name]
	if !ok {
		return Tensor{}, false
	}
	return b.Tensors[i], true
}

// Reader reads the file a tensor lies in, by absolute offsets. What a GGUF file stores quantised it decodes on the way.
func (b *Base) Reader(t Tensor) io.ReaderAt {
	if b.oneFile != nil {
		return b.oneFile.reader(t.Offset)
	}
	return b.Shards[t.File].File
}

// FileName is what messages call the file that a tensor lies in.
func (b *Base) FileName(t Tensor) string {
	if b.oneFile != nil {
		return b.oneFile.file.Name()
	}
	return b.Shards[t.File].File.Name()
}

// Read returns a copy of a tensor's bytes.
func (b *Base) Read(t Tensor) ([]byte, error) {
	if b.oneFile != nil {
		return b.oneFile.read(t)
	}
	return b.Shards[t.File].Read(safetensors.Tensor{Ref: t.Ref})
}

// Parameters is the number of stored elements, each tensor counted once.
func (b *Base) Parameters() int64 {
	n := int64(0)
	for _, t := range b.Tensors {
		n += int64(t.Elements())
	}
	return n
}

// DType is the dtype of most of the stored bytes.
func (b *Base) DType() tensor.DType {
	var bytes [tensor.F6E3M2 + 1]int64
	for _, t := range b.Tensors {
		bytes[t.DType] += t.Length
	}
	most := tensor.Invalid
	for d, n := range bytes {
		if n > bytes[most] {
			most = tensor.DType(d)
		}
	}
	return most
}

// Modules are the names of the modules that own a weight, ascending: the names of tensors without their last part ".weight".
func (b *Base) Modules() []string {
	var names []string
	for _, t := range b.Tensors {
		if module, ok := strings.CutSuffix(t.Name, ".weight"); ok {
			names = append(names, module)
		}
	}
	slices.Sort(names)
	return names
}

// join makes one list of faults from errors that hold some, and leaves other errors alone.
func join(errs ...error) error {
	var list fault.List
	for _, err := range errs {
		if err == nil {
			continue
		}
		found := fault.All(err)
		if len(found) == 0 {
			return errors.Join(errs...)
		}
		list = append(list, found...)
	}
	return list.Err()
}
