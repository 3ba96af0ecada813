package adapter

import (
	"slices"

	"github.com/tenon-ml/tenon/host/fault"
)

// Inspection is what can be said about an adapter without a base, whether or not Tenon would merge it.
type Inspection struct {
	Ref        string
	Dir        string
	Format     string
	Digest     [32]byte // as of Adapter; zero without a configuration
	Config     Config
	Metadata   map[string]string // of the weights file
	Tensors    []Tensor          // every tensor of the file, by name
	Pairs      []Pair            // the factors that go together, by module
	Ranks      []int             // distinct, ascending, as the factors' shapes give them
	Scales     []float64         // distinct, ascending; 0 where the configuration gives no alpha
	Parameters int64             // elements of all tensors
	Notes      fault.List
	Problems   fault.List // everything that Open would refuse, sorted; empty when it would not
}

// Inspect reads as much of an adapter as can be read. It fails only where the tensors cannot be known: a missing file, a Git LFS pointer, a
// pickle, a damaged file. What Open would refuse besides is in Problems.
func Inspect(ref string) (*Inspection, error) {
	a, err := read(ref)
	if err != nil {
		return nil, err
	}
	defer a.Close()
	ranks, scales := a.Ranks(), a.Scales()
	for i := range a.groups { // those of experts are in no Pair
		if g := &a.groups[i]; g.paired && g.leaves != nil {
			ranks, scales = append(ranks, g.factors.Rank), append(scales, g.factors.Scale)
		}
	}
	slices.Sort(ranks)
	slices.Sort(scales)
	return &Inspection{
		Ref:        a.Ref,
		Dir:        a.Dir,
		Format:     a.Format,
		Digest:     a.Digest,
		Config:     a.Config,
		Metadata:   a.Weights.Metadata,
		Tensors:    a.Tensors,
		Pairs:      a.Pairs,
		Ranks:      slices.Compact(ranks),
		Scales:     slices.Compact(scales),
		Parameters: a.Parameters(),
		Notes:      a.Notes,
		Problems:   fault.All(a.problems.Err()),
	}, nil
}
