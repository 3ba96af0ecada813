package main

import (
	"fmt"
	"os"
	"path/filepath"
)

// subject is an adapter that nothing is wrong with, as far as anyone knows.
type subject struct {
	name    string
	dir     string
	base    string // directory; "" where nobody has it
	probe   string // file; "" where the merged model is not asked
	trained bool   // false for one of random numbers, which is good for nothing

	adapter *lora    // its factors, to plant faults in
	expect  string   // its probe file with likelihoods; "" where there is none
	benign  outcomes // what the gate says of it
}

// Where the adapters at hand lie, seen from the root of the repository.
const (
	exampleBase  = "examples/restaurant/base"
	exampleProbe = "examples/restaurant/probe.yaml"
	factsProbe   = "cmd/gate-bench/probes/webnlg.yaml"
	shared       = "../shared/models"
)

// atHand are the adapters that come with Tenon, and those beside the repository that are there.
func atHand() ([]*subject, error) {
	paper, err := filepath.Glob("examples/paper/r*")
	if err != nil {
		return nil, err
	}
	if len(paper) == 0 {
		return nil, fmt.Errorf("there is no examples/paper here: run it from the root of the repository, or name adapters")
	}
	var subjects []*subject
	for _, dir := range paper {
		subjects = append(subjects, &subject{name: "paper/" + filepath.Base(dir), dir: dir, base: exampleBase, probe: exampleProbe, trained: true})
	}
	subjects = append(subjects,
		&subject{name: "restaurant", dir: "examples/restaurant/adapter", base: exampleBase, probe: exampleProbe, trained: true})
	for _, s := range []*subject{
		{name: "e2e-all-r8", dir: "tiny-llama/adapters/e2e-all-r8", base: exampleBase, probe: exampleProbe, trained: true},
		{name: "webnlg-all-r8", dir: "tiny-llama/adapters/webnlg-all-r8", base: exampleBase, probe: factsProbe, trained: true},
		{name: "stories260K", dir: "stories260K/adapter", base: filepath.Join(shared, "stories260K/base")},
		{name: "gpt2-r8", dir: "real/gpt2-r8", trained: true},
		{name: "gpt2-tigrinya", dir: "real/gpt2-tigrinya", trained: true},
		{name: "distilbert-imdb", dir: "real/distilbert-imdb", trained: true},
		{name: "distilbert-emotion", dir: "real/distilbert-emotion", trained: true},
	} {
		s.dir = filepath.Join(shared, s.dir)
		if _, err := os.Stat(s.dir); err != nil {
			fmt.Fprintf(os.Stderr, "gate-bench: %s is not at hand: %v\n", s.name, err)
			continue
		}
		subjects = append(subjects, s)
	}
	return subjects, nil
}
