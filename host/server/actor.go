package server

import (
	"context"
	"log/slog"
	"strings"

	"github.com/tenon-ml/tenon/host/telemetry"
)

// Actor is who asks for something.
type Actor struct {
	Name   string // of the API key, or "operator", "watch"; never a secret
	Tenant string // "" is the operator
}

type actorKey struct{}

// WithActor is a context in which actor asks.
func WithActor(ctx context.Context, actor Actor) context.Context {
	return context.WithValue(ctx, actorKey{}, actor)
}

// ActorOf is who asks: the operator where nobody was named.
func ActorOf(ctx context.Context) Actor {
	if actor, ok := ctx.Value(actorKey{}).(Actor); ok {
		return actor
	}
	return Actor{Name: "operator"}
}

// Logger adds to each line whose context knows it: who asks, for which tenant, and the trace it is a part of.
func Logger(log *slog.Logger) *slog.Logger {
	return slog.New(telemetry.LogHandler(log.Handler(), func(ctx context.Context) []slog.Attr {
		actor, ok := ctx.Value(actorKey{}).(Actor)
		if !ok || actor.Name == "" {
			return nil
		}
		about := []slog.Attr{slog.String("actor", actor.Name)}
		if actor.Tenant != "" {
			about = append(about, slog.String("tenant", actor.Tenant))
		}
		return about
	}))
}

// Qualify is the name of a tenant's alias in the engine. The operator's aliases, which everybody may use, have no tenant in them; no alias has
// a slash in it.
func Qualify(tenant, name string) string {
	if tenant == "" {
		return name
	}
	return tenant + "/" + name
}

// Unqualify undoes Qualify.
func Unqualify(alias string) (tenant, name string) {
	if tenant, name, ok := strings.Cut(alias, "/"); ok {
		return tenant, name
	}
	return "", alias
}
