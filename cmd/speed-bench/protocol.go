package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"time"

	"github.com/go-json-experiment/json"
)

// Whoever merges is a process of its own, and answers one request at a time: no one's threads, caches of memory or environment are another's.

// request asks for one thing, on a line of JSON.
type request struct {
	Op      string  `json:"op"` // prepare, merge, or of Tenon alone: copy, fma32, fma64
	DType   string  `json:"dtype"`
	Size    int     `json:"size"` // rows and columns of W
	Rank    int     `json:"rank"`
	Scale   float64 `json:"scale"`
	Copies  int     `json:"copies"` // of W, merged in turns so that W is in memory and not in a cache
	Workers int     `json:"workers"`
	W       string  `json:"w"` // file of the stored weight
	A       string  `json:"a"` // of the factors, f32
	B       string  `json:"b"`
	First   int     `json:"first"` // entries First, First+Step and so on of a merged weight are its sample
	Step    int     `json:"step"`
	Times   int     `json:"times"`  // measure so often
	Enough  float64 `json:"enough"` // seconds after which no further measurement begins
	Amount  int64   `json:"amount"` // bytes or multiply-adds

	// Of llama.cpp alone, with the op generate:
	Streams int     `json:"streams,omitempty"`
	Tokens  int     `json:"tokens,omitempty"`  // to write, for each stream
	Prompts []int32 `json:"prompts,omitempty"` // of all streams, one after the other and equally long
	IDs     []int32 `json:"ids,omitempty"`     // whose log-probability, as the first stream's first token, is wanted
}

// reply is the answer. The first of a process is not asked for, and says what it is.
type reply struct {
	Error   string            `json:"error,omitempty"`
	About   map[string]string `json:"about,omitempty"` // versions
	Seconds []float64         `json:"seconds,omitempty"`
	Sample  []float64         `json:"sample,omitempty"`
}

// contender is a process that merges.
type contender struct {
	name    string
	about   map[string]string
	command *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Reader
	stderr  *tail
}

// start starts a contender and waits until it says what it is. What it wrote before it died is in the error.
func start(ctx context.Context, name string, command *exec.Cmd) (*contender, error) {
	c := &contender{name: name, command: command, stderr: &tail{}}
	command.Stderr = c.stderr
	var err error
	if c.in, err = command.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.out = bufio.NewReader(out)
	if err := command.Start(); err != nil {
		return nil, err
	}
	hello, err := c.read()
	if err != nil {
		c.close()
		return nil, err
	}
	c.about = hello.About
	return c, ctx.Err()
}

// ask sends a request and waits for its answer.
func (c *contender) ask(r request) (reply, error) {
	line, err := json.Marshal(r)
	if err != nil {
		return reply{}, err
	}
	_, _ = c.in.Write(append(line, '\n')) // where nobody reads it any more, there is no answer either
	return c.read()
}

func (c *contender) read() (reply, error) {
	line, err := c.out.ReadBytes('\n')
	if err != nil {
		_ = c.command.Wait() // its own words are in stderr
		return reply{}, fmt.Errorf("%s stopped: %w%s", c.name, err, c.stderr)
	}
	var r reply
	if err := json.Unmarshal(line, &r); err != nil {
		return reply{}, fmt.Errorf("%s: %w in %q", c.name, err, line)
	}
	if r.Error != "" {
		return reply{}, fmt.Errorf("%s: %s", c.name, r.Error)
	}
	return r, nil
}

// close ends the process: it reads the end of its input, or is killed.
func (c *contender) close() {
	c.in.Close()
	timer := time.AfterFunc(5*time.Second, func() { _ = c.command.Process.Kill() })
	defer timer.Stop()
	_ = c.command.Wait()
}

// answer serves requests until the input ends.
func answer(in io.Reader, out io.Writer, about map[string]string, serve func(request) (reply, error)) error {
	write := func(r reply) error {
		line, err := json.Marshal(r)
		if err != nil {
			return err
		}
		_, err = out.Write(append(line, '\n'))
		return err
	}
	if err := write(reply{About: about}); err != nil {
		return err
	}
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		var r request
		var a reply
		if err = json.Unmarshal(line, &r); err == nil {
			a, err = serve(r)
		}
		if err != nil {
			a = reply{Error: err.Error()}
		}
		if err := write(a); err != nil {
			return err
		}
	}
}

// tail keeps the end of what a process says.
type tail struct{ text []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.text = append(t.text, p...)
	if over := len(t.text) - 2000; over > 0 {
		t.text = t.text[over:]
	}
	return len(p), nil
}

// String is the text as it follows a message; "" where there is none.
func (t *tail) String() string {
	if text := bytes.TrimSpace(t.text); len(text) > 0 {
		return ": " + string(text)
	}
	return ""
}
