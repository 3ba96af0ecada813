//go:build linux && amd64

package llamacpptest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// childVariable has the directory of the libraries, in the child's environment.
const childVariable = "TENON_TEST_LLAMA_CHILD"

// request is what the child is asked.
type request struct {
	Model, Adapter string // paths; Adapter may be ""
	Scale          float32
	Prompts        [][]int32
	Tokens         int
}

// reply has the tokens behind each prompt, and the logits of the first of them.
type reply struct {
	IDs    [][]int32
	Logits [][]float32
}

func TestMain(m *testing.M) {
	if dir := os.Getenv(childVariable); dir != "" {
		os.Exit(child(dir))
	}
	os.Exit(m.Run())
}

// child reads a request from standard input and writes the reply to standard output.
func child(dir string) int {
	err := func() error {
		var r request
		if err := json.NewDecoder(os.Stdin).Decode(&r); err != nil {
			return err
		}
		l, err := open(dir)
		if err != nil {
			return err
		}
		out, err := l.run(r)
		if err != nil {
			return err
		}
		return json.NewEncoder(os.Stdout).Encode(out)
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// libraries is the directory of llama.cpp's shared libraries. The test is skipped where there is none.
func libraries(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("TENON_LLAMA_CPP")
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			t.Skipf("no llama.cpp: %v", err)
		}
		dir = filepath.Join(cache, "tenon", "speed-bench-llama-3.22.1", "node_modules", "@node-llama-cpp", "linux-x64", "bins", "linux-x64")
	}
	if _, err := os.Stat(filepath.Join(dir, "libllama."+release+".so")); err != nil {
		t.Skipf("no llama.cpp: %v (install the npm package @node-llama-cpp/linux-x64 3.22.1 and name its bins/linux-x64 in TENON_LLAMA_CPP)", err)
	}
	return dir
}

// ask has llama.cpp answer a request.
func ask(t *testing.T, r request) reply {
	t.Helper()
	out, err := answered(t, r)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// answered is ask that returns what llama.cpp objects.
func answered(t *testing.T, r request) (reply, error) {
	t.Helper()
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), childVariable+"="+libraries(t))
	command.Stdin = bytes.NewReader(text)
	var stderr bytes.Buffer
	command.Stderr = &stderr
	output, err := command.Output()
	if err != nil {
		lines := bytes.Split(bytes.TrimSpace(stderr.Bytes()), []byte("\n"))
		return reply{}, fmt.Errorf("llama.cpp: %w: %s", err, bytes.Join(lines[max(0, len(lines)-8):], []byte("\n")))
	}
	var out reply
	if err := json.Unmarshal(output, &out); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	return out, nil
}
