package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/spf13/cobra"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/report"
)

// maxEvent bounds one line of the feed.
const maxEvent = 1 << 20

// eventAnswer is one event of the feed.
type eventAnswer struct {
	ID         uint64 `json:"id"`
	Time       string `json:"time"`
	Kind       string `json:"kind"`
	Alias      string `json:"alias"`
	Ref        string `json:"ref"`
	Generation string `json:"generation"`
	Verdict    string `json:"verdict"`
	Actor      string `json:"actor"`
	Step       string `json:"step"`
	Done       int64  `json:"done"`
	Total      int64  `json:"total"`
	Message    string `json:"message"`
}

func (c *command) events() *cobra.Command {
	var after, format string
	cmd := remote(&cobra.Command{
		Use: "events", Short: "Follow what happens in a running server", Args: arguments(cobra.NoArgs),
	}, func(ctx context.Context, server *client, _ []string) error {
		if err := oneOf("output", format, formats...); err != nil {
			return err
		}
		server.http.Timeout = 0 // until Ctrl-C
		header := http.Header{"Accept": {"text/event-stream"}}
		if after != "" {
			header.Set("Last-Event-Id", after)
		}
		response, err := server.open(ctx, http.MethodGet, "/api/v1/events", nil, header)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			text, _ := io.ReadAll(io.LimitReader(response.Body, maxEvent))
			failed := failure{client: server}
			if json.Unmarshal(text, &failed) != nil || failed.Error.Message == "" {
				return fault.New(fault.ServerDown, "%s answered %s", server.url, response.Status)
			}
			return failed.refusal()
		}
		return c.follow(ctx, server, response.Body, format)
	})
	cmd.Flags().StringVar(&after, "after", "", "begin after the event with this `ID`, as far as the server still knows; 0 is all it knows (default: what happens from now on)")
	cmd.Flags().StringVarP(&format, "output", "o", "text", "`FORMAT` on stdout: "+strings.Join(formats, ", ")+"; one line for each event")
	return cmd
}

// follow prints events until the feed ends.
func (c *command) follow(ctx context.Context, server *client, feed io.Reader, format string) error {
	lines := bufio.NewScanner(feed)
	lines.Buffer(nil, maxEvent)
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		if format == "json" {
			if _, err := fmt.Fprintf(c.stdout, "%s\n", asciiJSON([]byte(data))); err != nil {
				return err
			}
			continue
		}
		var e eventAnswer
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			return unlike(server, err)
		}
		if _, err := fmt.Fprintln(c.stdout, e.line()); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return nil // Ctrl-C is how it ends
	}
	if err := lines.Err(); err != nil {
		return fault.New(fault.ServerDown, "the feed of %s broke off", server.url).Wrap(err)
	}
	return fault.New(fault.ServerDown, "%s ended the feed", server.url).Fix("has it stopped? with --after the next one continues")
}

// line is an event in one line. What is foreign is escaped.
func (e eventAnswer) line() string {
	words := []string{fmt.Sprintf("%6d  %-16s  %-9s", e.ID, since(e.Time), report.Escape(e.Kind))}
	add := func(format, text string) {
		if text != "" {
			words = append(words, fmt.Sprintf(format, report.Escape(text)))
		}
	}
	add("%s", e.Alias)
	add("%s", e.Step)
	if e.Total > 0 {
		words = append(words, fmt.Sprintf("%d%%", 100*e.Done/e.Total))
	}
	add("verdict %s", e.Verdict)
	if e.Generation != "" {
		words = append(words, "generation "+shortDigest(e.Generation))
	}
	add("by %s", e.Actor)
	add("%s", e.Message)
	return strings.TrimRight(strings.Join(words, " "), " ")
}

// unlike is an answer that this version does not know.
func unlike(server *client, err error) error {
	return fault.New(fault.ServerDown, "the answer of %s is not what it should be", server.url).Wrap(err).Fix("is it a tenon server of this version?")
}
