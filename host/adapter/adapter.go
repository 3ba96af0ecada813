// Package adapter reads LoRA adapters as other tools publish them, and resolves them against a base checkpoint. Today that is PEFT's
// directory of adapter_config.json and adapter_model.safetensors, for linear modules: alpha/r and rank-stabilized scales, rank and alpha
// patterns, and HF Conv1D weights (fan_in_fan_out). Whatever else changes the meaning of an adapter is refused by name.
//
// The order of use is Load, which gives a Binding of an adapter to a base and reports everything wrong with either in one list; Open and
// Bind are its halves, and Inspect tells what is in a file that need not be acceptable.
//
// The code follows the rules of huggingface/peft (peft/tuners/lora, peft/utils/save_and_load.py) as of version 0.20.
package adapter

import (
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/reference"
	"github.com/tenon-ml/tenon/host/safetensors"
)

// FormatPEFT is the Format of a PEFT directory.
const FormatPEFT = "peft"

// Adapter is one adapter whose own rules have been checked; its bytes are a private copy that nobody can change. The caller of Open owns
// it and closes it.
type Adapter struct {
	Ref     string            // as the user wrote it
	Dir     string            // path of the directory, as the user wrote it
	Format  string            // FormatPEFT
	Digest  [32]byte          // SHA-256 of "<hex>  adapter_config.json\n<hex>  adapter_model.safetensors\n"; zero without a configuration
	Config  Config            // what the configuration says
	Text    []byte            // the bytes of adapter_config.json; nil without one
	Pairs   []Pair            // the deltas, by Module
	Tensors []Tensor          // every tensor of the file, by name
	Weights *safetensors.File // the snapshot that the tensors' offsets refer to
	Notes   fault.List        // what a person should know; nothing here is refused

	groups   []group    // every module with a factor, by module
	problems fault.List // what Open refuses
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

// Open reads an adapter from a directory, given as a path or a file:// URL, and checks everything that can be checked without a base. It
// reads both files once; what happens to them later does not matter. The error lists all that is wrong (fault.List), and then there is no
// Adapter. Whether values are finite is not checked here: that is for a diagnostic, which can say where.
func Open(ref string) (*Adapter, error) {
	a, err := read(ref)
	if err != nil {
		return nil, err
	}
	if err := a.problems.Err(); err != nil {
		a.Close()
		return nil, err
	}
	return a, nil
}

// Close releases the weights. It may be called again.
func (a *Adapter) Close() error { return a.Weights.Close() }

// Share is the same adapter with a file of its own, to be closed by somebody else.
func (a *Adapter) Share() (*Adapter, error) {
	weights, err := a.Weights.Share()
	if err != nil {
		return nil, err
	}
	shared := *a
	shared.Weights = weights
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

// read is Open that keeps an adapter with problems. It fails where nothing can be known of the tensors; then its error lists the
// configuration's problems too.
func read(ref string) (*Adapter, error) {
	found, err := reference.Open(ref, subject)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	d := directory{found}
	a := &Adapter{Ref: ref, Dir: d.Path, Format: FormatPEFT}
	notes, refused := d.findWeights()
	if refused != nil && refused.Code == fault.IONotFound {
		return nil, refused
	}
	a.Notes = notes
	text, configErr := d.readConfig()
	if configErr != nil {
		a.problems = append(a.problems, fault.All(configErr)...)
	} else {
		var problems, configNotes fault.List
		a.Config, problems, configNotes = ParseConfig(d.Name(configName), text)
		a.problems = append(a.problems, problems...)
		a.Notes = append(a.Notes, configNotes...)
	}
	if refused == nil {
		a.Weights, err = d.snapshot()
	} else {
		err = refused
	}
	if err != nil {
		a.problems = append(a.problems, fault.All(err)...)
		return nil, a.problems.Err()
	}
	if configErr == nil {
		a.Text = text
		a.Digest = digest(sha256.Sum256(text), a.Weights.SHA256())
	}
	a.check(configErr == nil)
	return a, nil
}

// configFile is what the configuration is called in messages.
func (a *Adapter) configFile() string { return filepath.Join(a.Dir, configName) }

// digest names an adapter by the bytes of its two files.
func digest(config, weights [32]byte) [32]byte {
	return sha256.Sum256(fmt.Appendf(nil, "%x  %s\n%x  %s\n", config, configName, weights, weightsName))
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
