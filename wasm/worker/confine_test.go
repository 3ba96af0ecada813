package worker

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"
)

// probeName is the argv[0] under which the test binary confines itself and tries what a captured worker would.
const probeName = "tenon-confinement-probe"

// probe prints what it could do after being confined. What it could do before is in no line.
func probe() {
	runtime.GOMAXPROCS(2)
	time.Sleep(time.Nanosecond)
	score, scoreErr := os.Open("/proc/self/oom_score_adj")
	missing := append(confineForCompiling(request{}), confineForRunning()...)
	for _, m := range missing {
		fmt.Println("missing", m)
	}
	if f, err := os.Open("/etc/passwd"); err == nil {
		fmt.Println("could open", f.Name())
	}
	if f, err := os.Create(os.TempDir() + "/tenon-probe"); err == nil {
		fmt.Println("could create", f.Name())
	}
	if _, err := net.Dial("udp", "127.0.0.1:9"); err == nil {
		fmt.Println("could make a socket")
	}
	if err := exec.Command("/bin/true").Run(); err == nil {
		fmt.Println("could execute")
	}
	if parent, err := os.FindProcess(os.Getppid()); err == nil && parent.Signal(os.Interrupt) == nil {
		fmt.Println("could signal its parent")
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
	if strings.Contains(text, "missing") {
		t.Logf("this build or kernel confines in part only:\n%s", text)
	}
	if !strings.Contains(text, "computed 28") {
		t.Errorf("a confined process cannot compute:\n%s", text)
	}
	if strings.Contains(text, "out of memory") && !strings.Contains(text, "out of memory: 1000, <nil>") {
		t.Errorf("a worker is not the first to go when the machine is out of memory:\n%s", text)
	}
	if strings.Contains(text, "could") && !strings.Contains(text, "missing system calls") {
		t.Errorf("a confined process is not confined:\n%s", text)
	}
}
