package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tenon-ml/tenon/host"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/merge"
	"github.com/tenon-ml/tenon/host/report"
)

func (c *command) merge() *cobra.Command {
	var request host.MergeRequest
	var chosen backendChoice
	var failOn, shardSize string
	var noCheck bool
	var method, majority string
	cmd := &cobra.Command{
		Use:   "merge ADAPTER[@SCALE]... --base MODEL --out DIR",
		Short: "Check adapters and write the merged checkpoint, with a receipt",
		Long: `Merge checks an adapter and, when the gate is open, writes W' = W + s B A into a
new checkpoint directory with the base's shards, dtypes and other files, and a
receipt that tenon verify holds every byte against. The directory appears
complete and verified, or not at all. A merge that was interrupted goes on where
it stopped when the same command is given again.

--shard-size cuts the checkpoint anew, into files of at most so many bytes of
tensors; without it the base's files are kept.

With a base that is a GGUF file a GGUF file is written, with its receipt beside
it. Its keys, and all that no adapter changes, stay as they are. What is stored
as F32, F16, BF16 or Q8_0 keeps its type; for other quantised types --dtype says
how to store what is merged, and the receipt how much of the change that keeps.

SCALE multiplies the adapter's own scale: my-adapter@0.5 applies half of it, and
is what the gate judges. What an adapter replaces is put in place whole.

Several adapters become one change of the base, each checked beside the others.
--method says how, of what each adds to a weight (not of its factors):

  linear           the sum of the changes, each times its scale (the default)
  cat              the same
  svd              of that sum the nearest of rank --svd-rank
  ties             the largest entries of each change, and of those the ones of
                   the elected sign, averaged
  dare_ties        entries drawn at random and rescaled, then as ties
  dare_linear      entries drawn at random and rescaled, summed
  magnitude_prune  the largest entries of each change, summed`,
		Args: arguments(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			request.Mixture.Method, request.Mixture.Majority = merge.Method(method), merge.Majority(majority)
			err := errors.Join(need("base", request.Base), need("out", request.Out),
				oneOf("dtype", request.DType, "keep", "q8_0", "f16", "bf16", "f32"), oneOf("fail-on", failOn, "warn", "deny"), overrideReason(noCheck, request.Override),
				mixtureFlags(request.Mixture, cmd.Flags().Changed))
			if err != nil {
				return err
			}
			if request.Adapter, request.Scale, err = splitScale(args[0]); err != nil {
				return err
			}
			for _, arg := range args[1:] {
				ref, scale, err := splitScale(arg)
				if err != nil {
					return err
				}
				request.Others = append(request.Others, host.Portion{Adapter: ref, Scale: scale})
			}
			if shardSize != "" {
				if request.ShardBytes, err = parseSize(shardSize); err != nil {
					return err
				}
			}
			h, err := c.host()
			if err == nil {
				h, err = chosen.use(h)
			}
			if err != nil {
				return err
			}
			show, clear := c.newMergeProgress()
			request.Progress = show
			receipt, checked, err := h.Merge(cmd.Context(), request)
			clear()
			if err != nil {
				return err
			}
			if receipt == nil {
				if err := c.print(checked, "text"); err != nil {
					return err
				}
				return verdictExit(checked, failOn)
			}
			return c.printReceipt(receipt, request.Out)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&request.Base, "base", "", "base checkpoint: a `DIR` in Hugging Face layout, or a .gguf file")
	flags.StringVar(&request.Out, "out", "", "`DIR` to write, or .gguf file; must not exist")
	c.evidenceFlags(flags)
	flags.StringArrayVar(&request.With, "with", nil, "`ADAPTER` to compare with in the check; repeat for several")
	chosen.flags(flags)
	flags.StringVar(&request.DType, "dtype", "keep", "`DTYPE` of merged matrices: keep or, of a GGUF file, q8_0, f16, bf16 or f32")
	flags.StringVar(&shardSize, "shard-size", "", "cut into files of at most `SIZE`, such as 5GB (default: as the base)")
	flags.StringVar(&failOn, "fail-on", "deny", "`VERDICT` that exits 1: deny, or warn as well")
	flags.BoolVar(&noCheck, "no-check", false, "merge without diagnostics; needs --reason, which the receipt records")
	flags.StringVar(&request.Override, "reason", "", "why the gate is overridden, as `TEXT`")
	flags.StringVar(&method, "method", "", "how several adapters become one change: a `METHOD` of those above (default: linear)")
	flags.Float64Var(&request.Mixture.Density, "density", 0.5, "`SHARE` of the entries of each change that stay")
	flags.StringVar(&majority, "majority-sign", string(merge.Total), "elects a sign by the `SUM` of the entries, total, or by their number, frequency")
	flags.Uint64Var(&request.Mixture.Seed, "seed", 0, "`NUMBER` that what is drawn depends on")
	flags.IntVar(&request.Mixture.Rank, "svd-rank", 0, "`RANK` of the result of svd (default: the largest of the adapters')")
	return cmd
}

// mixtureFlags refuses a flag that the method does not use, and a density or rank that the flag's zero would hide.
func mixtureFlags(m merge.Mixture, given func(name string) bool) error {
	used := map[string]bool{
		"density":       m.Method.Prunes(),
		"majority-sign": m.Method.Elects(),
		"seed":          m.Method.Draws(),
		"svd-rank":      m.Method == merge.SVD,
	}
	var errs []error
	for _, name := range []string{"density", "majority-sign", "seed", "svd-rank"} {
		if given(name) && !used[name] {
			errs = append(errs, fault.New(fault.UsageFlag, "--%s has no meaning for this method", name).Fix("give a --method that uses it; see tenon merge --help"))
		}
	}
	if given("density") && m.Density == 0 {
		errs = append(errs, fault.New(fault.UsageFlag, "with --density 0 nothing would stay").Fix("give a share above 0"))
	}
	if given("svd-rank") && m.Rank < 1 {
		errs = append(errs, fault.New(fault.UsageFlag, "--svd-rank is at least 1"))
	}
	return errors.Join(errs...)
}

func overrideReason(noCheck bool, reason string) error {
	switch {
	case noCheck && strings.TrimSpace(reason) == "":
		return fault.New(fault.UsageFlag, "--no-check needs --reason").Fix("say why; the receipt records it")
	case !noCheck && reason != "":
		return fault.New(fault.UsageFlag, "--reason without --no-check overrides nothing")
	}
	return nil
}

// splitScale cuts "ADAPTER@SCALE". A path may hold an @ of its own, where a slash follows: what follows the last one otherwise is a scale.
func splitScale(arg string) (ref string, scale float64, err error) {
	at := strings.LastIndexByte(arg, '@')
	if at < 0 || strings.ContainsRune(arg[at:], '/') {
		return arg, 1, nil
	}
	scale, err = strconv.ParseFloat(arg[at+1:], 64)
	if err != nil {
		return "", 0, fault.New(fault.UsageFlag, "%q is not a scale", arg[at+1:]).In(arg).Fix("give ADAPTER@0.5, or ./ADAPTER/ for a path with an @")
	}
	return arg[:at], scale, nil
}

func (c *command) printReceipt(r *merge.Receipt, out string) error {
	merged, added, changed := 0, 0, int64(0)
	for _, t := range r.Tensors {
		if t.Merged {
			merged++
		}
		if t.Added {
			added++
		}
		changed += t.Changed
	}
	also := ""
	if added > 0 {
		also = fmt.Sprintf(", %d added", added)
	}
	verdict := string(r.Gate.Verdict)
	if r.Gate.Override != "" {
		verdict = "not checked: " + r.Gate.Override
	}
	_, err := fmt.Fprintf(c.stdout, "merged   %s\nverdict  %s\ntensors  %d merged, %d copied%s, %s entries changed\ncontent  %s\nreceipt  %s\n",
		report.Escape(out), report.Escape(verdict), merged, len(r.Tensors)-merged-added, also, report.Count(changed), r.Content,
		report.Escape(receiptPath(r, out)))
	return errors.Join(err, c.printKept(r))
}

func (c *command) verify() *cobra.Command {
	return &cobra.Command{
		Use:   "verify DIR | FILE.gguf",
		Short: "Hold a merged checkpoint against its receipt, byte by byte",
		Args:  arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := merge.Verify(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(c.stdout, "intact   %s\nfiles    %d\ntensors  %d\ncontent  %s\nbase     %s\n",
				report.Escape(args[0]), len(r.Files), len(r.Tensors), r.Content, r.Base.Digest)
			return err
		},
	}
}
