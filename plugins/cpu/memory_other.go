//go:build !linux

package cpu

import (
	"fmt"
	"runtime"
)

func adviseLargePages([]byte) {}

func availableMemory() (uint64, bool) { return 0, false }

func totalMemory() uint64 { return 0 }

func deviceName(workers int) string { return fmt.Sprintf("%s, %d threads", runtime.GOARCH, workers) }
