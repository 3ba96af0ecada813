package tokenizer

import (
	"bufio"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// answer is what the tokenizers library made of a text and of ids, in the order of testdata/generate.py.
type answer struct {
	text             string
	ids              []int32 // with what the template adds
	bare             []int32 // without
	plain            []int32 // without, special tokens read as text
	decoded, skipped string  // of ids, with and without special tokens
	random           []int32
	randomly, spoken string // the same of random
}

func (a *answer) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	return unmarshalArray(dec, &a.text, &a.ids, &a.bare, &a.plain, &a.decoded, &a.skipped, &a.random, &a.randomly, &a.spoken)
}

// compare holds a tokenizer against one answer, and says how many differences there were.
func (a *answer) compare(t *testing.T, tok *Tokenizer) (differences int) {
	t.Helper()
	differ := func(what string, got, want any) {
		t.Helper()
		differences++
		t.Errorf("%s of %q (ids %v, random %v):\n got %v\nwant %v", what, a.text, a.ids, a.random, got, want)
	}
	for _, c := range []struct {
		what      string
		got, want []int32
	}{
		{"ids", tok.Encode(a.text, true), a.ids},
		{"bare ids", tok.Encode(a.text, false), a.bare},
		{"plain ids", tok.EncodePlain(a.text, false), a.plain},
	} {
		if !slices.Equal(c.got, c.want) {
			differ(c.what, c.got, c.want)
		}
	}
	for _, c := range []struct {
		what string
		ids  []int32
		skip bool
		want string
	}{
		{"text", a.ids, false, a.decoded}, {"text without special tokens", a.ids, true, a.skipped},
		{"random text", a.random, false, a.randomly}, {"random text without special tokens", a.random, true, a.spoken},
	} {
		if got := tok.Decode(c.ids, c.skip); got != c.want {
			differ(c.what, got, c.want)
		}
		if got := stream(tok, c.ids, c.skip); got != c.want {
			differ("stream: "+c.what, got, c.want)
		}
	}
	return differences
}

func shape(t testing.TB, name string) *Tokenizer {
	t.Helper()
	tok, _ := fixture(t, filepath.Join("shapes", name))
	return tok
}

// TestShapes holds tokenizers of the shapes of well-known families against the library, on texts chosen to be difficult.
func TestShapes(t *testing.T) {
	golden := map[string][]answer{}
	readJSON(t, filepath.Join("testdata", "golden.json"), &golden)
	for name, answers := range golden {
		t.Run(name, func(t *testing.T) {
			tok := shape(t, name)
			for i := range answers {
				answers[i].compare(t, tok)
			}
		})
	}
}

// answersVariable names a directory with more answers than the repository holds.
const answersVariable = "TENON_TOKENIZER_ANSWERS"

// TestAgainstLibrary compares with answers for random texts, in files SHAPE.jsonl of a directory: see testdata/generate.py.
func TestAgainstLibrary(t *testing.T) {
	dir := os.Getenv(answersVariable)
	if dir == "" {
		t.Skipf("%s names no directory", answersVariable)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.jsonl"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no answers in %s: %v", dir, err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".jsonl")
		t.Run(name, func(t *testing.T) {
			tok := shape(t, name)
			f, err := os.Open(file)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			texts, differences := 0, 0
			lines := bufio.NewScanner(f)
			lines.Buffer(nil, 16<<20)
			for ; lines.Scan() && differences < 10; texts++ {
				var a answer
				if err := json.Unmarshal(lines.Bytes(), &a); err != nil {
					t.Fatal(err)
				}
				differences += a.compare(t, tok)
			}
			if err := lines.Err(); err != nil {
				t.Fatal(err)
			}
			t.Logf("%d texts, %d differences", texts, differences)
		})
	}
}
