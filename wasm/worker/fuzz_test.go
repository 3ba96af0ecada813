package worker

import (
	"bytes"
	"testing"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/wasm/sandbox"
)

// FuzzFrames reads what a captured worker may write: every accepted result is within the limits and survives the way back.
func FuzzFrames(f *testing.F) {
	body, err := encodeAnswer(sandbox.Result{
		Status: sandbox.Trap, Metrics: []sandbox.Metric{{Target: -1, Peer: -1, Name: "a"}},
		Grids:    []sandbox.Grid{{Target: -1, Peer: -1, Name: "g", Rows: 1, Cols: 2, Values: []float64{1, 2}}},
		Findings: []sandbox.Finding{{Target: -1, Code: "CODE", Message: "m"}}, Log: "log",
	}, nil)
	if err != nil {
		f.Fatal(err)
	}
	var frame bytes.Buffer
	if err := writeFrame(&frame, frameResult, body); err != nil {
		f.Fatal(err)
	}
	f.Add(frame.Bytes())
	f.Add([]byte("r\xff\xff\xff\xff"))
	f.Add([]byte("c\x02\x00\x00\x00{}"))
	job := Job{Limits: abi.Limits{Metrics: 2, GridValues: 4, Findings: 2, LogBytes: 100}}
	limits := map[byte]int64{frameConfined: maxLayers, frameCompiled: maxLayers, frameResult: resultLimit(job.Limits.WithDefaults())}
	f.Fuzz(func(t *testing.T, data []byte) {
		kind, body, err := readFrame(bytes.NewReader(data), limits)
		if err != nil || kind != frameResult {
			return
		}
		result, _, err := decodeAnswer(body, job, true)
		if err != nil {
			return
		}
		if len(result.Metrics) > 2 || len(result.Grids) > 2 || len(result.Findings) > 2 {
			t.Errorf("beyond the limits: %+v", result)
		}
		again, err := encodeAnswer(result, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := decodeAnswer(again, job, true); err != nil {
			t.Errorf("%+v does not survive: %v", result, err)
		}
	})
}
