package server

import (
	"context"
	"slices"
	"time"
)

// Principal is whoever sent a request, and what he may do. The zero value may do nothing.
type Principal struct {
	Name   string // of the API key; "operator" on a server without keys
	Tenant string // "" is the operator
	scopes []Scope
	root   string // directory that adapters are loaded from; "" is anywhere
	key    *key   // nil on a server without keys
}

// Operator is everybody on a server that has no API keys: whoever reaches it may do everything.
func Operator() Principal { return Principal{Name: "operator", scopes: []Scope{ScopeAdmin}} }

// May reports whether the principal has a scope.
func (p Principal) May(scope Scope) bool {
	return slices.Contains(p.scopes, scope) || slices.Contains(p.scopes, ScopeAdmin)
}

// Actor is the principal as the registry writes him down.
func (p Principal) Actor() Actor { return Actor{Name: p.Name, Tenant: p.Tenant} }

type principalKey struct{}

// WithPrincipal is a context in which p asks. It is that of his Actor too.
func WithPrincipal(ctx context.Context, p Principal) context.Context {
	return WithActor(context.WithValue(ctx, principalKey{}, p), p.Actor())
}

// PrincipalOf is who asks in a context: nobody, who may do nothing, where WithPrincipal was not called.
func PrincipalOf(ctx context.Context) Principal {
	p, _ := ctx.Value(principalKey{}).(Principal)
	return p
}

// current reports whether the key that p came with is still good.
func (p Principal) current(keys *Keys, now time.Time) bool {
	return p.key == nil || keys != nil && keys.holds(p.key.digest, now)
}
