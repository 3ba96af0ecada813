package tokenizer

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/tenon-ml/tenon/host/fault"
)

// file is the top of tokenizer.json. The parts that come in several kinds stay JSON until their kind is known.
type file struct {
	Version       string         `json:"version"`
	Truncation    jsontext.Value `json:"truncation"`
	Padding       jsontext.Value `json:"padding"`
	AddedTokens   []addedToken   `json:"added_tokens"`
	Normalizer    jsontext.Value `json:"normalizer"`
	PreTokenizer  jsontext.Value `json:"pre_tokenizer"`
	PostProcessor jsontext.Value `json:"post_processor"`
	Decoder       jsontext.Value `json:"decoder"`
	Model         jsontext.Value `json:"model"`
}

// addedToken is one token that is cut from the text before anything else.
type addedToken struct {
	ID         int32  `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"`
	LStrip     bool   `json:"lstrip"`
	RStrip     bool   `json:"rstrip"`
	Normalized bool   `json:"normalized"`
	Special    bool   `json:"special"`
}

// byteLevel is the pre-tokenizer, decoder or post-processor of that type.
type byteLevel struct {
	Type           string `json:"type"`
	AddPrefixSpace *bool  `json:"add_prefix_space"`
	TrimOffsets    *bool  `json:"trim_offsets"`
	UseRegex       *bool  `json:"use_regex"`
}

// metaspace is the pre-tokenizer or decoder of that type.
type metaspace struct {
	Type           string  `json:"type"`
	Replacement    string  `json:"replacement"`
	AddPrefixSpace *bool   `json:"add_prefix_space"` // of the first years
	PrependScheme  *string `json:"prepend_scheme"`
	Split          *bool   `json:"split"`
	StrRep         *string `json:"str_rep"` // of the first years, without effect
}

// sequence is a normalizer, pre-tokenizer, decoder or post-processor that is several.
type sequence struct {
	Type          string           `json:"type"`
	Normalizers   []jsontext.Value `json:"normalizers"`
	PreTokenizers []jsontext.Value `json:"pretokenizers"`
	Decoders      []jsontext.Value `json:"decoders"`
	Processors    []jsontext.Value `json:"processors"`
}

// splitter is the pre-tokenizer Split.
type splitter struct {
	Type     string  `json:"type"`
	Pattern  pattern `json:"pattern"`
	Behavior string  `json:"behavior"`
	Invert   *bool   `json:"invert"`
}

// pattern is a text or a regular expression.
type pattern struct {
	String *string `json:"String"`
	Regex  *string `json:"Regex"`
}

// replacer is the normalizer or decoder Replace.
type replacer struct {
	Type    string  `json:"type"`
	Pattern pattern `json:"pattern"`
	Content *string `json:"content"`
}

// digits is the pre-tokenizer Digits.
type digits struct {
	Type             string `json:"type"`
	IndividualDigits *bool  `json:"individual_digits"`
}

// prepender is the normalizer Prepend.
type prepender struct {
	Type    string  `json:"type"`
	Prepend *string `json:"prepend"`
}

// stripper is the normalizer or the decoder Strip, which have nothing in common but the name.
type stripper struct {
	Type       string  `json:"type"`
	StripLeft  *bool   `json:"strip_left"`
	StripRight *bool   `json:"strip_right"`
	Content    *string `json:"content"`
	Start      *int    `json:"start"`
	Stop       *int    `json:"stop"`
}

// bare is a part that has nothing but its type.
type bare struct {
	Type string `json:"type"`
}

// template is the post-processor TemplateProcessing. Pairs of texts are never encoded.
type template struct {
	Type          string                     `json:"type"`
	Single        []templatePiece            `json:"single"`
	Pair          jsontext.Value             `json:"pair"`
	SpecialTokens map[string]templateSpecial `json:"special_tokens"`
}

type templatePiece struct {
	SpecialToken *templateRef `json:"SpecialToken"`
	Sequence     *templateRef `json:"Sequence"`
}

type templateRef struct {
	ID     string `json:"id"`
	TypeID int32  `json:"type_id"`
}

type templateSpecial struct {
	ID     string   `json:"id"`
	IDs    []int32  `json:"ids"`
	Tokens []string `json:"tokens"`
}

// model is the model of type BPE.
type model struct {
	Type                    string   `json:"type"`
	Dropout                 *float64 `json:"dropout"`
	UnkToken                *string  `json:"unk_token"`
	ContinuingSubwordPrefix *string  `json:"continuing_subword_prefix"`
	EndOfWordSuffix         *string  `json:"end_of_word_suffix"`
	FuseUnk                 bool     `json:"fuse_unk"`
	ByteFallback            bool     `json:"byte_fallback"`
	IgnoreMerges            bool     `json:"ignore_merges"`
	Vocab                   vocab    `json:"vocab"`
	Merges                  merges   `json:"merges"`
}

// vocab holds the entries in the order of the file, so that what is said about them does not depend on a map's order.
type vocab []vocabEntry

type vocabEntry struct {
	content string
	id      int32
}

// UnmarshalJSONFrom reads an object of ids by content.
func (v *vocab) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	if kind := dec.PeekKind(); kind != '{' {
		return fmt.Errorf("want an object of ids by token, got %s", kind)
	}
	if _, err := dec.ReadToken(); err != nil {
		return err
	}
	for dec.PeekKind() != '}' {
		name, err := dec.ReadToken()
		if err != nil {
			return err
		}
		content := name.String()
		number, err := dec.ReadToken()
		if err != nil {
			return err
		}
		id, err := strconv.ParseInt(number.String(), 10, 32)
		if number.Kind() != '0' || err != nil {
			return fmt.Errorf("want a whole number that fits 32 bits as an id, got %s", number.Kind())
		}
		if len(*v) == MaxTokens {
			return fmt.Errorf("more than %d entries", MaxTokens)
		}
		*v = append(*v, vocabEntry{content, int32(id)})
	}
	_, err := dec.ReadToken()
	return err
}

// merges holds the rules in the order of their rank.
type merges [][2]string

// UnmarshalJSONFrom reads an array of "left right", as older files have it, or one of ["left", "right"].
func (m *merges) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	if kind := dec.PeekKind(); kind != '[' {
		return fmt.Errorf("want an array of rules, got %s", kind)
	}
	if _, err := dec.ReadToken(); err != nil {
		return err
	}
	older := dec.PeekKind() == '"'
	for dec.PeekKind() != ']' {
		if len(*m) == MaxTokens {
			return fmt.Errorf("more than %d rules", MaxTokens)
		}
		if older != (dec.PeekKind() == '"') {
			return errors.New("rules of two kinds in one list")
		}
		if !older {
			var parts []string
			if err := json.UnmarshalDecode(dec, &parts); err != nil {
				return err
			}
			if len(parts) != 2 {
				return fmt.Errorf("want two tokens, got %d", len(parts))
			}
			*m = append(*m, [2]string(parts))
			continue
		}
		token, err := dec.ReadToken()
		if err != nil {
			return err
		}
		text := token.String()
		if strings.HasPrefix(text, "#version") {
			continue // the first line of a merges.txt, which has no rank
		}
		left, right, ok := strings.Cut(text, " ")
		if !ok || strings.Contains(right, " ") {
			return errors.New(`want two tokens with one space between them`)
		}
		*m = append(*m, [2]string{left, right})
	}
	_, err := dec.ReadToken()
	return err
}

// read unmarshals the value at a pointer of the file, strictly: no unknown member, no duplicate name, no invalid UTF-8. The pointer "" is the
// file itself, where an error of syntax has a byte offset too.
func read(name, pointer string, value []byte, out any) *fault.Error {
	err := json.Unmarshal(value, out, json.RejectUnknownMembers(true))
	if err == nil {
		return nil
	}
	refusal := fault.New(fault.TKConfig, "not the JSON of a tokenizer").In(name)
	var syntactic *jsontext.SyntacticError
	var semantic *json.SemanticError
	switch {
	case errors.As(err, &syntactic):
		if pointer == "" {
			refusal.AtByte(syntactic.ByteOffset)
		}
		pointer += string(syntactic.JSONPointer)
		refusal.Wrap(syntactic.Err)
	case errors.As(err, &semantic):
		pointer += string(semantic.JSONPointer)
		switch {
		case errors.Is(semantic.Err, json.ErrUnknownName):
			refusal.Cause = "a member that is not known here, so that its effect is not either"
		case semantic.Err != nil:
			refusal.Wrap(semantic.Err)
		case semantic.GoType != nil:
			refusal.Wrap(fmt.Errorf("a JSON %s does not fit %s", semantic.JSONKind, semantic.GoType))
		}
	default:
		refusal.Wrap(err)
	}
	return refusal.At(pointer)
}

// kindOf returns the "type" member of an object, "null" for null or nothing, and "" for an object without it.
func kindOf(value jsontext.Value) string {
	if len(value) == 0 || value.Kind() == 'n' {
		return "null"
	}
	var typed struct {
		Type string `json:"type"`
	}
	if json.Unmarshal(value, &typed) != nil {
		return ""
	}
	return typed.Type
}
