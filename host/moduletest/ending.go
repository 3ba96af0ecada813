package moduletest

import (
	"slices"
	"strings"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/wasm/sandbox"
)

// endedItself reports whether the module came to its own end.
func endedItself(s sandbox.Status) bool { return s == sandbox.OK || s == sandbox.GuestError }

var endFixes = map[sandbox.Status]string{
	sandbox.Trap: "a module never traps on what an adapter holds: check shapes, counts and statuses before they are used, and return an error " +
		"code above 0",
	sandbox.Timeout:    "bound the work by the shapes, or ask for more time with limits.run_ms in the manifest",
	sandbox.Memory:     "bound what is held by the shapes, or ask for more with limits.guest_memory in the manifest",
	sandbox.Denied:     "name every capability that is used under needs in the manifest",
	sandbox.Invalid:    "build it again: the engine refuses it",
	sandbox.WorkerDied: "run it again; if it dies every time, send this module to the authors of Tenon",
}

// Remedy says what to do about a run that did not come to its own end; "" for one that did.
func Remedy(r sandbox.Result) string {
	if fix := bugFix(r); fix != "" {
		return fix
	}
	return endFixes[r.Status]
}

// bugFix says what to do about a run that the host ended for what the module passed it, whatever the adapter holds; "" for any other. The
// text of such an end is "STAGE: FUNCTION: what was passed".
func bugFix(r sandbox.Result) string {
	parts := strings.SplitN(r.Error, ": ", 3)
	if r.Status != sandbox.Trap || len(parts) < 3 || !slices.ContainsFunc(abi.Functions, func(f abi.Function) bool { return f.Name == parts[1] }) {
		return ""
	}
	switch {
	case strings.Contains(parts[2], " was given before for "):
		return "a bug of the module: give each name once per target, and once per peer of it"
	case strings.Contains(parts[2], "is not a name"), strings.Contains(parts[2], "is not a finding's code"):
		return "a bug of the module: write the name as it must be"
	case strings.Contains(parts[2], "outside the guest's memory"):
		return "a bug of the module: a pointer or a length is wrong; the SDK's calls pass right ones"
	}
	return "a bug of the module: no adapter makes a correct one pass this"
}

// saidLines is how much of a module's log is shown with a problem.
const saidLines = 5

// said are the first lines of the log of a module that crashed or gave up; nil for any other.
func said(r sandbox.Result) []string {
	if r.Status != sandbox.Trap && r.Status != sandbox.GuestError {
		return nil
	}
	var lines []string
	for text := range strings.SplitSeq(r.Log, "\n") {
		if text = strings.TrimRight(strings.ReplaceAll(text, "\t", "  "), " \r"); text == "" {
			continue
		}
		if lines = append(lines, text); len(lines) == saidLines {
			break
		}
	}
	return lines
}
