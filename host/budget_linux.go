package host

import (
	"bufio"
	"bytes"
	"os"
	"strconv"
	"strings"
)

// availableMemory is what the kernel and the control group, whichever is stricter, can still give without swapping.
func availableMemory() (int64, bool) {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, false
	}
	kilobytes, ok := memoryField(text, "MemAvailable:")
	if !ok {
		return 0, false
	}
	available := kilobytes << 10
	if group, ok := groupHeadroom("/sys/fs/cgroup"); ok {
		available = min(available, group)
	}
	return available, true
}

// groupHeadroom is what a version 2 control group leaves: its limit less what is used, not counting file pages, which the kernel takes back.
func groupHeadroom(dir string) (int64, bool) {
	var numbers [2]int64
	for i, name := range []string{"memory.max", "memory.current"} {
		text, err := os.ReadFile(dir + "/" + name)
		if err != nil {
			return 0, false
		}
		if numbers[i], err = strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err != nil { // "max" is no number: no limit
			return 0, false
		}
	}
	stat, err := os.ReadFile(dir + "/memory.stat")
	if err != nil {
		return 0, false
	}
	inactive, _ := memoryField(stat, "inactive_file")
	active, _ := memoryField(stat, "active_file")
	return max(0, numbers[0]-max(0, numbers[1]-inactive-active)), true
}

// memoryField finds the number after a key at the start of a line.
func memoryField(text []byte, key string) (int64, bool) {
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if len(words) >= 2 && words[0] == key {
			n, err := strconv.ParseInt(words[1], 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}
