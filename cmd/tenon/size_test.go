package main

import (
	"strings"
	"testing"
	"time"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/merge"
)

func TestParseSize(t *testing.T) {
	for text, want := range map[string]int64{
		"5GB": 5_000_000_000, "500MiB": 500 << 20, "1.5 GB": 1_500_000_000, "2gib": 2 << 30, "1B": 1, "7kb": 7000,
		"": 0, "5": 0, "GB": 0, "-1GB": 0, "0GB": 0, "0.2B": 0, "NaNGB": 0, "1e30GB": 0, "five GB": 0, "5 G": 0,
	} {
		got, err := parseSize(text)
		if got != want || (err == nil) != (want > 0) || err != nil && fault.ClassOf(err) != fault.Usage {
			t.Errorf("%q is %d, %v; want %d", text, got, err, want)
		}
	}
}

func TestProgressLine(t *testing.T) {
	for _, c := range []struct {
		now     merge.Progress
		first   int64
		elapsed time.Duration
		want    string
	}{
		{merge.Progress{Done: 1_210_000_000, Total: 4_014_088_192}, 0, 2 * time.Second, "merging: 1.21 GB of 4.01 GB, 30 %, 605 MB/s, 5s left"},
		{merge.Progress{Done: 3e9, Total: 4e9}, 2e9, 2 * time.Second, "merging: 3.00 GB of 4.00 GB, 75 %, 500 MB/s, 2s left"},
		{merge.Progress{Done: 5000, Total: 5000}, 5000, time.Second, "merging: 5 kB of 5 kB, 100 %"},
		{merge.Progress{Done: 1, Total: 999_000_000_000_000}, 0, time.Hour * 9, "merging: 1 B of 999.00 TB, 0 %"},
	} {
		if got := progressLine(c.now, c.first, c.elapsed); got != c.want || len(got) >= 80 {
			t.Errorf("%+v: %q, want %q", c.now, got, c.want)
		}
	}
}

// TestMergeProgress wants a line after a while, no more than a few a second, and none when it is over.
func TestMergeProgress(t *testing.T) {
	var screen strings.Builder
	p, start := &mergeProgress{w: &screen}, time.Now()
	for i := range 301 {
		p.show(merge.Progress{Done: int64(i), Total: 300}, start.Add(time.Duration(i)*10*time.Millisecond))
	}
	if n := strings.Count(screen.String(), "merging"); n < 4 || n > 12 {
		t.Errorf("%d lines in three seconds", n)
	}
	p.clear()
	before := screen.Len()
	p.show(merge.Progress{Done: 300, Total: 300}, time.Now())
	if screen.Len() != before || !strings.HasSuffix(screen.String(), "\r\x1b[K") {
		t.Errorf("the line was not taken away: %q", screen.String())
	}
}
