package cpu

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

func adviseLargePages(bytes []byte) { _ = unix.Madvise(bytes, unix.MADV_HUGEPAGE) }

// availableMemory is what the kernel and the control group, whichever is stricter, can still give without swapping.
func availableMemory() (uint64, bool) {
	meminfo, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, false
	}
	kilobytes, ok := field(meminfo, "MemAvailable:")
	if !ok {
		return 0, false
	}
	available := kilobytes << 10
	if group, ok := groupHeadroom("/sys/fs/cgroup"); ok {
		available = min(available, group)
	}
	return available, true
}

func totalMemory() uint64 {
	meminfo, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	kilobytes, _ := field(meminfo, "MemTotal:")
	return kilobytes << 10
}

// groupHeadroom is what a version 2 control group leaves: its limit less what is used, not counting file pages, which the kernel takes back.
func groupHeadroom(dir string) (uint64, bool) {
	limit, err := readNumber(dir + "/memory.max") // "max" is no number: no limit
	if err != nil {
		return 0, false
	}
	current, err := readNumber(dir + "/memory.current")
	if err != nil {
		return 0, false
	}
	stat, err := os.ReadFile(dir + "/memory.stat")
	if err != nil {
		return 0, false
	}
	inactive, _ := field(stat, "inactive_file")
	active, _ := field(stat, "active_file")
	used := current - min(current, inactive+active)
	return limit - min(limit, used), true
}

func readNumber(path string) (uint64, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
}

// field finds the number after a key at the start of a line.
func field(text []byte, key string) (uint64, bool) {
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if len(words) >= 2 && words[0] == key {
			n, err := strconv.ParseUint(words[1], 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}

func deviceName(workers int) string {
	model := "CPU"
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		lines := bufio.NewScanner(bytes.NewReader(info))
		for lines.Scan() {
			if key, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(key) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	return fmt.Sprintf("%s, %d threads", model, workers)
}
