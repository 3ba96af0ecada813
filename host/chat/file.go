package chat

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/tenon-ml/tenon/host/chat/jinja"
	"github.com/tenon-ml/tenon/host/fault"
)

// Files of a model's directory that can hold its template. The first wins over the second, as in transformers.
const (
	TemplateFile = "chat_template.jinja"
	ConfigFile   = "tokenizer_config.json"
)

// maxConfigBytes bounds a tokenizer_config.json: the largest list 2^17 added tokens.
const maxConfigBytes = 32 << 20

// Open finds the template of a model's directory, or reads it from file where that is not "". A directory without one gives nil, nil.
func Open(dir, file string) (*Template, error) {
	name := filepath.Join(dir, ConfigFile)
	data, err := read(name, maxConfigBytes)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var c config
	if err == nil {
		if err := json.Unmarshal(data, &c); err != nil {
			return nil, fault.New(fault.BSConfig, "is not a tokenizer's configuration: %v", err).In(name)
		}
	}
	special, err := c.special()
	if err != nil {
		return nil, fault.New(fault.BSConfig, "%v", err).In(name)
	}
	own := file != ""
	if !own {
		file = filepath.Join(dir, TemplateFile)
	}
	source, err := read(file, jinja.MaxSource)
	switch {
	case err == nil && !utf8.Valid(source):
		return nil, fault.New(fault.BSConfig, "the chat template is not UTF-8").In(file)
	case err == nil:
		return Parse(file, string(source), special)
	case own || !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	text, err := c.template()
	if err != nil {
		return nil, fault.New(fault.BSConfig, "%v", err).In(name)
	}
	if text == "" {
		return nil, nil
	}
	return Parse(name, text, special)
}

// read reads a regular file of bounded size.
func read(name string, limit int64) ([]byte, error) {
	// O_NONBLOCK: a FIFO in the file's place must not make the open wait for a writer.
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.New(fault.IONotFound, "no such file").In(name).Wrap(err)
	} else if err != nil {
		return nil, fault.New(fault.IORead, "cannot be opened").In(name).Wrap(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fault.New(fault.IORead, "cannot be read").In(name).Wrap(err)
	}
	if !info.Mode().IsRegular() {
		return nil, fault.New(fault.IOFileType, "not a regular file but %s", info.Mode().Type()).In(name)
	}
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fault.New(fault.IORead, "cannot be read").In(name).Wrap(err)
	}
	if int64(len(data)) > limit {
		return nil, fault.New(fault.BSConfig, "is longer than %d bytes", limit).In(name)
	}
	return data, nil
}

// config is what is read of a tokenizer_config.json.
type config struct {
	Template jsontext.Value            `json:"chat_template"`
	Rest     map[string]jsontext.Value `json:",embed"`
}

// template is the source: the string, or the one named "default" of a list; "" where there is none.
func (c *config) template() (string, error) {
	switch {
	case len(c.Template) == 0 || c.Template.Kind() == 'n':
		return "", nil
	case c.Template.Kind() == '"':
		var source string
		err := json.Unmarshal(c.Template, &source)
		return source, err
	}
	var named []struct {
		Name     string `json:"name"`
		Template string `json:"template"`
	}
	if err := json.Unmarshal(c.Template, &named); err != nil {
		return "", errors.New("chat_template is not a string or a list of named ones")
	}
	for _, n := range named {
		if n.Name == "default" {
			return n.Template, nil
		}
	}
	if len(named) == 1 {
		return named[0].Template, nil
	}
	return "", errors.New("chat_template has several templates, and none is named default")
}

// special are the special tokens that templates can name: the members that end in _token and are a string, or an object with a content.
func (c *config) special() (map[string]string, error) {
	out := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(c.Rest)) {
		value := c.Rest[name]
		if !strings.HasSuffix(name, "_token") || strings.HasPrefix(name, "add_") {
			continue
		}
		switch value.Kind() {
		case '"':
			var content string
			if err := json.Unmarshal(value, &content); err != nil {
				return nil, err
			}
			out[name] = content
		case '{':
			var token struct {
				Content *string `json:"content"`
			}
			if err := json.Unmarshal(value, &token); err != nil || token.Content == nil {
				return nil, errors.New(name + " has no content")
			}
			out[name] = *token.Content
		}
	}
	return out, nil
}
