package worker

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tenon-ml/tenon/sdk/abi"
)

// probeName is the argv[0] under which the test binary confines itself and tries what a captured worker would.
const probeName = "tenon-confinement-probe"

// probe prints what it could do after being confined. What it could do before is in no line.
func probe() {
	runtime.GOMAXPROCS(2)
	time.Sleep(time.Nanosecond)
	score, scoreErr := os.Open("/proc/self/oom_score_adj")
	missing := append(confineForWaiting(), confineForCompiling(abi.Limits{}, 0, "", false)...)
	try("while it compiles")
	missing = append(missing, confineForRunning()...)
	try("while it runs")
	for _, m := range missing {
		fmt.Println("missing", m)
	}
	if scoreErr == nil {
		adjustment, err := io.ReadAll(score)
		fmt.Printf("out of memory: %s, %v\n", strings.TrimSpace(string(adjustment)), err)
	}
	// What computing needs still works: threads, memory, garbage collection.
	sum := make(chan int)
	for i := range 8 {
		go func() {
			runtime.LockOSThread()
			data := make([]int, 1<<20)
			data[i] = i
			runtime.GC()
			sum <- data[i]
		}()
	}
	total := 0
	for range 8 {
		total += <-sum
	}
	fmt.Println("computed", total)
	os.Exit(0)
}

// try prints what a confined process can do that none should.
func try(when string) {
	if f, err := os.Open("/etc/passwd"); err == nil {
		fmt.Println(when, "it could open", f.Name())
	}
	if _, err := os.Open(fmt.Sprintf("/proc/%d/mem", os.Getppid())); err == nil {
		fmt.Println(when, "it could open its parent's memory")
	}
	if f, err := os.Create(os.TempDir() + "/tenon-probe"); err == nil {
		fmt.Println(when, "it could create", f.Name())
	}
	if _, err := net.Dial("udp", "127.0.0.1:9"); err == nil {
		fmt.Println(when, "it could make a socket")
	}
	if err := exec.Command("/bin/true").Run(); err == nil {
		fmt.Println(when, "it could execute")
	}
	if parent, err := os.FindProcess(os.Getppid()); err == nil && parent.Signal(syscall.Signal(0)) == nil {
		fmt.Println(when, "it could signal its parent")
	}
	tryCalls(when)
	fmt.Println("probed", when)
}

func TestConfinementHolds(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("there is no confinement outside Linux")
	}
	command := exec.Command("/proc/self/exe")
	command.Args = []string{probeName}
	output, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	text := string(output)
	if !strings.Contains(text, "probed while it compiles\n") || !strings.Contains(text, "probed while it runs\n") {
		t.Errorf("the probe did not come to its end:\n%s", text)
	}
	if strings.Contains(text, "missing") {
		t.Logf("this build or kernel confines in part only:\n%s", text)
	}
	if !strings.Contains(text, "computed 28") {
		t.Errorf("a confined process cannot compute:\n%s", text)
	}
	if strings.Contains(text, "out of memory") && !strings.Contains(text, "out of memory: 1000, <nil>") {
		t.Errorf("a worker is not the first to go when the machine is out of memory:\n%s", text)
	}
	for line := range strings.Lines(text) {
		excused := strings.Contains(text, "missing system calls") ||
			strings.HasPrefix(line, "while it compiles") && strings.Contains(text, "missing")
		if strings.Contains(line, "it could") && !excused {
			t.Errorf("a confined process is not confined: %s", line)
		}
	}
}
