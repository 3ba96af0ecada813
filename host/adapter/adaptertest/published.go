package adaptertest

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/tenon-ml/tenon/host/safetensors"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// Published is the form of a checkpoint that many adapters are of: everything but the values.
type Published struct {
	Config  string // config.json
	Entries []safetensors.Entry
}

// GPT2Small is GPT-2 with 124 million parameters, under the names of the published checkpoint, which have no "transformer." before them.
func GPT2Small() Published {
	const width, vocabulary, positions, layers = 768, 50257, 1024, 12
	p := Published{Config: fmt.Sprintf(`{"architectures":["GPT2LMHeadModel"],"model_type":"gpt2","n_embd":%d,"n_head":12,"n_layer":%d,"n_positions":%d,`+
		`"vocab_size":%d,"bos_token_id":50256,"eos_token_id":50256}`, width, layers, positions, vocabulary)}
	p.add("wte.weight", vocabulary, width)
	p.add("wpe.weight", positions, width)
	for i := range layers {
		layer := fmt.Sprintf("h.%d.", i)
		p.pair(layer+"ln_1", width)
		p.conv1D(layer+"attn.c_attn", width, 3*width)
		p.conv1D(layer+"attn.c_proj", width, width)
		p.pair(layer+"ln_2", width)
		p.conv1D(layer+"mlp.c_fc", width, 4*width)
		p.conv1D(layer+"mlp.c_proj", 4*width, width)
	}
	p.pair("ln_f", width)
	return p
}

// DistilBERT is DistilBERT with 66 million parameters; with labels above 0 it has the two heads of a classifier.
func DistilBERT(labels int) Published {
	const width, vocabulary, positions, layers = 768, 30522, 512, 6
	p := Published{Config: fmt.Sprintf(`{"architectures":["DistilBertForMaskedLM"],"model_type":"distilbert","dim":%d,"n_heads":12,"n_layers":%d,`+
		`"hidden_dim":%d,"max_position_embeddings":%d,"vocab_size":%d,"pad_token_id":0}`, width, layers, 4*width, positions, vocabulary)}
	p.add("distilbert.embeddings.word_embeddings.weight", vocabulary, width)
	p.add("distilbert.embeddings.position_embeddings.weight", positions, width)
	p.pair("distilbert.embeddings.LayerNorm", width)
	for i := range layers {
		layer := fmt.Sprintf("distilbert.transformer.layer.%d.", i)
		for _, name := range []string{"q_lin", "k_lin", "v_lin", "out_lin"} {
			p.linear(layer+"attention."+name, width, width)
		}
		p.pair(layer+"sa_layer_norm", width)
		p.linear(layer+"ffn.lin1", width, 4*width)
		p.linear(layer+"ffn.lin2", 4*width, width)
		p.pair(layer+"output_layer_norm", width)
	}
	if labels > 0 {
		p.linear("pre_classifier", width, width)
		p.linear("classifier", width, labels)
	}
	return p
}

func (p *Published) add(name string, shape ...int) {
	p.Entries = append(p.Entries, safetensors.Entry{Name: name, DType: tensor.F16, Shape: shape})
}

// pair adds a weight and a bias of the same length.
func (p *Published) pair(module string, width int) {
	p.add(module+".weight", width)
	p.add(module+".bias", width)
}

func (p *Published) linear(module string, in, out int) {
	p.add(module+".weight", out, in)
	p.add(module+".bias", out)
}

func (p *Published) conv1D(module string, in, out int) {
	p.add(module+".weight", in, out)
	p.add(module+".bias", out)
}

// Write makes a checkpoint in a new directory with values that are random and the same each time: of either sign, of 1/64 to 1/16.
func (p Published) Write(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	put(t, filepath.Join(dir, "config.json"), []byte(p.Config))
	f, err := os.Create(filepath.Join(dir, "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	buffered := bufio.NewWriterSize(f, 1<<20)
	w, err := safetensors.NewWriter(buffered, p.Entries, map[string]string{"format": "pt"})
	if err != nil {
		t.Fatal(err)
	}
	random := rand.NewPCG(1, 2)
	var chunk [1 << 16]byte
	for _, ref := range w.Refs() {
		for left := ref.Length; left > 0; left -= int64(len(chunk)) {
			part := chunk[:min(left, int64(len(chunk)))]
			for at := 0; at < len(part); at += 8 {
				// Four values: the sign, and two binades from 0x2400 on.
				four := random.Uint64()&0x87ff87ff87ff87ff + 0x2400240024002400
				binary.LittleEndian.PutUint64(chunk[at:], four)
			}
			if _, err := w.Write(part); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, finish := range []func() error{w.Close, buffered.Flush, f.Close} {
		if err := finish(); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
