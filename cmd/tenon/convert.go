package main

import (
	"context"
	"errors"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"github.com/tenon-ml/tenon/host/adapter"
	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/host/convert"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// conversionTypes are the types that factors are written in, by their names in --dtype.
var conversionTypes = map[string]tensor.DType{"keep": tensor.Invalid, "f32": tensor.F32, "f16": tensor.F16, "bf16": tensor.BF16}

func (c *command) convert() *cobra.Command {
	var to, out, baseRef, dtype, format, fromPickle string
	cmd := &cobra.Command{
		Use:   "convert ADAPTER --to gguf|peft --base MODEL --out PATH",
		Short: "Write an adapter again in another format: PEFT, GGUF, safetensors",
		Long: `Convert writes a PEFT directory as a GGUF file for llama.cpp, or a GGUF file as
a PEFT directory, so that it makes the same change to every weight. MODEL is the
Hugging Face checkpoint that the adapter was trained on: it names the weights,
and its heads say in which order llama.cpp has the rows of queries and keys.

llama.cpp knows one alpha for all weights. A scale that is not alpha/rank, from
rank-stabilised LoRA or an alpha pattern, is folded into the factor B, rounded
once. Everything else keeps its bits unless --dtype asks for another type. What
GGUF has no form for, such as DoRA or a replaced embedding, is refused by name.

--from-pickle reads a checkpoint of PyTorch (.bin, .pt, .pth) without running
what is in it, and writes its tensors as safetensors: as one file where PATH
ends in .safetensors, otherwise as a PEFT directory with the adapter_config.json
that lies beside FILE. It needs no ADAPTER and no MODEL.`,
		Example: `  tenon convert my-adapter --to gguf --base llama-3-8b --out my-adapter.gguf
  tenon convert my-adapter.gguf --to peft --base llama-3-8b --out my-adapter
  tenon convert --from-pickle old/adapter_model.bin --out new`,
		Args: arguments(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("from-pickle") {
				return c.convertPickle(cmd.Flags(), args, fromPickle, out, format)
			}
			if err := arguments(cobra.ExactArgs(1))(cmd, args); err != nil {
				return err
			}
			err := errors.Join(need("to", to), need("base", baseRef), need("out", out), oneOf("output", format, formats...),
				oneOf("dtype", dtype, "keep", "f32", "f16", "bf16"))
			if to != "" {
				err = errors.Join(err, oneOf("to", to, adapter.FormatGGUF, adapter.FormatPEFT))
			}
			if err != nil {
				return err
			}
			view, err := c.convertAdapter(cmd.Context(), args[0], to, baseRef, out, convert.Options{DType: conversionTypes[dtype]})
			if err != nil {
				return err
			}
			if format == "json" {
				return json.MarshalWrite(c.stdout, view, json.Deterministic(true), jsontext.WithIndent("  "))
			}
			return c.printConversion(view)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&to, "to", "", "`FORMAT` to write: gguf, peft")
	flags.StringVar(&baseRef, "base", "", "base checkpoint: a `DIR` in Hugging Face layout")
	flags.StringVar(&out, "out", "", "`PATH` to write, a file for gguf, a directory for peft; must not exist")
	flags.StringVar(&dtype, "dtype", "keep", "`DTYPE` of the factors: keep, f32, f16, bf16")
	flags.StringVar(&fromPickle, "from-pickle", "", "`FILE` of PyTorch to write as safetensors, or a PEFT directory that holds one")
	flags.StringVar(&c.cacheDir, "cache-dir", "", "`DIR` for what can be computed again (default: tenon in the user's cache folder)")
	flags.StringVarP(&format, "output", "o", "text", "`FORMAT` on stdout: "+strings.Join(formats, ", "))
	for flag, values := range map[string][]string{"to": {"gguf", "peft"}, "dtype": {"keep", "f32", "f16", "bf16"}, "output": formats} {
		_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)) // the flag exists
	}
	return cmd
}

// convertAdapter reads the adapter and its base, and writes the one in the other format.
func (c *command) convertAdapter(ctx context.Context, ref, to, baseRef, out string, o convert.Options) (conversion, error) {
	cache, err := c.moduleCache()
	if err != nil {
		return conversion{}, err
	}
	b, err := base.OpenCached(baseRef, cache)
	if err != nil {
		return conversion{}, err
	}
	defer b.Close()
	if err := convert.CheckBase(b); err != nil {
		return conversion{}, err
	}
	plan, close, err := planConversion(ref, to, b, o)
	if err != nil {
		return conversion{}, err
	}
	defer close()
	if err := plan.Write(ctx, out); err != nil {
		return conversion{}, err
	}
	return newConversion(plan, ref, out), nil
}

// planConversion opens the adapter; what it returns second closes it.
func planConversion(ref, to string, b *base.Base, o convert.Options) (*convert.Plan, func() error, error) {
	if to == adapter.FormatPEFT {
		a, err := adapter.Open(ref)
		if err != nil {
			return nil, nil, err
		}
		plan, err := convert.ToPEFT(a, b, o)
		if err != nil {
			a.Close()
		}
		return plan, a.Close, err
	}
	bound, err := adapter.Load(ref, b)
	if err != nil {
		return nil, nil, err
	}
	plan, err := convert.ToGGUF(bound, o)
	if err != nil {
		bound.Close()
	}
	return plan, bound.Close, err
}
