package loadtest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/tenon-ml/tenon/host/fault"
)

// Swaps turns an alias back and forth between generations that it has meant, as fast as the server answers or each Every, until ctx ends or
// Count is reached.
type Swaps struct {
	URL, Key    string
	Client      *http.Client
	Alias       string
	Generations []string // taken in turn
	Every       time.Duration
	Count       int // 0: until the context ends
}

// Swapped is what the swaps took, from the request to its answer.
type Swapped struct {
	Count int       `json:"count"`
	Took  Quantiles `json:"tookMs"`
}

// Run swaps. A swap that the server refuses ends it.
func (s Swaps) Run(ctx context.Context) (*Swapped, error) {
	if s.Client == nil {
		s.Client = http.DefaultClient
	}
	var took []float64
	for n := 0; s.Count == 0 || n < s.Count; n++ {
		begun := time.Now()
		if err := s.one(ctx, s.Generations[n%len(s.Generations)]); err != nil {
			if ctx.Err() != nil {
				break
			}
			return nil, err
		}
		took = append(took, milliseconds(time.Since(begun)))
		select {
		case <-ctx.Done():
		case <-time.After(s.Every - time.Since(begun)):
		}
		if ctx.Err() != nil {
			break
		}
	}
	return &Swapped{Count: len(took), Took: quantiles(took)}, nil
}

func (s Swaps) one(ctx context.Context, generation string) error {
	body, err := json.Marshal(map[string]string{"generation": generation})
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL+"/api/v1/adapters/"+url.PathEscape(s.Alias)+"/rollback", bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	if s.Key != "" {
		request.Header.Set("Authorization", "Bearer "+s.Key)
	}
	response, err := s.Client.Do(request)
	if err != nil {
		return fault.New(fault.ServerDown, "the swap was not answered").Wrap(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxLine))
	if err != nil || response.StatusCode != http.StatusOK {
		return fault.New(fault.ServerDown, "the swap of %s was answered with %d: %s", s.Alias, response.StatusCode, fmt.Sprintf("%q", text)).Wrap(err)
	}
	return nil
}
