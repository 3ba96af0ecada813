package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// watchTree looks at a process and its descendants fifty times a second, and returns a function that ends this and gives the largest sum of
// their resident pages seen, in bytes. Pages that several of them map count once for each.
func watchTree(root int) func() int64 {
	stop, largest := make(chan struct{}), make(chan int64)
	go func() {
		ticker := time.NewTicker(20 * time.Millisecond)
		defer ticker.Stop()
		high := int64(0)
		for {
			high = max(high, treeRSS("/proc", root))
			select {
			case <-stop:
				largest <- high
				return
			case <-ticker.C:
			}
		}
	}()
	return func() int64 { close(stop); return <-largest }
}

// treeRSS is the sum now; 0 on systems without such a directory of processes.
func treeRSS(proc string, root int) int64 {
	paths, _ := filepath.Glob(filepath.Join(proc, "[0-9]*", "stat"))
	parent, pages := map[int]int{}, map[int]int64{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		// The name in parentheses may hold anything; what follows the last one is numbers: state, parent, and the 22nd the resident pages.
		fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
		if len(fields) < 22 {
			continue
		}
		parent[pid], _ = strconv.Atoi(string(fields[1]))
		pages[pid], _ = strconv.ParseInt(string(fields[21]), 10, 64)
	}
	sum := int64(0)
	for pid, n := range pages {
		at := pid
		for depth := 0; at != root && at > 1 && depth < 64; depth++ {
			at = parent[at]
		}
		if at == root {
			sum += n
		}
	}
	return sum * int64(os.Getpagesize())
}
