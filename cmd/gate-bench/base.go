package main

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"

	"github.com/tenon-ml/tenon/sdk/tensor"
)

// writeOtherBase writes a base that computes what the given Llama base computes, with its hidden dimensions in another order, as a second
// training run might have come to. An adapter of the one has the right shape for the other and means nothing there. Its weights are BF16.
func writeOtherBase(from, to string) error {
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() == "model.safetensors" || !e.Type().IsRegular() {
			continue
		}
		text, err := os.ReadFile(filepath.Join(from, e.Name()))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(to, e.Name()), text, 0o600); err != nil {
			return err
		}
	}
	tensors, err := readTensors(filepath.Join(from, "model.safetensors"))
	if err != nil {
		return err
	}
	order := rand.New(rand.NewPCG(1, 2)).Perm(tensors["model.norm.weight"].cols)
	for name, m := range tensors {
		switch {
		case strings.HasSuffix(name, "_proj.bias") && !strings.HasSuffix(name, ".o_proj.bias") && !strings.HasSuffix(name, ".down_proj.bias"):
			// the outputs of these stay where they are
		case strings.HasSuffix(name, ".o_proj.weight") || strings.HasSuffix(name, ".down_proj.weight"):
			reorderRows(m, order)
		default: // the embedding, the output, the norms, and what reads the hidden state
			reorderColumns(m, order)
		}
	}
	return writeTensors(filepath.Join(to, "model.safetensors"), tensors, tensor.BF16)
}
