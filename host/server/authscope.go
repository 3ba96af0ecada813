package server

import (
	"slices"
	"strings"

	"github.com/tenon-ml/tenon/host/fault"
)

// Scope is something that an API key is good for.
type Scope string

// The scopes. None but ScopeAdmin includes another one.
const (
	ScopeRead     Scope = "read"     // completions, models, reports, histories, events
	ScopeLoad     Scope = "load"     // bring adapters to the gate
	ScopeActivate Scope = "activate" // change what an alias means: activate, roll back, unload
	ScopeAdmin    Scope = "admin"    // everything, of every tenant, and the audit
)

// Scopes lists every scope.
func Scopes() []Scope { return []Scope{ScopeRead, ScopeLoad, ScopeActivate, ScopeAdmin} }

// ParseScopes reads a list such as "read,load". Its errors are fault.UsageKey.
func ParseScopes(names []string) ([]Scope, error) {
	var scopes []Scope
	for _, name := range names {
		scope := Scope(strings.TrimSpace(name))
		switch {
		case !slices.Contains(Scopes(), scope):
			return nil, fault.New(fault.UsageKey, "%s is no scope", escape(name)).Fix("the scopes are read, load, activate and admin")
		case slices.Contains(scopes, scope):
			return nil, fault.New(fault.UsageKey, "the scope %s is there twice", scope)
		}
		scopes = append(scopes, scope)
	}
	if len(scopes) == 0 {
		return nil, fault.New(fault.UsageKey, "a key without a scope is good for nothing").Fix("the scopes are read, load, activate and admin")
	}
	return scopes, nil
}
