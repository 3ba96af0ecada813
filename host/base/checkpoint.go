package base

import (
	"cmp"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/reference"
	"github.com/tenon-ml/tenon/host/safetensors"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// maxFaults bounds the list for one index: beyond it, more of the same tells nobody anything.
const maxFaults = 100

// checkpoint is which files hold the weights.
type checkpoint struct {
	shards []string          // ascending
	index  *document         // nil for a single file
	owner  map[string]string // tensor to shard, as the index says; nil for a single file
}

// findCheckpoint decides which files hold the weights, from the names alone, and reads the index where there is one.
func (d directory) findCheckpoint() (checkpoint, error) {
	whole, list := d.weightsNames()
	single, indexed := d.Has(whole), d.Has(list)
	switch {
	case !single && !indexed:
		return checkpoint{}, d.noWeights()
	case !d.Has(configName):
		return checkpoint{}, fault.New(fault.BSConfig, "there are weights, but no %s", configName).In(d.Name(configName)).
			Fix("put the config.json of the model beside its weights")
	case !indexed:
		return checkpoint{shards: []string{whole}}, nil
	}
	doc, err := d.read(list, maxIndexBytes)
	if err != nil {
		return checkpoint{}, err
	}
	c, err := parseIndex(doc, d.Has)
	if err == nil && single && !slices.Equal(c.shards, []string{whole}) {
		return checkpoint{}, fault.New(fault.BSIndex, "the directory holds both %s and an index of other shards", whole).
			In(d.Name(list)).Fix("remove the checkpoint that is not wanted")
	}
	return c, err
}

// shardName is how the members of a sharded checkpoint are named.
var shardName = regexp.MustCompile(`^model-\d+-of-\d+\.safetensors$`)

// noWeights says what the directory holds in place of weights.
func (d directory) noWeights() error {
	var pickle, gguf, other, shard string
	for _, name := range d.Entries {
		switch {
		case shardName.MatchString(name):
			shard = cmp.Or(shard, name)
		case strings.HasSuffix(name, ".safetensors"):
			other = cmp.Or(other, name)
		case strings.HasSuffix(name, ".gguf"):
			gguf = cmp.Or(gguf, name)
		case isPickleName(name):
			pickle = cmp.Or(pickle, name)
		}
	}
	switch {
	case d.Has("adapter_config.json"):
		return fault.New(fault.BSConfig, "this is the directory of an adapter, not of a base model").In(d.Path).
			Fix("give the directory of the model that the adapter was trained on")
	case shard != "":
		return fault.New(fault.BSIndex, "there are shards, such as %s, but no %s", shard, indexName).In(d.Name(indexName)).
			Fix("download or save the index with the shards")
	case gguf != "":
		return ggufFault(d.Name(gguf))
	case pickle != "":
		return pickleFault(d.Name(pickle))
	case other != "":
		return fault.New(fault.BSConfig, "the weights are in a file that is not named %s", singleName).In(d.Name(other)).
			Fix("give a model as transformers saves it; if this is one, name the file %s", singleName)
	case d.Has(configName):
		return fault.New(fault.IONotFound, "there is a %s, but neither %s nor %s", configName, singleName, indexName).In(d.Path).
			Fix("download the weights, or give the directory that holds them")
	}
	return fault.New(fault.IONotFound, "there is neither %s nor %s nor %s", configName, singleName, indexName).In(d.Path).
		Fix("give the directory of a Hugging Face model")
}

// parseIndex reads model.safetensors.index.json: which tensor lies in which shard. has tells whether the directory has a file.
func parseIndex(doc *document, has func(file string) bool) (checkpoint, error) {
	var index struct {
		WeightMap map[string]string `json:"weight_map"`
	}
	if err := json.Unmarshal(doc.text, &index); err != nil {
		return checkpoint{}, jsonFault(fault.BSIndex, doc, err)
	}
	if len(index.WeightMap) == 0 {
		return checkpoint{}, fault.New(fault.BSIndex, "the index names no tensor").In(doc.shown).At("/weight_map").
			Fix("download or save the index again")
	}
	var faults fault.List
	shards := map[string]bool{}
	for _, name := range sortedKeys(index.WeightMap) {
		shard := index.WeightMap[name]
		if shards[shard] || len(faults) >= maxFaults {
			continue
		}
		shards[shard] = true
		place := "/weight_map/" + escapePointer(name)
		switch {
		case shard != filepath.Base(shard) || !filepath.IsLocal(shard) || strings.ContainsAny(shard, "/\\\x00"):
			faults.Add(fault.New(fault.BSPath, "the shard %q is not a plain file name", shard).In(doc.shown).At(place).Of(name).
				Fix("keep every shard in the directory of the index"))
		case !strings.HasSuffix(shard, ".safetensors"):
			faults.Add(fault.New(fault.BSIndex, "the shard %q is not a .safetensors file", shard).In(doc.shown).At(place).Of(name).
				Fix("save the model again with safe_serialization=True"))
		case !has(shard):
			faults.Add(fault.New(fault.BSIndex, "the shard %q is missing from the directory", shard).In(doc.shown).At(place).Of(name).
				Fix("download the missing shard"))
		}
	}
	if err := faults.Err(); err != nil {
		return checkpoint{}, err
	}
	return checkpoint{shards: sortedKeys(shards), index: doc, owner: index.WeightMap}, nil
}

// openShards opens every shard and reads its header. Faults of all shards come together.
func (b *Base) openShards(d directory, c checkpoint) error {
	var errs []error
	for _, name := range c.shards {
		s, err := d.openShard(name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		b.Shards = append(b.Shards, s)
	}
	return join(errs...)
}

func (d directory) openShard(name string) (Shard, error) {
	f, err := d.Open(name)
	if err != nil {
		return Shard{}, err
	}
	opened, err := f.Stat()
	if err != nil {
		f.Close()
		return Shard{}, fault.New(fault.IORead, "its attributes cannot be read").In(d.Name(name)).Wrap(reference.Bare(err)).Fix("check the disk")
	}
	weights, err := safetensors.OpenFile(d.Name(name), f, safetensors.BaseLimits)
	if err != nil {
		return Shard{}, err
	}
	return Shard{File: weights, Path: filepath.Join(d.Real, name), Name: name, Size: weights.Size(), opened: opened}, nil
}

// collectTensors lists the tensors of all shards, and holds them against the index: each names exactly the other's.
func (b *Base) collectTensors(c checkpoint) error {
	var faults fault.List
	add := func(e *fault.Error) {
		if len(faults) < maxFaults {
			faults.Add(e.Fix("download the checkpoint again: index and shards are not of one model"))
		}
	}
	b.index = map[string]int{}
	for i, s := range b.Shards {
		for _, t := range s.Tensors {
			ref := t.Ref
			ref.File = i
			if c.index != nil && c.owner[t.Name] != s.Name {
				if owner, named := c.owner[t.Name]; named {
					add(fault.New(fault.BSIndex, "the tensor is in this shard, but the index says %s", owner).In(s.File.Name()).Of(t.Name))
				} else {
					add(fault.New(fault.BSIndex, "the index does not name the tensor").In(s.File.Name()).Of(t.Name))
				}
			}
			b.Tensors = append(b.Tensors, Tensor{ref})
		}
	}
	slices.SortStableFunc(b.Tensors, func(a, b Tensor) int { return strings.Compare(a.Name, b.Name) })
	for i, t := range b.Tensors {
		if first, twice := b.index[t.Name]; twice {
			add(fault.New(fault.BSIndex, "the tensor is in %s too", b.Shards[b.Tensors[first].File].Name).
				In(b.Shards[t.File].File.Name()).Of(t.Name))
			continue
		}
		b.index[t.Name] = i
	}
	for _, name := range sortedKeys(c.owner) {
		if _, ok := b.index[name]; !ok {
			add(fault.New(fault.BSIndex, "the index says %s, but no shard holds the tensor", c.owner[name]).In(c.index.shown).
				At("/weight_map/" + escapePointer(name)).Of(name))
		}
	}
	if len(b.Tensors) == 0 {
		add(fault.New(fault.BSTensor, "the checkpoint holds no tensor").In(b.Shards[0].File.Name()))
	}
	for _, t := range b.Tensors {
		if isPacked(t) {
			return join(faults.Err(), fault.New(fault.BSQuantized, "the base is quantised: the weight is stored as %v", t.DType).
				In(b.Shards[t.File].File.Name()).Of(t.Name).Fix(quantizedRemedy))
		}
	}
	return faults.Err()
}

// isPacked reports whether a tensor is what a quantiser makes of a weight.
func isPacked(t Tensor) bool {
	if strings.HasSuffix(t.Name, ".qweight") || strings.HasSuffix(t.Name, ".weight_packed") {
		return true
	}
	if len(t.Shape) < 2 || !strings.HasSuffix(t.Name, ".weight") {
		return false
	}
	switch t.DType {
	case tensor.U8, tensor.I8, tensor.I32, tensor.U32, tensor.F8E4M3, tensor.F8E5M2, tensor.F8E4M3FNUZ, tensor.F8E5M2FNUZ, tensor.F8E8M0,
		tensor.F4, tensor.F6E2M3, tensor.F6E3M2:
		return true
	}
	return false
}
