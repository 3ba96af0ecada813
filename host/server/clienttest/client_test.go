// Package clienttest runs the official OpenAI client against a real server.
package clienttest

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// python is the interpreter that `make openai-client` installs the client for.
func python(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Skipf("no cache folder: %v", err)
	}
	name := filepath.Join(cache, "tenon", "openai", "bin", "python")
	if err := exec.Command(name, "-c", "import openai, requests").Run(); err != nil {
		t.Skipf("the OpenAI client for Python is not installed (make openai-client): %v", err)
	}
	return name
}

// binary is the command, which all tests share.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "tenon-clienttest-")
	if err != nil {
		return "", err
	}
	name := filepath.Join(dir, "tenon")
	build := exec.Command("go", "build", "-o", name, "./cmd/tenon")
	build.Dir = "../../.."
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return name, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if name, err := binary(); err == nil {
		os.RemoveAll(filepath.Dir(name))
	}
	os.Exit(code)
}

// serve starts the command on a free port and returns its URL. The base is called "base".
func serve(t *testing.T, base string, flags ...string) string {
	t.Helper()
	name, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	template, err := filepath.Abs("template.jinja")
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(name, append([]string{"serve", "--base", base, "--name", "base", "--listen", "127.0.0.1:0",
		"--chat-template", template, "--max-requests", "4"}, flags...)...)
	command.Env = append(os.Environ(), "XDG_STATE_HOME="+t.TempDir(), "XDG_DATA_HOME="+t.TempDir())
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	command.Stderr = command.Stdout // both tell where it listens
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	url := make(chan string, 1)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer close(url)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			t.Log(lines.Text())
			if _, rest, ok := strings.Cut(lines.Text(), "http://"); ok {
				select {
				case url <- "http://" + strings.TrimRight(strings.Fields(rest)[0], ",."):
				default:
				}
			}
		}
	}()
	t.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		<-ended
		if err := command.Wait(); err != nil {
			t.Errorf("the server ended with %v", err)
		}
	})
	got, ok := <-url
	if !ok {
		t.Fatal("the server ended before it listened")
	}
	return got
}

func TestOpenAIClient(t *testing.T) {
	interpreter := python(t)
	root, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	url := serve(t, filepath.Join(root, "examples/restaurant/base"))
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute) // a server that hangs must not hang the tests
	defer cancel()
	script := exec.CommandContext(ctx, interpreter, "client.py", url, filepath.Join(root, "examples/restaurant/adapter"))
	output, err := script.CombinedOutput()
	if err != nil || !strings.HasSuffix(string(output), "done\n") {
		t.Errorf("%v\n%s", err, output)
	}
}
