package diagtest

import (
	"regexp"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/tenon-ml/tenon/sdk/abi"
)

// The grammar of what a diagnostic names. The host of a real run refuses anything else too.
var (
	metricName  = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)
	findingCode = regexp.MustCompile(`^[A-Z][A-Z0-9_]{1,63}$`)
)

// place gives the names of a target and a peer, or else the status to return.
func (f *fake) place(target, peer int32) (targetName, peerName string, status int32) {
	if target != abi.NoTarget {
		if status := f.target(target); status < 0 {
			return "", "", status
		}
		targetName = f.adapter.Targets[target].Name
	}
	if peer != abi.NoPeer {
		if status := f.peer(peer); status < 0 {
			return "", "", status
		}
		peerName = f.adapter.Peers[peer].Name
	}
	return targetName, peerName, 0
}

// checkName fails the test where a real run traps: on a name outside the grammar, and on one given twice for the same subject.
func (f *fake) checkName(kind, target, peer, name string) {
	if !metricName.MatchString(name) {
		f.t.Errorf("diagtest: %q is not the name of a %s: want %s", name, kind, metricName)
	}
	key := kind + " " + name + " of target " + strconv.Quote(target) + " and peer " + strconv.Quote(peer)
	if f.given[key] {
		f.t.Errorf("diagtest: %s was given before", key)
	}
	f.given[key] = true
}

func (f *fake) checkText(what, text string) {
	if !utf8.ValidString(text) {
		f.t.Errorf("diagtest: the %s %q is not UTF-8: a trap in a real run", what, text)
	}
}

func (f *fake) Metric(target, peer int32, name string, value float64) int32 {
	targetName, peerName, status := f.place(target, peer)
	if status < 0 {
		return status
	}
	f.checkName("metric", targetName, peerName, name)
	if len(f.report.Metrics) == abi.DefaultLimits.Metrics {
		return f.fail(abi.Quota, "more than %d metrics", abi.DefaultLimits.Metrics)
	}
	f.report.Metrics = append(f.report.Metrics, Metric{targetName, peerName, name, value})
	return 0
}

func (f *fake) Grid(target, peer int32, name string, rows, cols int32, values []float64) int32 {
	targetName, peerName, status := f.place(target, peer)
	if status < 0 {
		return status
	}
	f.checkName("grid", targetName, peerName, name)
	if rows < 1 || cols < 1 {
		return f.fail(abi.Shape, "a grid of %d x %d", rows, cols)
	}
	if f.gridSize += len(values); f.gridSize > abi.DefaultLimits.GridValues {
		return f.fail(abi.Quota, "more than %d values in grids", abi.DefaultLimits.GridValues)
	}
	f.report.Grids = append(f.report.Grids, Grid{targetName, peerName, name, Matrix{int(rows), int(cols), slices.Clone(values)}})
	return 0
}

func (f *fake) Finding(target, severity int32, code, message, hint string, value, limit float64) int32 {
	targetName, _, status := f.place(target, abi.NoPeer)
	if status < 0 {
		return status
	}
	if severity < int32(abi.Info) || severity > int32(abi.Deny) {
		return f.fail(abi.Unsupported, "severity %d", severity)
	}
	if !findingCode.MatchString(code) {
		f.t.Errorf("diagtest: %q is not the code of a finding: want %s", code, findingCode)
	}
	f.checkText("message", message)
	f.checkText("hint", hint)
	if len(f.report.Findings) == abi.DefaultLimits.Findings {
		return f.fail(abi.Quota, "more than %d findings", abi.DefaultLimits.Findings)
	}
	f.report.Findings = append(f.report.Findings, Finding{targetName, abi.Severity(severity), code, message, hint, value, limit})
	return 0
}

func (f *fake) Log(text string) int32 {
	f.checkText("log line", text)
	f.report.Log += text + "\n"
	return 0
}
