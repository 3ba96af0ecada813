package server

import (
	"regexp"

	"github.com/tenon-ml/tenon/host/fault"
)

var aliasGrammar = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)

// CheckAlias refuses, with fault.ADName, a name that an adapter may not be loaded under: it is part of paths, labels and logs, so it is
// short plain ASCII, and the base's own name stays the base's.
func CheckAlias(alias, base string) error {
	switch {
	case !aliasGrammar.MatchString(alias):
		return fault.New(fault.ADName, "%s is not a name for an adapter", escape(alias)).
			Fix("use 1 to 128 letters, digits, dots, underscores and dashes, with a letter or digit first")
	case secretPattern.MatchString(alias): // it would be in every list and log
		return fault.New(fault.ADName, "the secret of an API key is no name for an adapter").Fix("choose another name, and make a new key: this one was shown around")
	case alias == base:
		return fault.New(fault.ADName, "%s is the base's name", escape(alias)).Fix("choose another one")
	}
	return nil
}

// CheckQualified is CheckAlias for a name as Qualify makes it: the tenant is held against the same grammar.
func CheckQualified(alias, base string) error {
	tenant, name := Unqualify(alias)
	if tenant != "" && !aliasGrammar.MatchString(tenant) {
		return fault.New(fault.ADName, "%s is not a name for a tenant", escape(tenant)).
			Fix("use 1 to 128 letters, digits, dots, underscores and dashes, with a letter or digit first")
	}
	if tenant == "" && name != alias { // "/x"
		name = alias
	}
	return CheckAlias(name, base)
}
