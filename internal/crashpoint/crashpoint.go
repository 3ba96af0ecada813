// Package crashpoint lets a test end the real program at a chosen place, as kill -9 would: nothing is flushed, closed or told.
//
// TENON_CRASH_AT=registry.commit.begun ends the process when it first comes to the point of that name; registry.commit.begun:3 when it comes
// there for the third time. Without the variable a point costs one comparison.
package crashpoint

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
)

// Variable is the environment variable that names the point to crash at.
const Variable = "TENON_CRASH_AT"

// Point is the name of a place where the program can be made to crash.
type Point string

var (
	mu     sync.Mutex
	points []Point

	armed = sync.OnceValue(func() *trap { return parse(os.Getenv(Variable)) })
)

// trap is the point to crash at.
type trap struct {
	at   Point
	left atomic.Int64 // visits until the crash
}

// Define makes a point known to Names, and returns it. It is for the variables of a package; the same name twice is a mistake, and panics.
func Define(name string) Point {
	mu.Lock()
	defer mu.Unlock()
	p := Point(name)
	if slices.Contains(points, p) {
		panic("crashpoint: " + name + " is defined twice")
	}
	points = append(points, p)
	return p
}

// Names lists the points that the packages of this program define, sorted.
func Names() []string {
	mu.Lock()
	defer mu.Unlock()
	names := make([]string, len(points))
	for i, p := range points {
		names[i] = string(p)
	}
	slices.Sort(names)
	return names
}

// Here ends the process with SIGKILL if this is the point that the environment names, and does nothing otherwise.
func Here(p Point) {
	t := armed()
	if t == nil || t.at != p || t.left.Add(-1) != 0 {
		return
	}
	_ = syscall.Kill(syscall.Getpid(), syscall.SIGKILL)
	select {} // the signal is on its way; nothing after this point may happen
}

// parse reads "name" or "name:visit"; no name is no trap.
func parse(value string) *trap {
	name, visit, counted := strings.Cut(value, ":")
	if name == "" {
		return nil
	}
	t := &trap{at: Point(name)}
	t.left.Store(1)
	if n, err := strconv.ParseInt(visit, 10, 64); counted && err == nil && n > 0 {
		t.left.Store(n)
	}
	return t
}
