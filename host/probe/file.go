// Package probe asks a merged model, before anyone else can, what it says: how well it predicts texts that somebody chose, how far its
// predictions have moved from the base's, and how it completes prompts. Weights alone cannot show an adapter whose pieces are permuted or
// wrongly scaled and which is finite and well shaped; this does.
package probe

import (
	"crypto/sha256"
	"errors"
	"io"
	"regexp"

	"go.yaml.in/yaml/v3"

	"github.com/tenon-ml/tenon/host/document"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/reference"
)

// Schema is the schema of a probe file.
const Schema = "tenon.probe/v1"

// The roles of a text.
const (
	Task    = "task"    // the adapter was made for it: its likelihood should rise
	General = "general" // the model should go on as before
)

// Limits of a probe file. A probe runs on every load, with the traffic of whoever is served waiting beside it.
const (
	maxFile        = 1 << 20 // bytes
	maxItems       = 256     // texts, and completions
	maxTextBytes   = 64 << 10
	maxPattern     = 1 << 10 // bytes of a regular expression
	maxName        = 64
	maxTokens      = 1024
	defaultTokens  = 64
	namePattern    = `^[A-Za-z0-9][A-Za-z0-9._-]*$`
	emptyRemedy    = "write schema, name, and texts or completions; docs/probes.md has an example"
	readableRemedy = "give a probe file; docs/probes.md says what is in one"
)

var nameRule = regexp.MustCompile(namePattern)

// File is a probe file. It is immutable and safe for concurrent use.
type File struct {
	Path        string // as the user wrote it
	Name        string
	Digest      [32]byte // SHA-256 of the file
	Texts       []Text
	Completions []Completion
}

// Text is read by both models, and predicted by them from where the prompt ends.
type Text struct {
	ID     string
	Role   string // Task or General
	Prompt string // context, read and not scored; "" scores the whole text
	Text   string

	Expected *float64 // mean NLL a token that the merged model should give, in nats; nil where the file does not say
}

// Completion is a prompt that both models go on with, greedily.
type Completion struct {
	ID        string
	Prompt    string
	MaxTokens int
	Equals    string         // what the merged model must say, where Matches is nil
	Matches   *regexp.Regexp // or what must be found in it
}

// Load reads a probe file. A file that is missing, empty, or has anything unknown in it is refused, with every problem in one fault.List.
func Load(path string) (*File, error) {
	f, err := reference.OpenRegular(path, true)
	if err != nil {
		return nil, unreadable(path, err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, unreadable(path, err)
	}
	return Parse(path, text)
}

func unreadable(path string, err error) error {
	if list := fault.All(err); len(list) == 1 { // it names the path already
		err = errors.New(list[0].Cause)
	}
	return fault.New(fault.ProbeInvalid, "the probe file cannot be read").In(path).Wrap(err).Fix(readableRemedy)
}

// Parse reads a probe file from text; file names it in errors.
func Parse(file string, text []byte) (*File, error) {
	d := &reader{document.Document{File: file, Noun: "probe file", Code: fault.ProbeInvalid, Remedy: emptyRemedy}}
	if len(text) > maxFile {
		d.Problem(nil, "", "larger than the limit of %d bytes", maxFile).Fix("take fewer texts: a few of each kind tell as much")
		return nil, d.Problems.Err()
	}
	root := d.Root(text)
	if root == nil {
		return nil, d.Problems.Err()
	}
	f := &File{Path: file, Digest: sha256.Sum256(text)}
	d.file(f, root)
	if err := d.Problems.Err(); err != nil {
		return nil, err
	}
	return f, nil
}

// reader walks a probe file.
type reader struct{ document.Document }

func (d *reader) file(f *File, root *yaml.Node) {
	keys := d.Mapping(root, "", []string{"schema", "name", "texts", "completions"})
	if schema := keys["schema"]; schema == nil {
		d.Problem(root, "/schema", "the file does not say which schema it follows").Fix("add schema: " + Schema)
	} else if got := d.Text(schema, "/schema", maxName); got != Schema {
		d.Problem(schema, "/schema", "schema %q is not read", got).Fix("write schema: " + Schema)
	}
	f.Name = d.name(keys["name"], root, "/name", nil)
	texts, completions := d.Sequence(keys["texts"], "/texts"), d.Sequence(keys["completions"], "/completions")
	if len(texts)+len(completions) == 0 && keys["texts"] == nil && keys["completions"] == nil {
		d.Problem(root, "", "the file has no texts and no completions").Fix(emptyRemedy)
	} else if len(texts)+len(completions) == 0 && len(d.Problems) == 0 {
		d.Problem(root, "", "the lists are empty: nothing would be asked").Fix("add a text or a completion")
	}
	for list, n := range map[string]int{"/texts": len(texts), "/completions": len(completions)} { // Err sorts
		if n > maxItems {
			d.Problem(nil, list, "%d items, and the limit is %d", n, maxItems).Fix("take fewer: a few of each kind tell as much")
			return
		}
	}
	seen := map[string]bool{}
	for i, node := range texts {
		f.Texts = append(f.Texts, d.text(node, document.PointerTo("/texts", i), seen))
	}
	seen = map[string]bool{}
	for i, node := range completions {
		f.Completions = append(f.Completions, d.completion(node, document.PointerTo("/completions", i), seen))
	}
}

func (d *reader) text(node *yaml.Node, pointer string, seen map[string]bool) Text {
	keys := d.Mapping(node, pointer, []string{"id", "role", "prompt", "text", "nll"})
	t := Text{ID: d.name(keys["id"], node, pointer+"/id", seen), Prompt: d.Text(keys["prompt"], pointer+"/prompt", maxTextBytes)}
	t.Role = d.needed(keys["role"], node, pointer+"/role", maxName, "role",
		"write role: task for what the adapter was made for, or general for what should stay as it is")
	if t.Role != "" && t.Role != Task && t.Role != General {
		d.Unknown(keys["role"], pointer+"/role", "role", t.Role, []string{Task, General})
	}
	t.Text = d.needed(keys["text"], node, pointer+"/text", maxTextBytes, "text", "add text: with what is to be predicted")
	if n := keys["nll"]; n != nil {
		expected := d.Number(n, pointer+"/nll")
		if expected < 0 {
			d.Problem(n, pointer+"/nll", "%g is no negative log-likelihood: those are not below 0", expected).Fix("write nllMerged as tenon check -o json prints it")
		}
		t.Expected = &expected
	}
	return t
}

func (d *reader) completion(node *yaml.Node, pointer string, seen map[string]bool) Completion {
	keys := d.Mapping(node, pointer, []string{"id", "prompt", "maxTokens", "equals", "matches"})
	c := Completion{ID: d.name(keys["id"], node, pointer+"/id", seen), MaxTokens: defaultTokens}
	c.Equals = d.Text(keys["equals"], pointer+"/equals", maxTextBytes)
	c.Prompt = d.needed(keys["prompt"], node, pointer+"/prompt", maxTextBytes, "prompt", "add prompt: with what is to be completed")
	if n := keys["maxTokens"]; n != nil {
		count := d.Count(n, pointer+"/maxTokens")
		if count > maxTokens {
			d.Problem(n, pointer+"/maxTokens", "%d tokens, and the limit is %d", count, maxTokens)
		}
		c.MaxTokens = int(min(count, maxTokens))
	}
	if (keys["equals"] == nil) == (keys["matches"] == nil) {
		d.Problem(node, pointer, "a completion is held against one of equals and matches").Fix("write equals: for an exact text, or matches: for a pattern")
	}
	if n := keys["matches"]; n != nil {
		pattern, err := d.needed(n, node, pointer+"/matches", maxPattern, "pattern", "write the pattern, or take matches: out"), error(nil)
		if c.Matches, err = regexp.Compile(pattern); err != nil {
			d.Problem(n, pointer+"/matches", "not a pattern: %v", err).Fix("RE2 has no look-around and no back-references")
		}
	}
	return c
}

// name reads a name, which must be there, and among seen only once.
func (d *reader) name(node, around *yaml.Node, pointer string, seen map[string]bool) string {
	name := d.needed(node, around, pointer, maxName, "name", "give it one, of letters, digits, dot, dash and underscore")
	switch {
	case name == "":
	case !nameRule.MatchString(name):
		d.Problem(node, pointer, "%q is not a name", name).Fix("use letters, digits, dot, dash and underscore")
	case seen[name]:
		d.Problem(node, pointer, "%q is the name of another one too", name).Fix("give each a name of its own")
	case seen != nil:
		seen[name] = true
	}
	return name
}

// needed reads text that must be there and not be empty.
func (d *reader) needed(node, around *yaml.Node, pointer string, limit int, what, remedy string) string {
	before := len(d.Problems)
	text := d.Text(node, pointer, limit)
	if text == "" && len(d.Problems) == before {
		if node == nil {
			node = around
		}
		d.Problem(node, pointer, "it has no %s", what).Fix("%s", remedy)
	}
	return text
}
