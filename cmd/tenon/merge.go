package main

import (
	"errors"
	"fmt"
	"path/filepath"
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
	var dtype, failOn, shardSize string
	var noCheck bool
	cmd := &cobra.Command{
		Use:   "merge ADAPTER[@SCALE] --base MODEL --out DIR",
		Short: "Check an adapter and write the merged checkpoint, with a receipt",
		Long: `Merge checks an adapter and, when the gate is open, writes W' = W + s B A into a
new checkpoint directory with the base's shards, dtypes and other files, and a
receipt that tenon verify holds every byte against. The directory appears
complete and verified, or not at all. A merge that was interrupted goes on where
it stopped when the same command is given again.

--shard-size cuts the checkpoint anew, into files of at most so many bytes of
tensors; without it the base's files are kept.

SCALE multiplies the adapter's own scale: my-adapter@0.5 applies half of it, and
is what the gate judges.`,
		Args: arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			err := errors.Join(need("base", request.Base), need("out", request.Out),
				oneOf("dtype", dtype, "keep"), oneOf("fail-on", failOn, "warn", "deny"), overrideReason(noCheck, request.Override))
			if err != nil {
				return err
			}
			if request.Adapter, request.Scale, err = splitScale(args[0]); err != nil {
				return err
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
	flags.StringVar(&request.Base, "base", "", "base checkpoint: a `DIR` in Hugging Face layout")
	flags.StringVar(&request.Out, "out", "", "`DIR` to write; must not exist")
	c.evidenceFlags(flags)
	flags.StringArrayVar(&request.With, "with", nil, "`ADAPTER` to compare with in the check; repeat for several")
	chosen.flags(flags)
	flags.StringVar(&dtype, "dtype", "keep", "`DTYPE` of the merged tensors: keep")
	flags.StringVar(&shardSize, "shard-size", "", "cut into files of at most `SIZE`, such as 5GB (default: as the base)")
	flags.StringVar(&failOn, "fail-on", "deny", "`VERDICT` that exits 1: deny, or warn as well")
	flags.BoolVar(&noCheck, "no-check", false, "merge without diagnostics; needs --reason, which the receipt records")
	flags.StringVar(&request.Override, "reason", "", "why the gate is overridden, as `TEXT`")
	return cmd
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
	merged, changed := 0, int64(0)
	for _, t := range r.Tensors {
		if t.Merged {
			merged++
			changed += t.Changed
		}
	}
	verdict := string(r.Gate.Verdict)
	if r.Gate.Override != "" {
		verdict = "not checked: " + r.Gate.Override
	}
	_, err := fmt.Fprintf(c.stdout, "merged   %s\nverdict  %s\ntensors  %d merged, %d copied, %s entries changed\ncontent  %s\nreceipt  %s\n",
		report.Escape(out), report.Escape(verdict), merged, len(r.Tensors)-merged, report.Count(changed), r.Content,
		report.Escape(filepath.Join(out, merge.ReceiptName)))
	return err
}

func (c *command) verify() *cobra.Command {
	return &cobra.Command{
		Use:   "verify DIR",
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
