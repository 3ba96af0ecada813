package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf16"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"github.com/tenon-ml/tenon/host/report"
)

// columns is how wide a client command's text is at most, but for names that are longer.
const columns = 80

// nameWidth is what a name has in a table. Longer ones stand below it.
const nameWidth = 16

// show is a client command that prints one answer as a text or as the server's JSON.
func show[T any](c *command, cmd *cobra.Command, path func(args []string) string, text func(T) error) *cobra.Command {
	var format string
	cmd = remote(cmd, func(ctx context.Context, server *client, args []string) error {
		if err := oneOf("output", format, formats...); err != nil {
			return err
		}
		var raw jsontext.Value
		if err := either(server.call(ctx, path(args), nil, &raw)); err != nil {
			return err
		}
		return answered(c, server, raw, format, text)
	})
	outputFlag(cmd, &format)
	return cmd
}

// outputFlag is how a client command prints its answer.
func outputFlag(cmd *cobra.Command, format *string) {
	cmd.Flags().StringVarP(format, "output", "o", "text", "`FORMAT` on stdout: "+strings.Join(formats, ", "))
}

// answered prints what a server answered, as a text or as its JSON.
func answered[T any](c *command, server *client, raw jsontext.Value, format string, text func(T) error) error {
	if format == "json" {
		if err := raw.Indent(jsontext.WithIndent("  ")); err != nil {
			return err
		}
		_, err := fmt.Fprintf(c.stdout, "%s\n", asciiJSON(raw))
		return err
	}
	var answer T
	if err := json.Unmarshal(raw, &answer); err != nil {
		return unlike(server, err)
	}
	return text(answer)
}

// adapterAnswer is one adapter as the API shows it.
type adapterAnswer struct {
	Alias      string         `json:"alias"`
	Shared     bool           `json:"shared"`
	State      string         `json:"state"`
	Failure    string         `json:"failure"`
	Digest     string         `json:"digest"`
	Generation string         `json:"generation"`
	Verdict    report.Verdict `json:"verdict"`
	Mode       string         `json:"mode"`
	ModeReason string         `json:"modeReason"`
	Bytes      int64          `json:"bytes"`
	LoadedAt   string         `json:"loadedAt"`
	History    int            `json:"history"`
	Running    int            `json:"running"`
	Waiting    int            `json:"waiting"`
}

// backendAnswer is what GET /api/v1/status says.
type backendAnswer struct {
	State       string `json:"state"`
	Name        string `json:"name"`
	Device      string `json:"device"`
	Ready       bool   `json:"ready"`
	Restarts    int64  `json:"restarts"`
	Running     int    `json:"running"`
	Waiting     int    `json:"waiting"`
	MemoryUsed  int64  `json:"memoryUsed"`
	MemoryLimit int64  `json:"memoryLimit"`
	CacheBytes  int64  `json:"cacheBytes"`
}

// adaptersAnswer is what GET /api/v1/adapters says.
type adaptersAnswer struct {
	Backend backendAnswer `json:"backend"`
	Base    struct {
		Name   string `json:"name"`
		Digest string `json:"digest"`
	} `json:"base"`
	Adapters []adapterAnswer `json:"adapters"`
}

func (c *command) ps() *cobra.Command {
	return show(c, &cobra.Command{
		Use: "ps", Short: "List what a running server has live, or could not bring back", Args: arguments(cobra.NoArgs),
	}, func([]string) string { return "/api/v1/adapters" }, c.printAdapters)
}

// printAdapters is a table that fits the screen. What is too long for it, why something failed, stands below it.
func (c *command) printAdapters(answer adaptersAnswer) error {
	fmt.Fprintf(c.stdout, "backend  %s, %s, %d restarts\nbase     %s  %s\n\n", report.Escape(answer.Backend.Name), report.Escape(answer.Backend.State),
		answer.Backend.Restarts, report.Escape(answer.Base.Name), shortDigest(answer.Base.Digest))
	table := tabwriter.NewWriter(c.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "NAME\tSTATE\tVERDICT\tMODE\tGEN\tBYTES\tAGE\n")
	for _, a := range answer.Adapters {
		name := report.Escape(a.Alias)
		if a.Shared {
			name += "*"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", shorten(name, nameWidth), report.Escape(a.State), report.Escape(string(a.Verdict)),
			report.Escape(a.Mode), shorten(shortDigest(a.Generation), 8), formatSize(a.Bytes), age(a.LoadedAt, time.Now()))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	shared := false
	for _, a := range answer.Adapters {
		shared = shared || a.Shared
		if name := report.Escape(a.Alias); len(name) > nameWidth {
			fmt.Fprintf(c.stdout, "\n%s is %s\n", shorten(name, nameWidth), name)
		}
		if a.Failure != "" {
			fmt.Fprintln(c.stdout)
			writeWrapped(c.stdout, shorten(a.Alias, nameWidth)+" failed: ", a.Failure, columns)
		}
		if a.Mode == "unmerged" && a.ModeReason != "" && a.Failure == "" {
			fmt.Fprintln(c.stdout)
			writeWrapped(c.stdout, shorten(a.Alias, nameWidth)+" is unmerged: ", a.ModeReason, columns)
		}
	}
	if shared {
		fmt.Fprintln(c.stdout, "\n* the operator's, shared with every tenant")
	}
	return nil
}

func (c *command) status() *cobra.Command {
	return show(c, &cobra.Command{
		Use: "status", Short: "Show the state of a running server's backend", Args: arguments(cobra.NoArgs),
	}, func([]string) string { return "/api/v1/status" }, func(b backendAnswer) error {
		limit := "no limit"
		if b.MemoryLimit > 0 {
			limit = "at most " + formatSize(b.MemoryLimit)
		}
		_, err := fmt.Fprintf(c.stdout, "backend   %s on %s\nstate     %s\nrestarts  %d\nrequests  %d running, %d waiting\nmemory    %s of generations, %s\ncache     %s\n",
			report.Escape(b.Name), report.Escape(b.Device), report.Escape(b.State), b.Restarts, b.Running, b.Waiting, formatSize(b.MemoryUsed), limit,
			formatSize(b.CacheBytes))
		return err
	})
}

// historyAnswer is what GET /api/v1/adapters/{alias}/history says.
type historyAnswer struct {
	Alias   string `json:"alias"`
	History []struct {
		Sequence   uint64 `json:"sequence"`
		Time       string `json:"time"`
		Actor      string `json:"actor"`
		Action     string `json:"action"`
		State      string `json:"state"`
		Generation string `json:"generation"`
		Verdict    string `json:"verdict"`
		Mode       string `json:"mode"`
	} `json:"history"`
}

func (c *command) history() *cobra.Command {
	return show(c, &cobra.Command{
		Use: "history NAME", Short: "List what a name in a running server has meant, newest first", Args: arguments(cobra.ExactArgs(1)),
	}, func(args []string) string { return adapterPath(args[0], "/history") }, func(answer historyAnswer) error {
		staged := false
		table := tabwriter.NewWriter(c.stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintf(table, "SEQ\tTIME\tACTION\tSTATE\tGENERATION\tVERDICT\tBY\n")
		for _, r := range answer.History {
			sequence := "-"
			if r.Sequence > 0 {
				sequence = fmt.Sprint(r.Sequence)
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", sequence, since(r.Time), report.Escape(r.Action), report.Escape(r.State),
				shortDigest(r.Generation), report.Escape(r.Verdict), shorten(report.Escape(r.Actor), 16))
			staged = staged || r.State == "staged"
		}
		err := table.Flush()
		if err == nil && staged {
			_, err = fmt.Fprintln(c.stdout, "\na restart of the server forgets what is staged; its bytes stay in the store")
		}
		return err
	})
}

// since is a moment in the width of a table's column: to the minute, in UTC.
func since(text string) string {
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return report.Escape(text)
	}
	return at.UTC().Format("2006-01-02 15:04")
}

// age is how long ago a moment was, in one unit: "59s", "12m", "3h", "45d".
func age(text string, now time.Time) string {
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return report.Escape(text)
	}
	switch past := max(0, now.Sub(at)); {
	case past < time.Minute:
		return fmt.Sprintf("%ds", past/time.Second)
	case past < time.Hour:
		return fmt.Sprintf("%dm", past/time.Minute)
	case past < 24*time.Hour:
		return fmt.Sprintf("%dh", past/time.Hour)
	default:
		return fmt.Sprintf("%dd", past/(24*time.Hour))
	}
}

// shorten cuts text that was escaped to a column's width.
func shorten(text string, width int) string {
	if len(text) <= width {
		return text
	}
	return text[:width-1] + "~"
}

// shortDigest keeps enough of a digest to tell generations apart in a table.
func shortDigest(digest string) string {
	if hex, ok := strings.CutPrefix(digest, "sha256:"); ok && len(hex) > 12 {
		return report.Escape(hex[:12])
	}
	return report.Escape(digest)
}

// matches reports whether digits, with or without the algorithm, begin a digest.
func matches(digest, digits string) bool {
	return strings.HasPrefix(digest, digits) || strings.HasPrefix(strings.TrimPrefix(digest, "sha256:"), digits)
}

// asciiJSON writes JSON in ASCII: what is foreign in it cannot turn a terminal's text around. Outside of strings it is ASCII already.
func asciiJSON(text []byte) []byte {
	out := make([]byte, 0, len(text))
	for _, r := range string(text) {
		if r < 0x7f {
			out = append(out, byte(r))
			continue
		}
		for _, unit := range utf16.Encode([]rune{r}) {
			out = fmt.Appendf(out, `\u%04x`, unit)
		}
	}
	return out
}
