package clienttest

import (
	"bytes"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json"

	"github.com/tenon-ml/tenon/host/tokenizer"
)

// models is where the test models lie beside the repository.
func models(t *testing.T, name string) string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("../../../../shared/models", name))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no test models: %v", err)
	}
	return dir
}

func readJSON(t *testing.T, name string, out any) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err == nil {
		err = json.Unmarshal(data, out)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// post sends a body and reads the answer.
func post(t *testing.T, url string, body, out any) {
	t.Helper()
	data, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.Post(url, "application/json", bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if err := json.UnmarshalRead(response.Body, out); err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d %v", url, response.StatusCode, err)
	}
}

// completed is what is read of a completion.
type completed struct {
	Choices []struct {
		Text     string `json:"text"`
		Logprobs struct {
			Tokens  []string   `json:"tokens"`
			Numbers []*float64 `json:"token_logprobs"`
		} `json:"logprobs"`
	} `json:"choices"`
}

// tokenized is what is read of /tokenize.
type tokenized struct {
	Tokens []int32 `json:"tokens"`
}

// greedy asks for the likeliest text and holds its tokens and its text against those of an independent implementation.
func greedy(t *testing.T, url string, tok *tokenizer.Tokenizer, model string, prompt, want []int32) {
	t.Helper()
	var got completed
	post(t, url+"/v1/completions", map[string]any{"model": model, "prompt": prompt, "max_tokens": len(want), "temperature": 0, "logprobs": 0}, &got)
	tokens := got.Choices[0].Logprobs.Tokens
	if len(tokens) != len(want) {
		t.Fatalf("%s after %v: %d tokens, want %d", model, prompt, len(tokens), len(want))
	}
	for i, id := range want {
		if content, _ := tok.Token(id); utf8.ValidString(content) && content != tokens[i] {
			t.Fatalf("%s after %v: token %d is %q, want %q", model, prompt, i, tokens[i], content)
		}
	}
	decoder := tok.NewDecoderAfter(prompt, true)
	text := ""
	for _, id := range want {
		text += decoder.Push(id)
	}
	if text += decoder.Flush(); got.Choices[0].Text != text {
		t.Errorf("%s after %v: text %q, want %q", model, prompt, got.Choices[0].Text, text)
	}
}

func TestTinyLlama(t *testing.T) {
	dir := models(t, "tiny-llama")
	type text struct {
		Prompt []int32 `json:"prompt_ids"`
		IDs    []int32 `json:"ids"`
		Text   string  `json:"text"`
	}
	var golden struct {
		Prompts []string `json:"prompts"`
		Base    struct {
			Greedy []text `json:"greedy"`
		} `json:"base"`
		Adapters map[string]struct {
			Greedy []text `json:"greedy"`
			NLL    struct {
				Text   string  `json:"text"`
				Merged float64 `json:"merged"`
				Base   float64 `json:"base"`
			} `json:"nll_text"`
		} `json:"adapters"`
	}
	readJSON(t, filepath.Join(dir, "golden.json"), &golden)
	const adapter = "e2e-all-r8"
	if _, ok := golden.Adapters[adapter]; !ok {
		t.Fatalf("golden.json has no %s", adapter)
	}
	url := serve(t, filepath.Join(dir, "base"), "--adapter", "it="+filepath.Join(dir, "adapters", adapter))
	tok, err := tokenizer.Open(filepath.Join(dir, "base"))
	if err != nil {
		t.Fatal(err)
	}
	var texts []struct {
		Text string  `json:"text"`
		IDs  []int32 `json:"ids"`
	}
	readJSON(t, filepath.Join(dir, "golden_tokens.json"), &texts)
	for _, want := range texts[:min(len(texts), 20)] {
		var got tokenized
		post(t, url+"/tokenize", map[string]any{"prompt": want.Text, "add_special_tokens": false}, &got)
		if !slices.Equal(got.Tokens, want.IDs) {
			t.Errorf("%q: ids %v, want %v", want.Text, got.Tokens, want.IDs)
		}
	}
	for i, want := range golden.Base.Greedy {
		greedy(t, url, tok, "base", want.Prompt, want.IDs)
		greedy(t, url, tok, "it", golden.Adapters[adapter].Greedy[i].Prompt, golden.Adapters[adapter].Greedy[i].IDs)
		var got completed
		post(t, url+"/v1/completions", map[string]any{"model": "base", "prompt": golden.Prompts[i], "max_tokens": len(want.IDs), "temperature": 0}, &got)
		if got.Choices[0].Text != want.Text {
			t.Errorf("%q: %q, want %q", golden.Prompts[i], got.Choices[0].Text, want.Text)
		}
	}
	nll := golden.Adapters[adapter].NLL
	for model, want := range map[string]float64{"base": nll.Base, "it": nll.Merged} {
		var got completed
		post(t, url+"/v1/completions", map[string]any{"model": model, "prompt": nll.Text, "max_tokens": 0, "echo": true, "logprobs": 0}, &got)
		sum := 0.0
		numbers := got.Choices[0].Logprobs.Numbers
		for _, number := range numbers[1:] {
			sum -= *number
		}
		if mean := sum / float64(len(numbers)-1); math.Abs(mean-want) > 1e-4 {
			t.Errorf("%s: mean negative log-probability %v, want %v", model, mean, want)
		}
	}
}

func TestStories(t *testing.T) {
	dir := models(t, "stories260K")
	var golden map[string]struct {
		Prompt string  `json:"prompt"`
		IDs    []int32 `json:"prompt_ids"`
		Made   []int32 `json:"gen_ids"`
	}
	readJSON(t, filepath.Join(dir, "golden_base.json"), &golden)
	url := serve(t, filepath.Join(dir, "base"))
	tok, err := tokenizer.Open(filepath.Join(dir, "base"))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range golden {
		var got tokenized
		post(t, url+"/tokenize", map[string]any{"prompt": want.Prompt}, &got)
		if !slices.Equal(got.Tokens, want.IDs) {
			t.Errorf("%s: ids %v, want %v", name, got.Tokens, want.IDs)
		}
		greedy(t, url, tok, "base", want.IDs, want.Made)
	}
}
