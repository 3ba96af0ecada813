// Package adapter reads LoRA adapters as other tools publish them, and resolves them against a base checkpoint: PEFT's directory of
// adapter_config.json and adapter_model.safetensors, the single safetensors files of Kohya's scripts, LyCORIS and diffusers, llama.cpp's GGUF
// files, and any of these in a compressed bundle. What a file is, its content says and not its name. Whatever changes the meaning of an adapter
// in a way that is not computed here is refused by name.
//
// The order of use is Load, which gives a Binding of an adapter to a base and reports everything wrong with either in one list; Open and
// Bind are its halves, and Inspect tells what is in a file that need not be acceptable.
//
// The code follows the rules of huggingface/peft (peft/tuners/lora, peft/utils/save_and_load.py) as of version 0.20.
package adapter

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/safetensors"
)

// The Formats of adapters.
const (
	FormatPEFT  = "peft"  // a directory of adapter_config.json and adapter_model.safetensors
	FormatKohya = "kohya" // one safetensors file in the naming of Kohya's scripts, LyCORIS or diffusers
	FormatGGUF  = "gguf"  // one GGUF file of llama.cpp
)

// Adapter is one adapter whose own rules have been checked; its bytes are a private copy that nobody can change. The caller of Open owns
// it and closes it.
type Adapter struct {
	Ref     string            // as the user wrote it
	Dir     string            // path of the directory, the file or the folder of a bundle, for people
	Format  string            // FormatPEFT, FormatKohya or FormatGGUF
	Digest  [32]byte          // identity: SHA-256 of a line "<hex>  <name>\n" for each of Files; zero for PEFT without a configuration
	Files   []File            // the originals by name; what a store keeps, and what Open reads back as the same adapter
	Config  Config            // what the configuration says
	Text    []byte            // the bytes of adapter_config.json; nil without one
	Pairs   []Pair            // the deltas, by Module
	Tensors []Tensor          // every tensor of the file, by name
	Weights *safetensors.File // the snapshot that the tensors' offsets refer to
	Notes   fault.List        // what a person should know; nothing here is refused

	reader       formatReader  // how it is bound; nil for PEFT
	original     *os.File      // the private copy of a file whose tensors lie elsewhere; nil where Weights is the original
	groups       []group       // every module with a factor, by module
	replacements []replacement // every tensor that stands in place of values of the base, by what it replaces
	problems     fault.List    // what Open refuses
}

// File is one of the files an adapter was read from, as it was read: Data are private bytes that live as long as the Adapter.
type File struct {
	Name   string // by which the identity knows it, whatever it was called
	Data   io.ReaderAt
	Size   int64
	SHA256 [32]byte
}

// formatReader is what a format other than PEFT makes of an adapter. Both methods are held to what Bind and Unbound promise: the Binding
// comes with its Coverage even where there is an error, and what the reading has found wrong (Adapter.problems) is in that error.
type formatReader interface {
	bind(a *Adapter, b *base.Base) (*Binding, error)
	unbound(a *Adapter) (*Binding, error)
}

// Pair is the two factors of one module: delta W = Scale * B A.
type Pair struct {
	Module string             // path in the Hugging Face module tree, without prefix
	A      safetensors.Tensor // Rank x in
	B      safetensors.Tensor // out x Rank
	Rank   int
	Alpha  float64
	Scale  float64 // Alpha/Rank, or Alpha/sqrt(Rank) with rank-stabilized LoRA
}

// Tensor is one tensor of the file and what its name says.
type Tensor struct {
	safetensors.Tensor
	Key     Key
	Refused fault.Code // "" when nothing is wrong with this tensor
}

// Close releases the weights. It may be called again.
func (a *Adapter) Close() error {
	if a.original != nil {
		_ = a.original.Close()
	}
	return a.Weights.Close()
}

// Share is the same adapter with a file of its own, to be closed by somebody else.
func (a *Adapter) Share() (*Adapter, error) {
	weights, err := a.Weights.Share()
	if err != nil {
		return nil, err
	}
	shared := *a
	shared.Weights, shared.Files = weights, slices.Clone(a.Files)
	if a.original != nil {
		if shared.original, err = safetensors.ShareDescriptor(a.original); err != nil {
			return nil, errors.Join(err, weights.Close())
		}
	}
	for i, f := range a.Files {
		switch f.Data {
		case a.Weights:
			shared.Files[i].Data = shared.Weights
		case a.original:
			shared.Files[i].Data = shared.original
		}
	}
	return &shared, nil
}

// Parameters is the number of elements stored in all tensors of the file.
func (a *Adapter) Parameters() int64 {
	var n int64
	for _, t := range a.Tensors {
		n += int64(t.Elements())
	}
	return n
}

// Ranks returns the distinct ranks of the pairs, ascending.
func (a *Adapter) Ranks() []int {
	return distinct(a.Pairs, func(p Pair) int { return p.Rank })
}

// Scales returns the distinct scales of the pairs, ascending.
func (a *Adapter) Scales() []float64 {
	return distinct(a.Pairs, func(p Pair) float64 { return p.Scale })
}

func distinct[T int | float64](pairs []Pair, value func(Pair) T) []T {
	all := make([]T, len(pairs))
	for i, p := range pairs {
		all[i] = value(p)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// configFile is what the configuration is called in messages.
func (a *Adapter) configFile() string { return filepath.Join(a.Dir, configName) }

// identity names an adapter by the bytes of its files.
func identity(files []File) [32]byte {
	hash := sha256.New()
	for _, f := range files {
		fmt.Fprintf(hash, "%x  %s\n", f.SHA256, f.Name)
	}
	return [32]byte(hash.Sum(nil))
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
