package adapter

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/tenon-ml/tenon/host/fault"
)

// maxShown is how much of a value of the metadata a note repeats, in bytes.
const maxShown = 120

// noteMetadata holds what the trainer wrote about the file against what is in it. Anybody can write metadata, so nothing follows from it but notes.
func (k *kohya) noteMetadata(a *Adapter) {
	metadata := a.Weights.Metadata
	note := func(key string, code fault.Code, cause string, args ...any) {
		a.Notes.Add(fault.New(code, cause, args...).In(a.Weights.Name()).At("/__metadata__/" + key))
	}
	for _, key := range []string{"ss_base_model_version", "modelspec.architecture", "ss_sd_model_name"} {
		if v := metadata[key]; v != "" && v != "None" {
			note(key, fault.ADBase, "the metadata says that it is for %s", clipped(v))
		}
	}
	if v, err := strconv.Atoi(metadata["ss_network_dim"]); err == nil && k.noneHasRank(v) {
		note("ss_network_dim", fault.ADRankMismatch, "the metadata says rank %d, and no module of the file has it; the tensors count", v)
	}
	given, known := networkArguments(metadata[argumentsKey])
	if !known {
		note(argumentsKey, fault.ADConfig, "the network's arguments are no JSON object, and were not looked at")
	}
	v, err := strconv.ParseFloat(metadata["ss_network_alpha"], 64)
	if err == nil && v != 0 && !given.on("rs_lora") && k.noneHasAlpha(v) {
		note("ss_network_alpha", fault.ADAlpha, "the metadata says alpha %v, and no module of the file has it; the tensors count", v)
	}
	k.noteArguments(given, note)
	for _, key := range []string{"sshs_model_hash", "modelspec.hash_sha256"} {
		want := strings.TrimPrefix(strings.ToLower(metadata[key]), "0x")
		if len(want) != sha256.Size*2 {
			continue
		}
		if got, err := dataHash(a); err == nil && got != want {
			note(key, fault.DigestBad, "the metadata gives the tensors another SHA-256 than they have: they were changed after training, or the metadata was")
		}
	}
}

// argumentsKey is where Kohya's scripts keep the arguments that the network was made with, as JSON text.
const argumentsKey = "ss_network_args"

// arguments are those of a network, by name.
type arguments map[string]jsontext.Value

// networkArguments reads the arguments; no text gives none.
func networkArguments(text string) (arguments, bool) {
	var all arguments
	if text == "" || text == "None" {
		return nil, true
	}
	if len(text) > maxConfigBytes || json.Unmarshal([]byte(text), &all) != nil {
		return nil, false
	}
	return all, true
}

// text is an argument in lower case, without the quotes.
func (a arguments) text(name string) string {
	return strings.ToLower(strings.Trim(string(a[name]), `"`))
}

// on reports whether an argument is true, as a boolean or as the command line's text.
func (a arguments) on(name string) bool { return a.text(name) == "true" || a.text(name) == "1" }

// noteArguments looks at what would be visible in the tensors.
func (k *kohya) noteArguments(given arguments, note func(key string, code fault.Code, cause string, args ...any)) {
	const key = argumentsKey
	if given.on("rs_lora") {
		note(key, fault.ADAlpha, "it was trained rank-stabilized; the alpha that was stored allows for that already")
		if slices.ContainsFunc(k.modules, func(m *singleModule) bool { return m.change.kind == kroneckerProduct && m.alphaUnused() }) {
			note(key, fault.ADAlpha, "its products of two whole matrices are read with the scale 1, as LyCORIS reads them back, and were trained with another")
		}
	}
	if given.on("dora_wd") && !slices.ContainsFunc(k.modules, func(m *singleModule) bool { return m.magnitudePart() != "" }) {
		note(key, fault.ADPair, "it was trained with DoRA (dora_wd), and the file has no magnitudes")
	}
	kind := noChange
	algorithm := given.text("algo")
	switch algorithm {
	case "loha":
		kind = hadamardProduct
	case "lokr":
		kind = kroneckerProduct
	case "full":
		kind = wholeDelta
	}
	if kind != noChange && !slices.ContainsFunc(k.modules, func(m *singleModule) bool { return m.change.kind == kind }) {
		note(key, fault.ADConfig, "the metadata names the algorithm %s, and no module of the file has such a change", clipped(algorithm))
	}
}

func (k *kohya) noneHasRank(rank int) bool {
	return k.none(func(m *singleModule) bool { return slices.Contains(m.change.ranks, rank) })
}

func (k *kohya) noneHasAlpha(alpha float64) bool {
	return k.none(func(m *singleModule) bool { return m.alpha == alpha })
}

// none reports whether no module with a rank is as described, where there is one.
func (k *kohya) none(is func(*singleModule) bool) bool {
	ranked := false
	for _, m := range k.modules {
		if len(m.change.ranks) > 0 {
			ranked = true
			if is(m) {
				return false
			}
		}
	}
	return ranked
}

// dataHash is the SHA-256 of everything behind the header, in hex.
func dataHash(a *Adapter) (string, error) {
	hash := sha256.New()
	if _, err := io.Copy(hash, io.NewSectionReader(a.Weights, a.Weights.DataStart, a.Weights.Size()-a.Weights.DataStart)); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// clipped quotes a foreign value, or its beginning.
func clipped(v string) string {
	if len(v) > maxShown {
		return strconv.Quote(v[:maxShown]) + "…"
	}
	return strconv.Quote(v)
}
