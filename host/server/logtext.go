package server

import "github.com/tenon-ml/tenon/host/report"

// plain makes foreign text safe for a value of a log line: of bounded length, nothing in it that cannot be seen, without the secret of an API
// key. It has no quotes of its own: the log's handler puts them where they are needed, and what needs none can be searched for as it is.
func plain(s string) string {
	const limit = 512
	s, cut := hideSecrets(s), ""
	if len(s) > limit {
		s, cut = s[:limit], "…"
	}
	return report.Escape(s) + cut
}
