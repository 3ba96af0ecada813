package clienttest

import (
	"context"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
)

// TestClientLeaves checks that the real backend stops working for a client that has gone: its text is far from its end by then.
func TestClientLeaves(t *testing.T) {
	base, err := filepath.Abs("../../../examples/restaurant/base")
	if err != nil {
		t.Fatal(err)
	}
	url := serve(t, base)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	body := `{"model":"base","prompt":"The","n":4,"max_tokens":500,"ignore_eos":true,"temperature":0,"stream":true}`
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/v1/completions", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if _, err := response.Body.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	running := func() int {
		t.Helper()
		answer, err := http.Get(url + "/api/v1/status")
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		var status struct {
			Running int `json:"running"`
			Waiting int `json:"waiting"`
		}
		if err := json.UnmarshalRead(answer.Body, &status); err != nil {
			t.Fatal(err)
		}
		return status.Running + status.Waiting
	}
	if running() == 0 {
		t.Skip("the texts ended before they could be left: the machine is faster than the test")
	}
	left := time.Now()
	cancel()
	for running() > 0 {
		time.Sleep(time.Millisecond)
	}
	t.Logf("the backend was idle %v after the client left", time.Since(left))
}
