package hostile

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/wasm/hostile/traces"
	"github.com/tenon-ml/tenon/wasm/sandbox"
	"github.com/tenon-ml/tenon/wasm/worker"
)

// row is one case of the corpus: a module and what it must come to, or a test elsewhere that holds the promise.
type row struct {
	Row   string         `json:"row"`  // E01 to E27
	Does  string         `json:"does"` // in a few words
	File  string         `json:"file"` // of testdata, NAME.wat with NAME.wasm beside it or NAME.hex; with Test, of the repository
	Make  string         `json:"make"` // key of made, instead of a file
	Test  string         `json:"test"`
	State sandbox.Status `json:"status"`
	Code  int32          `json:"code"`
	Says  string         `json:"says"`       // a part of the error
	Log   string         `json:"log"`        // a part of the log
	End   string         `json:"end"`        // refused before it runs, killed, or ended
	Again bool           `json:"again"`      // a second run must give the same
	Stop  bool           `json:"cancel"`     // the caller gives up while it runs
	Calls int64          `json:"host_calls"` // that it may make, 0 for the default
}

// corpus reads the table.
func corpus(t *testing.T) []row {
	t.Helper()
	text, err := os.ReadFile("testdata/expect.json")
	if err != nil {
		t.Fatal(err)
	}
	var rows []row
	if err := json.Unmarshal(text, &rows, json.RejectUnknownMembers(true)); err != nil {
		t.Fatal(err)
	}
	return rows
}

// module is the row's module.
func (r row) module(t *testing.T) []byte {
	t.Helper()
	if r.Make != "" {
		return made[r.Make]()
	}
	if strings.HasSuffix(r.File, ".hex") {
		return readHex(t, filepath.Join("testdata", r.File))
	}
	wasm, err := os.ReadFile(filepath.Join("testdata", strings.TrimSuffix(r.File, ".wat")+".wasm"))
	if err != nil {
		t.Fatal(err)
	}
	return wasm
}

// job runs the module with everything granted, and with little time if it is to be killed.
func (r row) job(t *testing.T, input sandbox.Input) worker.Job {
	wasm := r.module(t)
	limits := abi.Limits{CompileMillis: 60_000, RunMillis: 60_000, GuestMemory: 32 << 20, HostTensors: 16 << 20, HostCalls: r.Calls}
	if r.End == "killed" {
		limits.RunMillis = 300
	}
	if strings.Contains(r.Says, "compiling") {
		limits.CompileMillis = 300
	}
	return worker.Job{Wasm: wasm, SHA256: sha256.Sum256(wasm), Manifest: abi.Manifest{ID: "hostile", Needs: everything}, Granted: everything,
		Limits: limits, Input: input}
}

// grown is how much the memory of this process may grow over the whole corpus.
const grown = 64 << 20

// TestCorpus runs every fixture in a worker and holds it to its row. Over all of them the process may not grow, and nothing is left behind.
func TestCorpus(t *testing.T) {
	input := sampleInput(t)
	t.Setenv("TMPDIR", t.TempDir())
	runner := &worker.Runner{Executable: executable, CacheDir: filepath.Join(t.TempDir(), "cache")}
	before, most := traces.Take(t), int64(0)
	var late time.Duration
	latest := ""
	for _, r := range corpus(t) {
		t.Run(r.Row+" "+r.Does, func(t *testing.T) {
			if r.Test != "" {
				r.mustExist(t)
				return
			}
			over := r.run(t, runner, input)
			if over > late {
				late, latest = over, r.Does
			}
		})
		most = max(most, traces.Resident(t))
	}
	if err := runner.Close(); err != nil {
		t.Error(err)
	}
	t.Logf("the last to come back after its deadline was %q, %v late; the process grew by %d KiB", latest, late.Round(time.Millisecond),
		(most-before.Resident)>>10)
	if raceRun := executable != ""; most-before.Resident > grown && !raceRun { // the race detector keeps a shadow of all memory
		t.Errorf("the process grew by %d bytes", most-before.Resident)
	}
	before.MustBeAll(t)
}

// mustExist fails unless the test that holds the promise is there.
func (r row) mustExist(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(r.File)))
	if err != nil || !strings.Contains(string(text), "\nfunc "+r.Test+"(") {
		t.Errorf("%s has no %s: %v", r.File, r.Test, err)
	}
}

// run runs the fixture, and returns how long after its deadline it came back if it was killed: what starting the worker took is in it.
func (r row) run(t *testing.T, runner *worker.Runner, input sandbox.Input) time.Duration {
	job := r.job(t, input)
	refused := sandbox.Precheck(job.Wasm, job.Manifest, job.Granted, job.Limits)
	if (refused != nil) != (r.End == "refused") {
		t.Errorf("the pre-check says %v", refused)
	}
	ctx, limit := context.Background(), job.Limits.RunMillis
	if r.Stop {
		stopped, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		defer cancel()
		ctx, limit, job.Limits.RunMillis = stopped, 100, 60_000
	} else if strings.Contains(r.Says, "compiling") {
		limit = job.Limits.CompileMillis
	}
	start := time.Now()
	result, _ := runner.Run(ctx, job)
	took := time.Since(start)
	if result.Status != r.State || result.Code != r.Code || !strings.Contains(result.Error, r.Says) || !strings.Contains(result.Log, r.Log) {
		t.Errorf("%s, code %d, %q, log %.200q", result.Status, result.Code, result.Error, result.Log)
	}
	mustBePlain(t, result)
	if r.Again {
		second, _ := runner.Run(ctx, job)
		result.Usage, second.Usage = sandbox.Usage{}, sandbox.Usage{}
		if !reflect.DeepEqual(result, second) || len(result.Metrics) == 0 {
			t.Errorf("the second run gives %+v, the first %+v", second, result)
		}
	}
	if r.End != "killed" {
		return 0
	}
	if strings.Contains(r.Says, "running") { // once more from the cache, so that no time goes into compiling
		if r.Stop {
			stopped, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
			defer cancel()
			ctx = stopped
		}
		start = time.Now()
		runner.Run(ctx, job)
		took = time.Since(start)
	}
	return took - time.Duration(limit)*time.Millisecond
}

// mustBePlain fails if what a module wrote could do anything to who reads it line by line. HTML is escaped where it is made.
func mustBePlain(t *testing.T, result sandbox.Result) {
	texts := strings.Split(strings.ReplaceAll(result.Error, "\t", " "), "\n") // the engine's stack has lines
	for _, f := range result.Findings {
		texts = append(texts, f.Code, f.Message, f.Hint)
	}
	for _, m := range result.Metrics {
		texts = append(texts, m.Name)
	}
	for _, text := range texts {
		if len(text) > 8<<10 || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\u202e' || r == '\u0085' }) {
			t.Errorf("a text of %d bytes is not plain: %.200q", len(text), text)
		}
	}
}

// TestEveryRowHasAFixture: the table has a row for each of E01 to E27, and no fixture lies about unused.
func TestEveryRowHasAFixture(t *testing.T) {
	rows := corpus(t)
	for i := 1; i <= 27; i++ {
		id := fmt.Sprintf("E%02d", i)
		if !slices.ContainsFunc(rows, func(r row) bool { return r.Row == id }) {
			t.Errorf("no row %s", id)
		}
	}
	for name := range made {
		if !slices.ContainsFunc(rows, func(r row) bool { return r.Make == name }) {
			t.Errorf("no row makes %s", name)
		}
	}
	files, err := os.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		name := strings.TrimSuffix(f.Name(), ".wasm")
		if f.IsDir() || name == "expect.json" {
			continue
		}
		if !slices.ContainsFunc(rows, func(r row) bool { return r.File == name || r.File == name+".wat" }) {
			t.Errorf("no row has %s", name)
		}
	}
}

// TestNumbersThatAreNone: what is no number arrives as it was given.
func TestNumbersThatAreNone(t *testing.T) {
	runner := &worker.Runner{Executable: executable}
	result, _ := runner.Run(context.Background(), row{File: "metric-nan.wat"}.job(t, sampleInput(t)))
	if len(result.Metrics) != 2 || !math.IsNaN(result.Metrics[0].Value) || !math.IsInf(result.Metrics[1].Value, -1) {
		t.Errorf("%+v", result)
	}
}
