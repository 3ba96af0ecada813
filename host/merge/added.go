package merge

import (
	"encoding/hex"
	"maps"
	"os"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/host/fault"
)

// additions are the parameters that the base does not have, on their way from an adapter's file as they are stored there.
func (p *Plan) additions() []piece {
	var pieces []piece
	for _, item := range p.Added {
		c := piece{source: p.files[item.Start.File], from: item.Start.Ref, added: true}
		c.from.Name = item.Name
		pieces = append(pieces, c)
	}
	return pieces
}

// refuseAdded refuses a parameter that the base does not have and that is not there whole.
func (p *Plan) refuseAdded() error {
	for _, item := range p.Added {
		if item.Start.Shape == nil || item.LowRank() || item.Dense.Shape != nil || item.StartRows != nil || item.Magnitude.Shape != nil {
			return nothingThere(p.Adapter.Ref, item.Name)
		}
	}
	return nil
}

func nothingThere(ref, tensor string) error {
	return fault.New(fault.ADTarget, "the base has no such tensor, so nothing can be added to it").In(ref).Of(tensor).
		Fix("give the base this adapter was trained on")
}

// extend puts what is added at the end of the last shard, which gets a new header, and into the index, where there is one.
func (p *Plan) extend(l *layout) error {
	if len(p.Added) == 0 {
		return nil
	}
	last := len(l.shards) - 1
	s := &l.shards[last]
	if err := s.cut(last, append(s.pieces, p.additions()...), p.Base.Shards[last].Metadata); err != nil {
		return err
	}
	for _, f := range p.Base.Files {
		if f.Name != indexName {
			continue
		}
		var err error
		l.index, err = p.extendIndex(f, s.name, l.bytes())
		return err
	}
	return nil
}

// extendIndex is the base's index with what is added in one of its shards, and bytes of tensors in all.
func (p *Plan) extendIndex(f base.File, shard string, bytes int64) ([]byte, error) {
	text, err := os.ReadFile(f.Path)
	if err != nil {
		return nil, fault.New(fault.IORead, "it cannot be read").In(f.Path).Wrap(err)
	}
	if hashText(text) != hex.EncodeToString(f.SHA256[:]) {
		return nil, fault.New(fault.STChanged, "the file changed while the base was open").In(f.Path).Fix("merge again")
	}
	var index struct {
		Metadata  map[string]jsontext.Value `json:"metadata"`
		WeightMap map[string]string         `json:"weight_map"`
	}
	if err := json.Unmarshal(text, &index); err != nil {
		return nil, fault.New(fault.BSIndex, "the index is malformed").In(f.Path).Wrap(err)
	}
	metadata := map[string]jsontext.Value{}
	maps.Copy(metadata, index.Metadata)
	metadata["total_size"] = jsontext.Value(strconv.FormatInt(bytes, 10))
	if _, counted := metadata["total_parameters"]; counted {
		metadata["total_parameters"] = jsontext.Value(strconv.FormatInt(p.parameters(), 10))
	}
	index.Metadata = metadata
	for _, item := range p.Added {
		index.WeightMap[item.Name] = shard
	}
	text, err = json.Marshal(index, jsontext.WithIndent("  "), json.Deterministic(true))
	return append(text, '\n'), err
}

// parameters is how many entries the merged checkpoint stores.
func (p *Plan) parameters() int64 {
	n := p.Base.Parameters()
	for _, item := range p.Added {
		n += int64(item.Start.Elements())
	}
	return n
}
