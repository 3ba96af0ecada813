package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/tenon-ml/tenon/host/fault"
)

// byteUnits are the units of a size, as Hugging Face writes them: a thousand, or 1,024, times the one before.
var byteUnits = []struct {
	name  string
	bytes float64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
	{"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1},
}

// parseSize reads a number of bytes with its unit, such as 5GB, 500MiB or 1.5 GB. Case does not matter.
func parseSize(text string) (int64, error) {
	wrong := fault.New(fault.UsageFlag, "%q is not a size", text).Fix("give a number of bytes with a unit, such as 5GB or 500MiB")
	for _, unit := range byteUnits {
		if len(text) <= len(unit.name) || !strings.EqualFold(text[len(text)-len(unit.name):], unit.name) {
			continue
		}
		n, err := strconv.ParseFloat(strings.TrimSpace(text[:len(text)-len(unit.name)]), 64)
		if bytes := math.Floor(n * unit.bytes); err == nil && bytes >= 1 && bytes < math.MaxInt64 {
			return int64(bytes), nil
		}
		return 0, wrong
	}
	return 0, wrong
}

// formatSize is a number of bytes, rounded, in the largest decimal unit of which there is one.
func formatSize(n int64) string {
	switch {
	case n >= 1e12:
		return fmt.Sprintf("%.2f TB", float64(n)/1e12)
	case n >= 999.5e6:
		return fmt.Sprintf("%.2f GB", float64(n)/1e9)
	case n >= 999.5e3:
		return shortNumber(float64(n)/1e6) + " MB"
	case n >= 1e3:
		return shortNumber(float64(n)/1e3) + " kB"
	}
	return fmt.Sprintf("%d B", n)
}

// shortNumber rounds a number from 1 to 1,000: to a tenth below ten, and to a whole one from there.
func shortNumber(v float64) string {
	if v < 10 {
		return strconv.FormatFloat(math.Round(10*v)/10, 'f', -1, 64)
	}
	return strconv.FormatFloat(math.Round(v), 'f', 0, 64)
}
