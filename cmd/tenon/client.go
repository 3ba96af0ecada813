package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/report"
)

// maxAnswer bounds what a client command reads from a server.
const maxAnswer = 256 << 20

// client talks to a running server.
type client struct {
	url  string
	http http.Client
}

// newClient checks that address is one that can be asked.
func newClient(address string) (*client, error) {
	parsed, err := url.Parse(address)
	if err != nil || parsed.Host == "" || parsed.Scheme != "http" && parsed.Scheme != "https" {
		return nil, fault.New(fault.UsageFlag, "--server %q is not a URL", address).Fix("for instance http://%s", defaultListen)
	}
	return &client{url: strings.TrimRight(address, "/"), http: http.Client{Timeout: 10 * time.Minute}}, nil
}

// failure is the OpenAI-shaped error of an answer. Report comes with a refused load.
type failure struct {
	Error struct {
		Message string `json:"message"`
		Code    string `json:"code"`
	} `json:"error"`
	Report *report.Report `json:"report"`
}

// call sends in as JSON (GET when nil) and decodes the answer into out. An answer of 400 or more is returned as its failure.
func (c *client) call(ctx context.Context, path string, in, out any) (*failure, error) {
	method, body := http.MethodGet, io.Reader(nil)
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		method, body = http.MethodPost, bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, method, c.url+path, body)
	if err != nil {
		return nil, err
	}
	if in != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := c.http.Do(request)
	if err != nil {
		if ctx.Err() != nil && in != nil {
			return nil, errAsked
		}
		var failed *url.Error
		if errors.As(err, &failed) {
			err = failed.Err // the rest of it is in the message already
		}
		return nil, fault.New(fault.ServerDown, "no server answers at %s", c.url).Wrap(err).Fix("start one: tenon serve")
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return nil, fault.New(fault.ServerDown, "the answer of %s broke off", c.url).Wrap(err)
	}
	if response.StatusCode >= 400 {
		f := new(failure)
		if err := json.Unmarshal(text, f); err != nil || f.Error.Message == "" {
			return nil, fault.New(fault.ServerDown, "%s answered %s", c.url, response.Status)
		}
		return f, nil
	}
	if out != nil {
		if err := json.Unmarshal(text, out); err != nil {
			return nil, fault.New(fault.ServerDown, "the answer of %s is not what it should be", c.url).Wrap(err).Fix("is it a tenon server of this version?")
		}
	}
	return nil, nil
}

// refusal makes a server's error an error of this process, with the same code and so the same exit code.
func (f *failure) refusal() error {
	// The message of a fault begins with its code, which the error made here says as well.
	return fault.New(fault.Code(f.Error.Code), "%s", strings.TrimPrefix(f.Error.Message, f.Error.Code+": "))
}

// complete is one greedy completion.
func (c *client) complete(ctx context.Context, model, prompt string) (string, error) {
	var answer struct {
		Choices []struct {
			Text string `json:"text"`
		} `json:"choices"`
	}
	in := map[string]any{"model": model, "prompt": prompt, "max_tokens": 48, "temperature": 0}
	failed, err := c.call(ctx, "/v1/completions", in, &answer)
	switch {
	case err != nil:
		return "", err
	case failed != nil:
		return "", failed.refusal()
	case len(answer.Choices) == 0:
		return "", fault.New(fault.ServerDown, "the answer has no choices")
	}
	return answer.Choices[0].Text, nil
}

// remote is a client command: the flag that names the server, and a body.
func remote(cmd *cobra.Command, body func(context.Context, *client, []string) error) *cobra.Command {
	var address string
	cmd.Flags().StringVar(&address, "server", "http://"+defaultListen, "`URL` of the running server")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		server, err := newClient(address)
		if err != nil {
			return err
		}
		return body(cmd.Context(), server, args)
	}
	return cmd
}

func (c *command) load() *cobra.Command {
	return remote(&cobra.Command{
		Use: "load NAME ADAPTER", Short: "Gate an adapter in a running server and make it live under a name", Args: arguments(cobra.ExactArgs(2)),
	}, func(ctx context.Context, server *client, args []string) error {
		ref := args[1]
		if _, err := os.Stat(ref); err == nil {
			if absolute, err := filepath.Abs(ref); err == nil {
				ref = absolute // the server has its own working directory
			}
		}
		failed, err := server.call(ctx, "/v1/load_lora_adapter", map[string]string{"lora_name": args[0], "lora_path": ref}, nil)
		switch {
		case err != nil:
			return err
		case failed == nil:
			_, err = fmt.Fprintf(c.stdout, "%s is live\n", report.Escape(args[0]))
			return err
		case failed.Report != nil:
			if err := c.print(failed.Report, "text"); err != nil {
				return err
			}
			return verdictExit(failed.Report, "deny")
		}
		return failed.refusal()
	})
}

func (c *command) unload() *cobra.Command {
	return remote(&cobra.Command{
		Use: "unload NAME", Short: "Make a name in a running server mean nothing", Args: arguments(cobra.ExactArgs(1)),
	}, func(ctx context.Context, server *client, args []string) error {
		if failed, err := server.call(ctx, "/v1/unload_lora_adapter", map[string]string{"lora_name": args[0]}, nil); err != nil {
			return err
		} else if failed != nil {
			return failed.refusal()
		}
		_, err := fmt.Fprintf(c.stdout, "%s is unloaded\n", report.Escape(args[0]))
		return err
	})
}

func (c *command) rollback() *cobra.Command {
	return remote(&cobra.Command{
		Use: "rollback NAME", Short: "Make a name in a running server mean what it meant before", Args: arguments(cobra.ExactArgs(1)),
	}, func(ctx context.Context, server *client, args []string) error {
		var now struct {
			Generation string `json:"generation"`
		}
		if failed, err := server.call(ctx, "/api/v1/rollback", map[string]string{"alias": args[0]}, &now); err != nil {
			return err
		} else if failed != nil {
			return failed.refusal()
		}
		_, err := fmt.Fprintf(c.stdout, "%s is generation %s again\n", report.Escape(args[0]), shortDigest(now.Generation))
		return err
	})
}

func (c *command) ps() *cobra.Command {
	var format string
	cmd := remote(&cobra.Command{
		Use: "ps", Short: "List what a running server has live", Args: arguments(cobra.NoArgs),
	}, func(ctx context.Context, server *client, _ []string) error {
		if err := oneOf("output", format, formats...); err != nil {
			return err
		}
		var answer adaptersAnswer
		if failed, err := server.call(ctx, "/api/v1/adapters", nil, &answer); err != nil {
			return err
		} else if failed != nil {
			return failed.refusal()
		}
		if format == "json" {
			return json.MarshalWrite(c.stdout, answer, json.Deterministic(true), jsontext.WithIndent("  "))
		}
		fmt.Fprintf(c.stdout, "backend  %s, %s, %d restarts\nbase     %s  %s\n\n", report.Escape(answer.Backend.Name), report.Escape(answer.Backend.State),
			answer.Backend.Restarts, report.Escape(answer.Base.Name), shortDigest(answer.Base.Digest))
		table := tabwriter.NewWriter(c.stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintf(table, "NAME\tVERDICT\tGENERATION\tADAPTER\tBACK\tSINCE\n")
		for _, a := range answer.Adapters {
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%d\t%s\n", report.Escape(a.Alias), report.Escape(string(a.Verdict)),
				shortDigest(a.Generation), shortDigest(a.Digest), a.History, report.Escape(a.LoadedAt))
		}
		return table.Flush()
	})
	cmd.Flags().StringVarP(&format, "output", "o", "text", "`FORMAT` on stdout: "+strings.Join(formats, ", "))
	return cmd
}

// adaptersAnswer is what GET /api/v1/adapters says.
type adaptersAnswer struct {
	Backend struct {
		State    string `json:"state"`
		Name     string `json:"name"`
		Device   string `json:"device"`
		Restarts int64  `json:"restarts"`
	} `json:"backend"`
	Base struct {
		Name   string `json:"name"`
		Ref    string `json:"ref"`
		Digest string `json:"digest"`
	} `json:"base"`
	Adapters []struct {
		Alias      string         `json:"alias"`
		Ref        string         `json:"ref"`
		Digest     string         `json:"digest"`
		Generation string         `json:"generation"`
		Verdict    report.Verdict `json:"verdict"`
		LoadedAt   string         `json:"loadedAt"`
		History    int            `json:"history"`
	} `json:"adapters"`
}

// shortDigest keeps enough of a digest to tell generations apart in a table.
func shortDigest(digest string) string {
	if hex, ok := strings.CutPrefix(digest, "sha256:"); ok && len(hex) > 12 {
		return report.Escape(hex[:12])
	}
	return report.Escape(digest)
}
