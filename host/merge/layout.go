package merge

import (
	"crypto/sha256"
	"fmt"
	"maps"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/safetensors"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// The names of a checkpoint that is cut anew.
const (
	singleName   = "model.safetensors"
	shardPattern = "model-%05d-of-%05d.safetensors"
	indexName    = "model.safetensors.index.json"
)

// piece is one tensor of a merged checkpoint: where its bytes come from and where they go.
type piece struct {
	source *safetensors.File // holds from
	from   tensor.Ref        // File indexes Base.Shards, or Plan.files of what is added
	to     tensor.Ref        // File indexes layout.shards
	item   *Item             // nil where the bytes are copied
	added  bool              // the base has no such tensor: an adapter's bytes are copied
}

// shard is one file of weights of a merged checkpoint.
type shard struct {
	name   string
	header []byte // every byte before the first tensor
	size   int64
	twin   int // the base's shard with this very header, whose tensors lie at the same places; -1 where there is none
	pieces []piece
}

// layout is which tensor goes where.
type layout struct {
	shards []shard
	index  []byte   // replaces the base's; nil keeps that
	cut    bool     // anew: what the base has of an index is not carried over
	key    [32]byte // of everything that decides the bytes of the shards
}

// bytes is the size of all tensors together.
func (l *layout) bytes() int64 {
	n := int64(0)
	for _, s := range l.shards {
		n += s.size - int64(len(s.header))
	}
	return n
}

// layout keeps the base's shards, or cuts the tensors into files of at most shardBytes of them where that is not 0.
func (p *Plan) layout(shardBytes int64) (*layout, error) {
	items := make(map[string]*Item, len(p.Items))
	for i := range p.Items {
		items[p.Items[i].Name] = &p.Items[i]
	}
	var l *layout
	var err error
	if shardBytes == 0 {
		l, err = p.keepShards(items)
	} else {
		l, err = p.cutShards(items, shardBytes)
	}
	if err != nil {
		return nil, err
	}
	h := sha256.New()
	fmt.Fprintf(h, "tenon.work/1\nplan %x\nshards of %d\n", p.Digest, shardBytes)
	h.Sum(l.key[:0])
	return l, nil
}

// keepShards takes over the base's files, byte for byte in front of the tensors: other readers may care about the order of a header's keys, its
// padding, or where the data begins.
func (p *Plan) keepShards(items map[string]*Item) (*layout, error) {
	l := new(layout)
	for i, source := range p.Base.Shards {
		s := shard{name: source.Name, header: make([]byte, source.DataStart), size: source.Size, twin: i}
		if _, err := source.ReadAt(s.header, 0); err != nil {
			return nil, fault.New(fault.IORead, "its header cannot be read").In(source.File.Name()).Wrap(err).Fix("check the disk")
		}
		for _, t := range source.Tensors {
			c := piece{source: source.File, from: t.Ref, to: t.Ref, item: items[t.Name]}
			c.from.File, c.to.File = i, i
			s.pieces = append(s.pieces, c)
		}
		l.shards = append(l.shards, s)
	}
	return l, p.extend(l)
}

// cutShards fills one file after the other, in the base's order. A tensor is never split, so one larger than most gets a file of its own.
func (p *Plan) cutShards(items map[string]*Item, most int64) (*layout, error) {
	l := &layout{cut: true}
	var groups [][]piece
	filled := int64(0)
	put := func(c piece) {
		if len(groups) == 0 || filled > 0 && filled+c.from.Length > most {
			groups, filled = append(groups, nil), 0
		}
		groups[len(groups)-1] = append(groups[len(groups)-1], c)
		filled += c.from.Length
	}
	for i, source := range p.Base.Shards {
		for _, t := range source.Tensors {
			c := piece{source: source.File, from: t.Ref, item: items[t.Name]}
			c.from.File = i
			put(c)
		}
	}
	for _, c := range p.additions() {
		put(c)
	}
	metadata := p.commonMetadata()
	weightMap := map[string]string{}
	for i, group := range groups {
		s := shard{name: singleName, twin: -1}
		if len(groups) > 1 {
			s.name = fmt.Sprintf(shardPattern, i+1, len(groups))
		}
		for _, c := range group {
			weightMap[c.from.Name] = s.name
		}
		if err := s.cut(i, group, metadata); err != nil {
			return nil, err
		}
		l.shards = append(l.shards, s)
	}
	if len(groups) == 1 {
		return l, nil
	}
	index := struct {
		Metadata struct {
			TotalSize int64 `json:"total_size"`
		} `json:"metadata"`
		WeightMap map[string]string `json:"weight_map"`
	}{WeightMap: weightMap}
	index.Metadata.TotalSize = l.bytes()
	text, err := json.Marshal(index, jsontext.WithIndent("  "), json.Deterministic(true))
	l.index = append(text, '\n')
	return l, err
}

// cut gives the shard, number i, a header of its own for these pieces, in their order.
func (s *shard) cut(i int, pieces []piece, metadata map[string]string) error {
	entries := make([]safetensors.Entry, len(pieces))
	for j, c := range pieces {
		entries[j] = safetensors.Entry{Name: c.from.Name, DType: c.from.DType, Shape: c.from.Shape}
	}
	header, refs, size, err := safetensors.Layout(entries, metadata)
	if err != nil {
		return err
	}
	s.header, s.size, s.twin, s.pieces = header, size, -1, pieces
	for j, to := range refs {
		to.File = i
		s.pieces[j].to = to
	}
	return nil
}

// commonMetadata is what the headers of all shards say alike: it is true of their tensors wherever those go.
func (p *Plan) commonMetadata() map[string]string {
	common := maps.Clone(p.Base.Shards[0].Metadata)
	for _, s := range p.Base.Shards[1:] {
		maps.DeleteFunc(common, func(key, value string) bool {
			other, ok := s.Metadata[key]
			return !ok || other != value
		})
	}
	return common
}

// run is a stretch of bytes that lie together in a file of the base and in one of the output.
type run struct {
	source           *safetensors.File
	target           int // of the layout's shards
	from, to, length int64
	pieces           []piece
}

// runBytes is the length from which a run is not made any longer, so that several can be copied at a time.
const runBytes = 256 << 20

// runs puts together the pieces to be copied.
func (l *layout) runs(wanted func(piece) bool) []run {
	var runs []run
	for i, s := range l.shards {
		for _, c := range s.pieces {
			if c.item != nil || !wanted(c) {
				continue
			}
			if last := len(runs) - 1; last >= 0 && runs[last].reaches(c) && runs[last].length < runBytes {
				runs[last].length += c.to.Length
				runs[last].pieces = append(runs[last].pieces, c)
				continue
			}
			runs = append(runs, run{c.source, i, c.from.Offset, c.to.Offset, c.to.Length, []piece{c}})
		}
	}
	return runs
}

// reaches reports whether a piece begins where the run ends, on both sides.
func (r run) reaches(c piece) bool {
	return r.source == c.source && r.target == c.to.File && r.from+r.length == c.from.Offset && r.to+r.length == c.to.Offset
}
