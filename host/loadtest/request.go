package loadtest

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
)

// maxLine bounds one event of an answer.
const maxLine = 1 << 20

// complete asks for one greedy completion, streamed. It gives when each part of the text came; failure says in few words what went wrong.
func (p *Plan) complete(ctx context.Context, model, prompt string) (answer Answer, times []time.Time, failure string) {
	answer = Answer{Model: model, Prompt: prompt}
	body, err := json.Marshal(map[string]any{"model": model, "prompt": prompt, "max_tokens": p.Tokens, "temperature": 0, "stream": true})
	if err != nil {
		return answer, nil, err.Error()
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, p.URL+"/v1/completions", bytes.NewReader(body))
	if err != nil {
		return answer, nil, err.Error()
	}
	request.Header.Set("Content-Type", "application/json")
	if p.Key != "" {
		request.Header.Set("Authorization", "Bearer "+p.Key)
	}
	response, err := p.Client.Do(request)
	if err != nil {
		return answer, nil, "no connection"
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, maxLine)) // so that the connection can be used again
		return answer, nil, fmt.Sprintf("status %d", response.StatusCode)
	}
	answer.Generation = response.Header.Get("X-Tenon-Generation")
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, maxLine)
	var text strings.Builder
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		if data == "[DONE]" {
			answer.Text = text.String()
			return answer, times, ""
		}
		var chunk struct {
			Fingerprint string `json:"system_fingerprint"`
			Choices     []struct {
				Text   string  `json:"text"`
				Finish *string `json:"finish_reason"`
			} `json:"choices"`
			Error *struct {
				Code string `json:"code"`
			} `json:"error"`
		}
		if err := json.Unmarshal([]byte(data), &chunk); err != nil {
			return answer, nil, "an event that is not JSON"
		}
		if chunk.Error != nil {
			return answer, nil, "broken off: " + chunk.Error.Code
		}
		if answer.Generation != "" && chunk.Fingerprint != answer.Generation {
			return answer, nil, "an answer of two generations"
		}
		if len(chunk.Choices) != 1 {
			continue
		}
		times = append(times, time.Now())
		text.WriteString(chunk.Choices[0].Text)
		if finish := chunk.Choices[0].Finish; finish != nil {
			answer.Finish = *finish
		}
	}
	return answer, nil, "broken off"
}
