package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/rawbytes"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"

	"github.com/tenon-ml/tenon/host/fault"
)

// configFile is read from the working directory when it is there.
const configFile = "tenon.yaml"

// settle gives every flag that was not on the command line its value from the environment (--cache-dir is TENON_CACHE_DIR) or, after
// that, from the configuration file. A key of the file that is no flag of any command is an error: a typo must not silently do nothing.
func settle(flags *pflag.FlagSet, lookup func(string) (string, bool), path string) error {
	k := koanf.New(".")
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return fault.New(fault.IORead, "the configuration cannot be read").In(path).Wrap(err)
	default:
		if err := k.Load(rawbytes.Provider(text), yaml.Parser()); err != nil {
			return fault.New(fault.UsageFlag, "the configuration is not YAML").In(path).Wrap(err)
		}
	}
	known := knownFlags()
	for _, key := range k.Keys() {
		if !slices.Contains(known, key) {
			e := fault.New(fault.UsageFlag, "%q is not a setting", key).In(path)
			if near := nearest(key, known); near != "" {
				e = e.Fix("did you mean %q?", near)
			}
			return e
		}
	}
	var failed error
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Changed || failed != nil {
			return
		}
		source, values := "TENON_"+strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_")), []string(nil)
		if value, ok := lookup(source); ok {
			values = []string{value}
		} else if k.Exists(f.Name) {
			source, values = path, k.Strings(f.Name)
			if len(values) == 0 {
				values = []string{fmt.Sprint(k.Get(f.Name))}
			}
		}
		for _, value := range values {
			if err := f.Value.Set(value); err != nil {
				failed = fault.New(fault.UsageFlag, "%q is no value for --%s", value, f.Name).In(source).Wrap(err)
			}
			f.Changed = true
		}
	})
	return failed
}

// knownFlags is every flag of every command.
func knownFlags() []string {
	root := (&command{}).root()
	var names []string
	add := func(f *pflag.Flag) { names = append(names, f.Name) }
	root.PersistentFlags().VisitAll(add)
	for _, sub := range root.Commands() {
		sub.Flags().VisitAll(add)
		sub.PersistentFlags().VisitAll(add)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// nearest is the known word that shares the longest start or end with key, "" when none shares half of it.
func nearest(key string, known []string) string {
	best, most := "", len(key)/2
	for _, word := range known {
		prefix, suffix := 0, 0
		for prefix < min(len(key), len(word)) && key[prefix] == word[prefix] {
			prefix++
		}
		for suffix < min(len(key), len(word)) && key[len(key)-1-suffix] == word[len(word)-1-suffix] {
			suffix++
		}
		if score := prefix + suffix; score > most {
			best, most = word, score
		}
	}
	return best
}
