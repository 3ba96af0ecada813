package c_test

import (
	"math"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Numbers in sentences are what strconv writes, with a power of ten where the digits would say nothing or be too many.
func TestText(t *testing.T) {
	compiler, err := exec.LookPath("cc")
	if err != nil {
		t.Skip("no C compiler: cc is not on PATH")
	}
	program := filepath.Join(t.TempDir(), "text")
	build := exec.Command(compiler, "-std=c11", "-Wall", "-Wextra", "-Werror", "-I", ".", "-o", program, filepath.Join("testdata", "text.c"))
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	tests := []struct {
		value    float64
		decimals int
		want     string
	}{
		{0, 0, "0"}, {math.Copysign(0, -1), 2, "0.00"}, {1, 0, "1"}, {-1, 2, "-1.00"}, {71.25, 2, "71.25"}, {71.25, 1, "71.3"}, {99.96, 1, "100.0"},
		{0.5, 0, "1"}, {0.4, 0, "4e-01"}, {0.0049, 2, "4.90e-03"}, {0.005, 2, "0.01"}, {123456789.987, 2, "123456789.99"},
		{999999999.5, 0, "1000000000"}, {1e9, 2, "1.00e+09"}, {-3.125e-7, 2, "-3.13e-07"}, {9.999e-5, 2, "1.00e-04"}, {1e-4, 4, "0.0001"},
		{9.9951e22, 2, "1.00e+23"}, {5e-324, 2, "4.94e-324"}, {math.MaxFloat64, 3, "1.798e+308"}, {1.0 / 3, 9, "0.333333333"}, {2, 12, "2.000000000"},
		{math.NaN(), 2, "NaN"}, {math.Inf(1), 2, "+Inf"}, {math.Inf(-1), 0, "-Inf"},
	}
	var input strings.Builder
	for _, test := range tests {
		input.WriteString(strconv.FormatFloat(test.value, 'x', -1, 64) + " " + strconv.Itoa(test.decimals) + "\n")
	}
	run := exec.Command(program)
	run.Stdin = strings.NewReader(input.String())
	output, err := run.Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(output), "\n"), "\n")
	if len(lines) != len(tests)+2 {
		t.Fatalf("%d lines for %d numbers: %q", len(lines), len(tests), lines)
	}
	for i, test := range tests {
		if lines[i] != test.want {
			t.Errorf("%g with %d decimals is %q, want %q", test.value, test.decimals, lines[i], test.want)
		}
	}
	if got := lines[len(tests)]; got != "-9223372036854775808 1234567890123456789" {
		t.Errorf("whole numbers are %q", got)
	}
	if got := lines[len(tests)+1]; got != "1022 1" { // 2 bytes, then 340 whole characters, then nothing
		t.Errorf("a text that does not fit has length and mark %q", got)
	}
}
