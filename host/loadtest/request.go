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

	"github.com/tenon-ml/tenon/host/fault"
)

// maxLine bounds one event of an answer.
const maxLine = 1 << 20

// complete asks for one greedy completion, streamed. It gives when each part of the text came; failure says in few words what went wrong, and
// cause in the server's own, or the connection's.
func (p *Plan) complete(ctx context.Context, model, prompt string) (answer Answer, times []time.Time, failure string, cause error) {
	answer = Answer{Model: model, Prompt: prompt}
	body, err := json.Marshal(map[string]any{"model": model, "prompt": prompt, "max_tokens": p.Tokens, "temperature": 0, "stream": true})
	if err != nil {
		return answer, nil, err.Error(), err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, p.URL+"/v1/completions", bytes.NewReader(body))
	if err != nil {
		return answer, nil, err.Error(), err
	}
	request.Header.Set("Content-Type", "application/json")
	if p.Key != "" {
		request.Header.Set("Authorization", "Bearer "+p.Key)
	}
	response, err := p.Client.Do(request)
	if err != nil {
		return answer, nil, "no connection", err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(response.Body, maxLine)) // to its end, so that the connection can be used again
		return answer, nil, fmt.Sprintf("status %d", response.StatusCode), refusal(response, text)
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
			return answer, times, "", nil
		}
		var chunk struct {
			Fingerprint string `json:"system_fingerprint"`
			Choices     []struct {
				Text   string  `json:"text"`
				Finish *string `json:"finish_reason"`
			} `json:"choices"`
			Error *said `json:"error"`
		}
		if err := json.Unmarshal([]byte(data), &chunk); err != nil {
			return answer, nil, "an event that is not JSON", nil
		}
		if chunk.Error != nil {
			return answer, nil, "broken off: " + chunk.Error.Code, chunk.Error.fault()
		}
		if answer.Generation != "" && chunk.Fingerprint != answer.Generation {
			return answer, nil, "an answer of two generations", nil
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
	return answer, nil, "broken off", nil
}

// said is an error as the server words it.
type said struct {
	Message string `json:"message"`
	Code    string `json:"code"`
}

// fault is the server's error as one of this process. The message may begin with the code, which the fault says as well.
func (s *said) fault() *fault.Error {
	return fault.New(fault.Code(s.Code), "%s", strings.TrimPrefix(s.Message, s.Code+": "))
}

// refusal is what the server answered instead of a text.
func refusal(response *http.Response, text []byte) error {
	var answer struct {
		Error said `json:"error"`
	}
	if err := json.Unmarshal(text, &answer); err == nil && answer.Error.Code != "" && answer.Error.Message != "" {
		return answer.Error.fault()
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(text[:min(len(text), 256)])), "\n")
	return fault.New(fault.ServerDown, "it answered %s: %s", response.Status, line)
}
