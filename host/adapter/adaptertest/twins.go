package adaptertest

import (
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/tenon-ml/tenon/host/fault"
)

const (
	configName  = "adapter_config.json"
	weightsName = "adapter_model.safetensors"
)

// Twin is a way to spoil an adapter, and the code that refuses what comes of it.
type Twin struct {
	Name string
	// Code refuses it; or, for some kinds of modules, one of Or.
	Code fault.Code
	Or   []fault.Code
	// Gate tells that the adapter can be read, and that it is the gate that must stay closed.
	Gate bool
	// Some tells that only some rows have what it spoils.
	Some bool
	// spoil changes the files of a row that has been copied, and tells whether it found what it spoils.
	spoil func(t testing.TB, dir string) bool
}

// Twins are the ways to spoil a row.
var Twins = []Twin{
	{Name: "missing-b", Code: fault.ADPair, spoil: without(isB)},
	{Name: "missing-a", Code: fault.ADPair, spoil: without(isA)},
	{Name: "swapped", Code: fault.ADRankMismatch, Or: []fault.Code{fault.ADShape, fault.ADKey}, spoil: swapped},
	{Name: "extra-key", Code: fault.ADKey, spoil: renamed(factorA, ".lora_C.weight", true)},
	{Name: "wrong-prefix", Code: fault.ADTarget, spoil: renamed(regexp.MustCompile(`^base_model\.model\.(.*)$`), "base_model.model.other.$1", false)},
	{Name: "wrong-rank", Code: fault.ADRankMismatch, spoil: configured(regexp.MustCompile(`(?m)^  "r": \d+`), `  "r": 7`)},
	{Name: "duplicate-key", Code: fault.ADConfig, spoil: configured(regexp.MustCompile(`(?m)^  "r": (\d+)`), "  \"r\": $1,\n  \"r\": $1")},
	{Name: "duplicate-tensor", Code: fault.STDup, Some: true, spoil: twice},
	{Name: "hole", Code: fault.STHole, spoil: hole},
	{Name: "unknown-residual", Code: fault.ADUnsupported,
		spoil: configured(regexp.MustCompile(`(?m)^  "init_lora_weights": [^,]*`), `  "init_lora_weights": "corda"`)},
	{Name: "tied-one-side", Code: fault.ADTied, Some: true, spoil: tied},
	{Name: "resized", Code: fault.ADShape, Some: true, spoil: resized},
	{Name: "nan", Code: fault.ADNonFinite, Some: true, Gate: true, spoil: filled(isB, func(values []float64) { values[len(values)-1] = math.NaN() })},
	{Name: "nan-beside", Code: fault.ADNonFinite, Some: true, Gate: true,
		spoil: filled(isNoFactor, func(values []float64) { values[len(values)-1] = math.NaN() })},
	{Name: "zero-b", Code: fault.ADNoEffect, Some: true, Gate: true, spoil: alone(filled(isB, func(values []float64) { clear(values) }))},
	{Name: "alpha-0", Code: fault.ADNoEffect, Some: true, Gate: true,
		spoil: alone(configured(regexp.MustCompile(`(?m)^  "lora_alpha": \d+`), `  "lora_alpha": 0`))},
}

// Refused reports whether an adapter was refused as the twin must be.
func (w Twin) Refused(with []fault.Code) bool {
	return slices.ContainsFunc(with, func(code fault.Code) bool { return code == w.Code || slices.Contains(w.Or, code) })
}

var (
	factorA = regexp.MustCompile(`\.lora_(?:embedding_)?A(?:\.default)?(?:\.weight)?$`)
	factorB = regexp.MustCompile(`\.lora_(?:embedding_)?B(?:\.default)?(?:\.weight)?$`)
)

func isA(name string) bool { return factorA.MatchString(name) }

func isB(name string) bool { return factorB.MatchString(name) }

func isNoFactor(name string) bool { return !isA(name) && !isB(name) }

// Of makes the twin of a row. It is false where the row has not what would be spoiled.
func (w Twin) Of(t testing.TB, r Row) (Row, bool) {
	t.Helper()
	r.Name, r.Dir = r.Name+"/"+w.Name, copyOf(t, r.Dir)
	return r, w.spoil(t, r.Dir)
}

func copyOf(t testing.TB, dir string) string {
	t.Helper()
	to := t.TempDir()
	for _, name := range []string{"base", "adapter"} {
		if err := os.CopyFS(filepath.Join(to, name), os.DirFS(filepath.Join(dir, name))); err != nil {
			t.Fatal(err)
		}
	}
	return to
}
