package base

// The files of one component of a diffusers pipeline, such as its unet or transformer: diffusers gives the weights other names than
// transformers, and a config.json that has _class_name in place of model_type.
const (
	diffusersName      = "diffusion_pytorch_model.safetensors"
	diffusersIndexName = "diffusion_pytorch_model.safetensors.index.json"
)

// weightsNames are the names of the one file of weights and of the index of several in a directory: diffusers' where only those are there.
func (d directory) weightsNames() (single, index string) {
	if !d.Has(singleName) && !d.Has(indexName) && (d.Has(diffusersName) || d.Has(diffusersIndexName)) {
		return diffusersName, diffusersIndexName
	}
	return singleName, indexName
}

// isIndex reports whether a file of that name is an index of shards.
func isIndex(name string) bool { return name == indexName || name == diffusersIndexName }
