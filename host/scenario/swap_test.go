package scenario

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/tenon-ml/tenon/host/loadtest"
)

var prompts = []string{
	"name : Blue Spice | Type : coffee shop | area : riverside ||", "name : The Eagle | food : French ||", "In the beginning", "git is", "",
	"name : Cotto | Type : pub | near : The Portland Arms | customer rating : 5 out of 5 ||",
}

// Two generations of one alias are swapped as fast as the server can, under 16 clients that stream: every answer is, token for token, that of
// the one generation it names, none fails, and the server is afterwards as large as before.
func TestHotSwap(t *testing.T) {
	swaps := times(t, "TENON_SWAPS", 150)
	s := start(t, t.TempDir(), nil)
	if s == nil {
		t.Fatal("the server did not start")
	}
	s.ready()
	var generations []string
	expected := map[string]map[string]string{} // text by generation and prompt
	for _, adapter := range []string{first, second} {
		s.load("swapped", adapter)
		generation := s.generations()["swapped"]
		if !isDigest(generation) {
			t.Fatalf("generation %q", generation)
		}
		generations = append(generations, generation)
		expected[generation] = map[string]string{}
		for _, prompt := range prompts {
			by, text := s.text("swapped", prompt)
			if by != generation {
				t.Fatalf("the answer is of %s, live is %s", by, generation)
			}
			expected[generation][prompt] = text
		}
	}
	differing := 0
	for _, prompt := range prompts {
		if expected[generations[0]][prompt] != expected[generations[1]][prompt] {
			differing++
		}
	}
	if differing < 3 {
		t.Fatalf("only %d of %d prompts tell the generations apart", differing, len(prompts))
	}

	plan := loadtest.Plan{URL: s.url, Models: []string{"swapped"}, Prompts: prompts, Tokens: 24, Clients: 16, Duration: 100 * time.Hour,
		Client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}},
		Check: func(a loadtest.Answer) error {
			want, known := expected[a.Generation][a.Prompt]
			if !known || a.Text != want {
				return fmt.Errorf("generation %s on %q gave %q, want %q", a.Generation, a.Prompt, a.Text, want)
			}
			return nil
		}}
	// run swaps n times under load.
	run := func(n int) (*loadtest.Result, *loadtest.Swapped) {
		ctx, cancel := contextWithCancel(t)
		defer cancel()
		var swapped *loadtest.Swapped
		var swapErr error
		var swapper sync.WaitGroup
		p := plan
		stop := make(chan struct{})
		swapper.Go(func() {
			defer close(stop)
			swapped, swapErr = loadtest.Swaps{URL: s.url, Alias: "swapped", Generations: generations, Count: n}.Run(ctx)
		})
		p.Stop = stop
		result, err := loadtest.Run(ctx, p)
		swapper.Wait()
		if err != nil || swapErr != nil {
			t.Fatalf("%v, %v\n%s", err, swapErr, s.log)
		}
		return result, swapped
	}
	run(max(swaps/10, 20)) // caches and pools fill
	before := s.gauges()
	result, swapped := run(swaps)
	time.Sleep(500 * time.Millisecond)
	after := s.gauges()

	if len(result.Failed) > 0 || result.Wrong > 0 || result.Requests == 0 {
		t.Errorf("failed %v, wrong %d: %s", result.Failed, result.Wrong, result.FirstWrong)
	}
	if len(result.Answered) != 2 {
		t.Errorf("answered by %v, want both generations", result.Answered)
	}
	t.Logf("%d swaps, p50 %.2f ms, p99 %.2f ms; %d requests, %.0f tokens a second, first token p99 %.1f ms, gap p50 %.2f p99 %.2f max %.1f ms; by generation %v",
		swapped.Count, swapped.Took.P50, swapped.Took.P99, result.Requests, result.ChunkRate, result.First.P99, result.Gap.P50, result.Gap.P99, result.Gap.Max, result.Answered)
	for name, slack := range map[string]float64{"process_resident_memory_bytes": 48 << 20, "go_goroutines": 32, "process_open_fds": 32} {
		t.Logf("%s %.0f, before %.0f", name, after[name], before[name])
		if after[name] > before[name]+slack || after[name] == 0 {
			t.Errorf("%s grew from %.0f to %.0f", name, before[name], after[name])
		}
	}
	s.stop()
}
