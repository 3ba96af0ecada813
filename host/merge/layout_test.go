package merge_test

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"testing"

	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/host/merge"
)

// TestKeptShards wants every byte of a merged shard but those of its merged tensors to be the base's own, odd header included.
func TestKeptShards(t *testing.T) {
	s := newSmall(t)
	p := s.plan(t)
	got := write(t, p, newClient(t, p), filepath.Join(t.TempDir(), "merged"))
	want := contents(t, s.base)
	for _, item := range p.Items {
		name := p.Base.Shards[item.Base.File].Name
		from, to := item.Base.Offset, item.Base.Offset+item.Base.Length
		if got[name][from:to] == want[name][from:to] {
			t.Errorf("%s was not merged", item.Name)
		}
		want[name] = want[name][:from] + got[name][from:to] + want[name][to:]
	}
	want[merge.ReceiptName] = got[merge.ReceiptName]
	wantSame(t, got, want)
}

// TestCutShards cuts the checkpoint into files of several sizes. However it is cut, the tensors are the same.
func TestCutShards(t *testing.T) {
	s := newSmall(t)
	p := s.plan(t)
	client := newClient(t, p)
	whole := filepath.Join(t.TempDir(), "merged")
	write(t, p, client, whole)
	want := tensors(t, whole)
	for _, c := range []struct {
		name  string
		bytes int64
		files []int // how many tensors each holds
	}{
		{"every tensor alone", 1, []int{1, 1, 1, 1, 2, 1, 1, 1, 1, 1, 1}}, // an empty tensor needs no room
		{"as much as fits", 400, []int{5, 3, 1, 3}},
		{"nothing fits but the last", 1 << 40, []int{12}},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "merged")
			receipt, err := p.Write(t.Context(), client, merge.Output{Gate: admitted, Dir: out, ShardBytes: c.bytes})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := merge.Verify(t.Context(), out); err != nil {
				t.Error(err)
			}
			got := tensors(t, out)
			wantSame(t, got, want)
			b, err := base.Open(out)
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			var numbers []int
			var order []string
			size := int64(0)
			for _, shard := range b.Shards {
				numbers = append(numbers, len(shard.Tensors))
				data := int64(0)
				for _, x := range shard.Tensors {
					order = append(order, x.Name)
					data += x.Length
				}
				if data > c.bytes && len(shard.Tensors) > 2 {
					t.Errorf("%s holds %d bytes of tensors", shard.Name, data)
				}
				if shard.Metadata["format"] != "pt" || len(shard.Metadata) != 1 {
					t.Errorf("%s has metadata %v, want what all shards of the base have alike", shard.Name, shard.Metadata)
				}
				size += data
			}
			if !slices.Equal(numbers, c.files) {
				t.Errorf("files of %v tensors, want %v", numbers, c.files)
			}
			var original []string
			for _, shard := range p.Base.Shards {
				for _, x := range shard.Tensors {
					original = append(original, x.Name)
				}
			}
			if !slices.Equal(order, original) {
				t.Errorf("tensors in the order %v, want the base's, %v", order, original)
			}
			files := contents(t, out)
			text, indexed := files["model.safetensors.index.json"]
			if indexed != (len(c.files) > 1) || (files["model.safetensors"] == "") != indexed {
				t.Errorf("files %v", receipt.Files)
			}
			if indexed {
				var index struct {
					Metadata struct {
						Size int64 `json:"total_size"`
					} `json:"metadata"`
				}
				if err := json.Unmarshal([]byte(text), &index); err != nil || index.Metadata.Size != size {
					t.Errorf("the index says %+v, %v; want %d bytes", index, err, size)
				}
			}
		})
	}
}

// tensors are the bytes of each tensor of a checkpoint.
func tensors(t *testing.T, dir string) map[string]string {
	t.Helper()
	b, err := base.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	all := map[string]string{}
	for _, x := range b.Tensors {
		text, err := b.Read(x)
		if err != nil {
			t.Fatal(err)
		}
		all[x.Name] = string(text)
	}
	return all
}
