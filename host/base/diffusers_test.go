package base

import (
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/host/fault"
)

const unetConfig = `{"_class_name": "UNet2DConditionModel", "_diffusers_version": "0.37.0", "sample_size": 8, "num_attention_heads": [2, 4]}`

func TestDiffusersComponents(t *testing.T) {
	one := files{configName: unetConfig, diffusersName: weights(t, llamaTensors())}
	several := files{configName: unetConfig}
	for name, content := range sharded(t) {
		switch {
		case name == indexName:
			several[diffusersIndexName] = strings.ReplaceAll(content, "model-0", "diffusion_pytorch_model-0")
		case strings.HasPrefix(name, "model-"):
			several["diffusion_pytorch_"+name] = content
		}
	}
	for _, c := range []struct {
		name   string
		files  files
		shards []string
	}{
		{"one file", one, []string{diffusersName}},
		{"shards", several, []string{"diffusion_pytorch_" + firstShard, "diffusion_pytorch_" + secondShard}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, err := Open(c.files.write(t))
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			if len(b.Shards) != len(c.shards) || b.Shards[0].Name != c.shards[0] || len(b.Tensors) != len(llamaTensors()) || b.Files[0].Name != configName {
				t.Errorf("%d shards, the first %s; %d tensors", len(b.Shards), b.Shards[0].Name, len(b.Tensors))
			}
			if len(c.shards) > 1 && (len(b.Files) != 2 || b.Files[1].Name != diffusersIndexName) {
				t.Errorf("files %v", b.Files)
			}
			if b.Servable() == nil {
				t.Error("a denoiser cannot be served")
			}
		})
	}
	t.Run("without the shards", func(t *testing.T) {
		delete(several, "diffusion_pytorch_"+secondShard)
		if _, err := Open(several.write(t)); len(fault.All(err)) == 0 || fault.All(err)[0].Code != fault.BSIndex {
			t.Error(err)
		}
	})
}
