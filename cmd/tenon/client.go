package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/report"
)

// maxAnswer bounds what a client command reads from a server.
const maxAnswer = 256 << 20

// client talks to a running server.
type client struct {
	url    string
	secret string // of the API key; "" sends none
	http   http.Client
}

// newClient checks that address is one that can be asked.
func newClient(address string) (*client, error) {
	parsed, err := url.Parse(address)
	if err != nil || parsed.Host == "" || parsed.User != nil || parsed.Scheme != "http" && parsed.Scheme != "https" {
		return nil, fault.New(fault.UsageFlag, "--server %q is not a URL", address).Fix("for instance http://%s", defaultListen)
	}
	c := &client{url: strings.TrimRight(address, "/")}
	c.http.Timeout = 10 * time.Minute
	c.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // the key is for this server
	return c, nil
}

// failure is the OpenAI-shaped error of an answer. Report comes with a refused load.
type failure struct {
	Error struct {
		Message string `json:"message"`
		Param   string `json:"param"`
		Code    string `json:"code"`
	} `json:"error"`
	Report *report.Report `json:"report"`

	client *client // that was refused
}

// call sends in as JSON (GET when nil) and decodes the answer into out. An answer of 400 or more is returned as its failure.
func (c *client) call(ctx context.Context, path string, in, out any) (*failure, error) {
	if in == nil {
		return c.do(ctx, http.MethodGet, path, nil, out)
	}
	return c.do(ctx, http.MethodPost, path, in, out)
}

// do is call with a method.
func (c *client) do(ctx context.Context, method, path string, in, out any) (*failure, error) {
	response, err := c.open(ctx, method, path, in, nil)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return nil, fault.New(fault.ServerDown, "the answer of %s broke off", c.url).Wrap(err)
	}
	if response.StatusCode >= 300 {
		f := &failure{client: c}
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

// open sends a request, whose answer's body the caller closes.
func (c *client) open(ctx context.Context, method, path string, in any, header http.Header) (*http.Response, error) {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in, json.Deterministic(true))
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, method, c.url+path, body)
	if err != nil {
		return nil, err
	}
	for name, values := range header {
		request.Header[name] = values
	}
	if in != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if c.secret != "" {
		request.Header.Set("Authorization", "Bearer "+c.secret)
	}
	response, err := c.http.Do(request)
	if err == nil {
		return c.understood(response)
	}
	if ctx.Err() != nil && method != http.MethodGet {
		return nil, errAsked
	}
	return nil, c.unreachable(err)
}

// refusal makes a server's error an error of this process, with the same code and so the same exit code.
func (f *failure) refusal() *fault.Error {
	// The message of a fault begins with its code, which the error made here says as well.
	e := fault.New(fault.Code(f.Error.Code), "%s", strings.TrimPrefix(f.Error.Message, f.Error.Code+": "))
	if f.missing() {
		return e.Fix("list what there is: tenon ps")
	}
	return f.client.remedied(e)
}

// missing reports whether the server knows no adapter of the name that it was asked about.
func (f *failure) missing() bool {
	return f.Error.Code == string(fault.IONotFound) && f.Error.Param == "alias"
}

// either is the error of a call: that there was no answer, or what the answer refused.
func either(failed *failure, err error) error {
	if err == nil && failed != nil {
		return failed.refusal()
	}
	return err
}

// complete is one greedy completion.
func (c *client) complete(ctx context.Context, model, prompt string) (string, error) {
	var answer struct {
		Choices []struct {
			Text string `json:"text"`
		} `json:"choices"`
	}
	in := map[string]any{"model": model, "prompt": prompt, "max_tokens": 48, "temperature": 0}
	if err := either(c.call(ctx, "/v1/completions", in, &answer)); err != nil {
		return "", err
	}
	if len(answer.Choices) == 0 {
		return "", fault.New(fault.ServerDown, "the answer has no choices")
	}
	return answer.Choices[0].Text, nil
}
