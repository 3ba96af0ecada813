package host

import (
	"context"

	"github.com/tenon-ml/tenon/host/merge"
	"github.com/tenon-ml/tenon/host/report"
)

// say logs what has become of an alias. Its name is of a grammar that needs no care.
func (s *Serving) say(ctx context.Context, what string, a *alias) {
	s.host.log.InfoContext(ctx, what, "alias", a.activation.Alias, "ref", loggable(a.activation.Ref), "digest", merge.DigestString(a.activation.Adapter),
		"generation", merge.DigestString(a.activation.Generation), "mode", a.activation.Mode, "verdict", string(a.verdict), "sequence", a.activation.Sequence)
}

// maxLogged bounds foreign text in a log line, in bytes.
const maxLogged = 512

// loggable makes foreign text safe for a value of a log line.
func loggable(text string) string {
	if len(text) > maxLogged {
		return report.Escape(text[:maxLogged]) + "…"
	}
	return report.Escape(text)
}
