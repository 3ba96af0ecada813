package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/tenon-ml/tenon/sdk/tensor"
)

var update = flag.Bool("update", false, "write the golden files again")

func TestPages(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("the rows are the implementations of amd64")
	}
	s := system{when: time.Date(2030, 2, 1, 0, 0, 0, 0, time.UTC), rounds: 2, cpu: "Some CPU (family 1, model 2)", cores: 2, memory: 24 << 30,
		kernel: "Linux 6.1", storage: "ext4 on /dev/x", load: "0.07", pages: "madvise",
		goes: "go1.26.0", versions: map[string]string{"torch": "2.0", "peft": "0.1"}}
	memory := &memoryResult{
		workers: 2, about: map[string]string{"implementation": "avx2", "limit": "avx512"}, missing: map[string]string{numpyName: "it did not start"},
		limits: []limitFigure{{"copy", "GB/s", series{10, 12}, series{20, 21}}, {"fma32", "GFLOP/s", series{100, 101}, series{200, 198}},
			{"fma64", "GFLOP/s", series{50, 50}, series{99, 100}}},
	}
	for i, dtype := range []tensor.DType{tensor.BF16, tensor.BF16, tensor.F32} {
		ms := float64(i+1) / 1000
		c := memoryCase{dtype: dtype, rank: []int{8, 64, 8}[i], seconds: map[string]series{
			tenonBest: {3 * ms, 4 * ms}, tenonOne: {5 * ms, 8 * ms}, "Tenon avx512": {2 * ms, 2 * ms}, "Tenon avx2": {3 * ms, 4 * ms},
			"Tenon generic": {300 * ms, 310 * ms}, peftPlain: {90 * ms, 80 * ms}, peftTuned: {30 * ms, 28 * ms}, limitCopy: {2 * ms, 3 * ms},
			limitFMA: {1 * ms, 4 * ms},
		}}
		memory.cases = append(memory.cases, c)
	}
	run := func(seconds float64, mib int64) measured {
		return measured{seconds: seconds, ended: seconds - 0.5, maxRSS: mib << 20, treeRSS: mib << 21, output: []byte(`{"imports": 2.5}`)}
	}
	files := &fileResult{
		bytes: 4_013_000_000, shapes: llama(4e9), how: "`drop_caches`", missing: map[string]string{peftCached: "it failed"},
		runs: map[string][]measured{
			copyCached: {run(2, 2), run(2.2, 2)}, mergeCached: {run(2.1, 300), run(2.6, 310)}, copyCold: {run(3, 2), run(3.1, 2)},
			mergeCold: {run(4, 320), run(4.6, 305)}, checkMerge: {run(5, 400), run(5.2, 400)}, torchCached: {run(22, 7000), run(20, 7001)},
			firstCached: {run(3, 300), run(3, 300)}, firstCold: {run(5, 300), run(5, 600)},
		},
	}
	one, eight := decodeCases[0], decodeCases[1]
	text := func(factor float64) map[decodeCase]*decodeFigures {
		return map[decodeCase]*decodeFigures{
			one:   {prefill: series{200 * factor, 210 * factor}, decode: series{40 * factor, 42 * factor}},
			eight: {prefill: series{190, 195}, decode: series{150 * factor, 160 * factor}},
		}
	}
	decode := &decodeResult{shapes: decodeShapes, bytes: 2 * decodeShapes.parameters(), apart: 0.0071, tenon: text(1), llama: text(1.5),
		memory: series{30, 31}, fma: series{180, 190}}
	alone := *decode
	alone.missing, alone.llama = "there is no npm", map[decodeCase]*decodeFigures{one: {}, eight: {}}
	for name, print := range map[string]func(*bytes.Buffer){
		"decode": func(w *bytes.Buffer) { printSystem(w, s); printDecode(w, decode); printDecode(w, &alone) },
		"memory": func(w *bytes.Buffer) { printSystem(w, s); printMemory(w, memory) },
		"files":  func(w *bytes.Buffer) { printSystem(w, s); printFiles(w, files) },
	} {
		t.Run(name, func(t *testing.T) {
			var page bytes.Buffer
			print(&page)
			golden := filepath.Join("testdata", name+".md")
			if *update {
				if err := os.WriteFile(golden, page.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(page.Bytes(), want) {
				t.Errorf("the page is not %s:\n%s", golden, page.Bytes())
			}
		})
	}
}

func TestRewrite(t *testing.T) {
	const begin, end = "<!-- speed-bench files: begin -->\n", "<!-- speed-bench files: end -->\n"
	path := filepath.Join(t.TempDir(), "page.md")
	for _, c := range []struct{ before, after string }{
		{"top\n" + begin + end + "rest\n", "top\n" + begin + "\nnew\n\n" + end + "rest\n"},
		{"top\n" + begin + "old\n" + end, "top\n" + begin + "\nnew\n\n" + end},
		{strings.ReplaceAll(begin+end, "files", "merge"), ""},
		{end + begin, ""},
	} {
		if err := os.WriteFile(path, []byte(c.before), 0o600); err != nil {
			t.Fatal(err)
		}
		err := rewrite(path, partFiles, []byte("new\n"))
		after, readErr := os.ReadFile(path)
		switch {
		case readErr != nil:
			t.Fatal(readErr)
		case c.after == "" && (err == nil || string(after) != c.before):
			t.Errorf("%q: error %v, and it became %q", c.before, err, after)
		case c.after != "" && (err != nil || string(after) != c.after):
			t.Errorf("%q: error %v, and it became %q, want %q", c.before, err, after, c.after)
		}
	}
}

// The page in the repository has a place for each part.
func TestPageHasItsParts(t *testing.T) {
	text, err := os.ReadFile("../../docs/benchmarks.md")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{partMerge, partFiles, partDecode} {
		if err := rewrite(path, part, []byte("new\n")); err != nil {
			t.Error(err)
		}
	}
}

func TestSystem(t *testing.T) {
	const mounts = "/dev/a / ext4 rw 0 0\nproc /proc proc rw 0 0\n/dev/b /data xfs rw 0 0\ntmpfs /data/fast tmpfs rw 0 0\n"
	for dir, want := range map[string]string{"/tmp/x": "ext4 on /dev/a", "/data": "xfs on /dev/b", "/database": "ext4 on /dev/a",
		"/data/fast/x": "tmpfs on tmpfs"} {
		if got := fileSystem(mounts, dir); got != want {
			t.Errorf("%s: got %q, want %q", dir, got, want)
		}
	}
	const cpuinfo = "processor\t: 0\nmodel\t\t: 1\nmodel name\t: A : B\n"
	for name, want := range map[string]string{"model name": "A : B", "model": "1", "flags": ""} {
		if got := field(cpuinfo, name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}
