package watch

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/report"
)

// QuarantineName is the directory in a watched folder that refused adapters are moved to.
const QuarantineName = ".quarantine"

// maxCollisions bounds how often the same bytes under the same name are kept.
const maxCollisions = 100

// quarantine moves dir/name to .quarantine/NAME-DIGEST/NAME, beside report.json and report.html, and returns where to. What is there already
// stays there: the same bytes refused again get a place of their own.
func quarantine(dir, name string, o outcome) (string, error) {
	r := o.report
	if r == nil {
		r = refusalReport(filepath.Join(dir, name), o.refusal)
	}
	root := filepath.Join(dir, QuarantineName)
	if err := os.Mkdir(root, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	if info, err := os.Lstat(root); err != nil || !info.IsDir() {
		return "", errors.Join(err, fault.New(fault.IOFileType, "the quarantine is no directory").In(root).Fix("remove it"))
	}
	place, err := makePlace(root, label(name)+"-"+digits(r, o.print))
	if err != nil {
		return "", err
	}
	for file, write := range map[string]func(io.Writer, *report.Report) error{"report.json": report.JSON, "report.html": page} {
		if err := writeReport(filepath.Join(place, file), r, write); err != nil {
			return "", errors.Join(err, os.RemoveAll(place))
		}
	}
	if err := os.Rename(filepath.Join(dir, name), filepath.Join(place, inner(name))); err != nil {
		return "", errors.Join(err, os.RemoveAll(place))
	}
	return place, nil
}

// makePlace makes a directory of that name, or of the first like it that is free.
func makePlace(root, name string) (string, error) {
	for i := range maxCollisions {
		place := filepath.Join(root, name)
		if i > 0 {
			place = fmt.Sprintf("%s.%d", place, i+1)
		}
		if err := os.Mkdir(place, 0o700); !errors.Is(err, fs.ErrExist) {
			return place, err
		}
	}
	return "", fault.New(fault.IOWrite, "it is in quarantine %d times already", maxCollisions).In(filepath.Join(root, name)).Fix("remove what is in quarantine")
}

func writeReport(path string, r *report.Report, write func(io.Writer, *report.Report) error) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(write(f, r), f.Close())
}

// unsafe is what a name in quarantine has nothing of.
var unsafe = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// label is a name for a directory, from a name that may be anything.
func label(name string) string {
	name = strings.Trim(unsafe.ReplaceAllString(name, "_"), ".")
	if name == "" {
		name = "unnamed"
	}
	return name[:min(len(name), 100)]
}

// inner is the name of what was moved, beside the reports.
func inner(name string) string {
	if strings.HasPrefix(name, "report.") {
		return "refused." + name
	}
	return name
}

// digits are the first of the adapter's digest, or of what was seen of a thing that has none.
func digits(r *report.Report, print fingerprint) string {
	if digest, ok := strings.CutPrefix(r.Adapter.Digest, "sha256:"); ok && len(digest) >= 12 {
		return digest[:12]
	}
	return fmt.Sprintf("%x", print[:6])
}

// refusalReport is the report of what no gate has seen.
func refusalReport(ref string, refusal *fault.Error) *report.Report {
	message := refusal.Cause
	if refusal.Err != nil {
		message = fmt.Sprintf("%s: %v", message, refusal.Err)
	}
	return &report.Report{
		SchemaVersion: report.SchemaVersion, Verdict: report.Deny, Adapter: report.Adapter{Ref: ref},
		Findings: []report.Finding{{Code: string(refusal.Code), Severity: report.DenySeverity, Message: message, Hint: refusal.Remedy}},
	}
}

func page(w io.Writer, r *report.Report) error { return report.HTML(w, r, nil) }
