package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/merge"
	"github.com/tenon-ml/tenon/host/report"
)

// The exit codes, as scripts and CI read them.
const (
	exitOK           = 0
	exitDenied       = 1 // the gate said no, the input was refused, or findings reach --fail-on
	exitUsage        = 2
	exitOperational  = 3 // the result is unknown
	exitInconclusive = 4 // a diagnostic did not run to its end; fail closed
	exitInterrupted  = 130
)

// exitError carries an exit code whose reason has already been printed.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit %d", int(e)) }

// errAsked is an interruption after a server was asked to change something.
var errAsked = errors.New("the server was asked and may have done it: see tenon ps")

// exitCode is what the process ends with after err; what nobody has printed yet goes to stderr.
func exitCode(ctx context.Context, err error, stderr io.Writer) int {
	var done exitError
	var kept *merge.Interrupted
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &done):
		return int(done)
	case errors.Is(err, errAsked):
		fmt.Fprintf(stderr, "tenon: interrupted; %v\n", err)
		return exitInterrupted
	case ctx.Err() != nil && errors.As(err, &kept):
		fmt.Fprintf(stderr, "tenon: interrupted; %s\n", report.Escape(kept.Remains()))
		return exitInterrupted
	case ctx.Err() != nil:
		fmt.Fprintln(stderr, "tenon: interrupted; nothing was changed")
		return exitInterrupted
	}
	if list := fault.All(err); len(list) > 0 {
		for _, e := range list {
			fmt.Fprintf(stderr, "tenon: %s\n", report.Escape(describe(e)))
			if e.Remedy != "" {
				fmt.Fprintf(stderr, "       %s\n", report.Escape(e.Remedy))
			}
		}
	} else {
		fmt.Fprintf(stderr, "tenon: %s\n", report.Escape(err.Error()))
	}
	if errors.As(err, &kept) {
		fmt.Fprintf(stderr, "       %s\n", report.Escape(kept.Remains()))
	}
	switch fault.ClassOf(err) {
	case fault.Usage:
		return exitUsage
	case fault.Rejected:
		return exitDenied
	case fault.Inconclusive:
		return exitInconclusive
	}
	return exitOperational
}

// describe is the error without its remedy, which gets a line of its own.
func describe(e *fault.Error) string {
	short := *e
	short.Remedy = ""
	return short.Error()
}

// verdictExit is the exit code of a report: --fail-on warn turns a warning into a refusal.
func verdictExit(r *report.Report, failOn string) error {
	switch {
	case r.Verdict == report.Inconclusive:
		return exitError(exitInconclusive)
	case !r.Verdict.Open(), failOn == "warn" && r.Verdict == report.WarnVerdict:
		return exitError(exitDenied)
	}
	return nil
}
