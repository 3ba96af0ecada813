package loadtest

import (
	"slices"
	"sync"
	"time"
)

// Result is how a server bore a load. Times are in milliseconds.
type Result struct {
	Requests   int            `json:"requests"`            // that were answered
	Failed     map[string]int `json:"failed"`              // others, by what went wrong
	FirstError string         `json:"firstError,omitzero"` // of those that failed, as the server words it
	Wrong      int            `json:"wrong"`               // answered, but not with what was expected
	FirstWrong string         `json:"firstWrong,omitzero"`
	Seconds    float64        `json:"seconds"`
	PerSecond  float64        `json:"requestsPerSecond"`
	Chunks     int            `json:"chunks"` // parts of texts, mostly a token each
	ChunkRate  float64        `json:"chunksPerSecond"`
	First      Quantiles      `json:"firstTokenMs"` // from when the request was due
	Gap        Quantiles      `json:"tokenGapMs"`   // between two parts of one text
	Whole      Quantiles      `json:"wholeMs"`
	Answered   map[string]int `json:"answeredBy"` // requests by generation

	Cause error `json:"-"` // FirstError: a *fault.Error of the server, or why there was no answer; nil where neither said anything
}

// Quantiles of a time.
type Quantiles struct {
	P50 float64 `json:"p50"`
	P90 float64 `json:"p90"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// recorder collects the times of requests from several goroutines.
type recorder struct {
	mu                sync.Mutex
	failures          map[string]int
	answered          map[string]int
	cause             error
	wrong             int
	firstWrong        string
	first, gap, whole []float64
	chunks            int
}

func newRecorder() *recorder {
	return &recorder{failures: map[string]int{}, answered: map[string]int{}}
}

// failed counts a request that failed. cause may be nil.
func (r *recorder) failed(why string, cause error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failures[why]++
	if r.cause == nil {
		r.cause = cause
	}
}

func (r *recorder) done(answer Answer, due time.Time, times []time.Time, wrong error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answered[answer.Generation]++
	if wrong != nil {
		if r.wrong++; r.firstWrong == "" {
			r.firstWrong = wrong.Error()
		}
	}
	r.chunks += len(times)
	if len(times) == 0 {
		return
	}
	r.first = append(r.first, milliseconds(times[0].Sub(due)))
	r.whole = append(r.whole, milliseconds(times[len(times)-1].Sub(due)))
	for i := 1; i < len(times); i++ {
		r.gap = append(r.gap, milliseconds(times[i].Sub(times[i-1])))
	}
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func (r *recorder) result(took time.Duration) *Result {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := &Result{Failed: r.failures, Wrong: r.wrong, FirstWrong: r.firstWrong, Seconds: took.Seconds(), Chunks: r.chunks, Answered: r.answered,
		First: quantiles(r.first), Gap: quantiles(r.gap), Whole: quantiles(r.whole)}
	if out.Cause = r.cause; r.cause != nil {
		out.FirstError = r.cause.Error()
	}
	for _, n := range r.answered {
		out.Requests += n
	}
	if took > 0 {
		out.PerSecond, out.ChunkRate = float64(out.Requests)/took.Seconds(), float64(out.Chunks)/took.Seconds()
	}
	return out
}

// quantiles sorts x. A quantile is the least value that at least this share of all does not exceed.
func quantiles(x []float64) Quantiles {
	if len(x) == 0 {
		return Quantiles{}
	}
	slices.Sort(x)
	at := func(share float64) float64 {
		i := int(share*float64(len(x)) + 0.999999)
		return x[min(max(i, 1), len(x))-1]
	}
	return Quantiles{at(0.5), at(0.9), at(0.99), x[len(x)-1]}
}
