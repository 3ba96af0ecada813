package main

import (
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/pflag"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/pickle"
	"github.com/tenon-ml/tenon/host/report"
)

// unpickling is the JSON of tenon convert --from-pickle, schema tenon.unpickling/v1.
type unpickling struct {
	SchemaVersion string `json:"schemaVersion"`
	Ref           string `json:"ref"`
	Out           string `json:"out"`
	Tensors       int    `json:"tensors"`
	Bytes         int64  `json:"bytes"`  // of all tensors
	Shared        int    `json:"shared"` // storages that several tensors lay in
	Config        bool   `json:"config"` // whether a configuration was copied
}

// convertPickle writes a checkpoint of PyTorch as safetensors.
func (c *command) convertPickle(flags *pflag.FlagSet, args []string, ref, out, format string) error {
	err := errors.Join(need("out", out), oneOf("output", format, formats...))
	for _, flag := range []string{"to", "base", "dtype"} {
		if flags.Changed(flag) {
			err = errors.Join(err, fault.New(fault.UsageFlag, "--from-pickle takes no --%s: it writes the same tensors as safetensors", flag).
				Fix("convert what it writes"))
		}
	}
	if len(args) > 0 {
		err = errors.Join(err, fault.New(fault.UsageFlag, "--from-pickle takes no ADAPTER").Fix("give the file with --from-pickle alone"))
	}
	if err != nil {
		return err
	}
	s, err := pickle.Convert(ref, out)
	if err != nil {
		return err
	}
	view := unpickling{"tenon.unpickling/v1", ref, s.Out, s.Tensors, s.Bytes, s.Shared, s.Config}
	if format == "json" {
		return json.MarshalWrite(c.stdout, view, json.Deterministic(true), jsontext.WithIndent("  "))
	}
	_, err = fmt.Fprintf(c.stdout, "pickle   %s\nwritten  %s\ntensors  %d, of %s bytes\n",
		report.Escape(ref), report.Escape(s.Out), s.Tensors, report.Count(s.Bytes))
	if err != nil {
		return fault.New(fault.IOWrite, "the result cannot be written").Wrap(err)
	}
	if s.Shared > 0 {
		writeWrapped(c.stdout, "note  ", fmt.Sprintf("%d storages were shared by several tensors; each tensor has its own bytes now", s.Shared), 80)
	}
	return nil
}
