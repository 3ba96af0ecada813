package main

import (
	"fmt"
	"os"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/tenon-ml/tenon/host/probe"
	"github.com/tenon-ml/tenon/host/report"
)

// probeFile is a probe file as it is written.
type probeFile struct {
	Schema      string            `yaml:"schema"`
	Name        string            `yaml:"name"`
	Texts       []probeText       `yaml:"texts,omitempty"`
	Completions []probeCompletion `yaml:"completions,omitempty"`
}

type probeText struct {
	ID     string   `yaml:"id"`
	Role   string   `yaml:"role"`
	Prompt string   `yaml:"prompt,omitempty"`
	Text   string   `yaml:"text"`
	NLL    *float64 `yaml:"nll,omitempty"`
}

type probeCompletion struct {
	ID        string `yaml:"id"`
	Prompt    string `yaml:"prompt"`
	MaxTokens int    `yaml:"maxTokens"`
	Equals    string `yaml:"equals,omitempty"`
	Matches   string `yaml:"matches,omitempty"`
}

// writeProbe writes a probe file with the first n texts of each role, all of them where n is 0, and with the likelihoods that answer has of
// them; nil writes none.
func writeProbe(path string, f *probe.File, n int, answer *report.Probe) error {
	out := probeFile{Schema: probe.Schema, Name: f.Name}
	seen := map[string]int{}
	for _, t := range f.Texts {
		if seen[t.Role]++; n > 0 && seen[t.Role] > n {
			continue
		}
		text := probeText{ID: t.ID, Role: t.Role, Prompt: t.Prompt, Text: t.Text}
		if answer != nil {
			i := slices.IndexFunc(answer.Texts, func(a report.ProbeText) bool { return a.ID == t.ID })
			if i < 0 {
				return fmt.Errorf("%s: text %s was not asked", f.Path, t.ID)
			}
			nll := float64(answer.Texts[i].NLLMerged)
			text.NLL = &nll
		}
		out.Texts = append(out.Texts, text)
	}
	for _, c := range f.Completions {
		written := probeCompletion{ID: c.ID, Prompt: c.Prompt, MaxTokens: c.MaxTokens, Equals: c.Equals}
		if c.Matches != nil {
			written.Matches = c.Matches.String()
		}
		out.Completions = append(out.Completions, written)
	}
	text, err := yaml.Marshal(out)
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o600)
}

// expecting is an answer as it would have been with a file that records likelihoods.
func expecting(answer *report.Probe, f *probe.File) *report.Probe {
	out := *answer
	out.Texts = slices.Clone(answer.Texts)
	for i := range out.Texts {
		for _, t := range f.Texts {
			if t.ID == out.Texts[i].ID {
				out.Texts[i].NLLExpected = (*report.Number)(t.Expected)
			}
		}
	}
	return &out
}
