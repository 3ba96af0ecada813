package cpu

import (
	"context"
	"maps"
	"slices"

	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// aliasTable says what each alias means. A table is never changed, only replaced, so a request reads one pointer and needs no lock.
type aliasTable map[string]aliasEntry

type aliasEntry struct {
	generation *generation
	sequence   uint64
}

// Activate makes a staged generation what an alias means. One store of a pointer is the switch.
func (b *Backend) Activate(_ context.Context, req *backendpb.ActivateRequest) (*backendpb.ActivateResponse, error) {
	if req.Alias == "" {
		return nil, invalid("the alias \"\" is the base, for ever")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	loaded := b.base.Load()
	if loaded == nil {
		return nil, notNow("no base is loaded")
	}
	target := loaded.pristine
	if len(req.Generation) != 0 {
		if target = b.generations[string(req.Generation)]; target == nil {
			return nil, missing("generation %x is not staged", req.Generation)
		}
	}
	table := *b.aliases.Load()
	if last, known := table[req.Alias]; known {
		switch {
		case req.Sequence == last.sequence && target == last.generation:
			return &backendpb.ActivateResponse{}, nil
		case req.Sequence == last.sequence:
			return nil, notNow("alias %q: sequence %d already made it generation %x", req.Alias, last.sequence, last.generation.id)
		case req.Sequence < last.sequence:
			return nil, notNow("alias %q: sequence %d is older than the last one, %d", req.Alias, req.Sequence, last.sequence)
		}
	}
	next := maps.Clone(table)
	next[req.Alias] = aliasEntry{generation: target, sequence: req.Sequence}
	b.aliases.Store(&next)
	return &backendpb.ActivateResponse{}, nil
}

// meaning is the generation an alias means now. It is not held: it may be gone by the time it is looked at.
func (b *Backend) meaning(alias string) (*generation, error) {
	if alias == "" {
		return b.base.Load().pristine, nil
	}
	entry, ok := (*b.aliases.Load())[alias]
	if !ok {
		return nil, missing("alias %q was never activated", alias)
	}
	return entry.generation, nil
}

// pin holds the generation an alias means. Losing the race against an activation and a release means that the alias means something else by
// now, so looking again ends.
func (b *Backend) pin(alias string) (*generation, error) {
	for {
		g, err := b.meaning(alias)
		if err != nil {
			return nil, err
		}
		if g.acquire() {
			return g, nil
		}
	}
}

// hold is the generation a request is about, held: the one that is named by its digest, or else what the alias means.
func (b *Backend) hold(alias string, id []byte) (*generation, error) {
	switch {
	case len(id) == 0:
		return b.pin(alias)
	case alias != "":
		return nil, invalid("alias %q and generation %x: a request is about one of them", alias, id)
	}
	return b.staged(id)
}

// staged is a staged generation, held.
func (b *Backend) staged(id []byte) (*generation, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	g := b.generations[string(id)]
	if g == nil {
		return nil, missing("generation %x is not staged", id)
	}
	g.acquire() // cannot fail: being registered holds it
	return g, nil
}

// Release forgets a generation. Requests that hold it keep its memory until they end.
func (b *Backend) Release(_ context.Context, req *backendpb.ReleaseRequest) (*backendpb.ReleaseResponse, error) {
	g, err := b.forget(req.Generation)
	if g == nil {
		return &backendpb.ReleaseResponse{}, err
	}
	if e := b.engine.Load(); e != nil {
		e.store.drop(&g.prefixes)
	}
	g.release()
	return &backendpb.ReleaseResponse{Existed: true}, nil
}

// forget takes a generation from the registered ones. Its caller has the registry's hold then. It is nil where there is none.
func (b *Backend) forget(id []byte) (*generation, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	g := b.generations[string(id)]
	if g == nil {
		return nil, nil
	}
	table := *b.aliases.Load()
	for _, alias := range slices.Sorted(maps.Keys(table)) {
		if table[alias].generation == g {
			return nil, notNow("generation %x is what alias %q means: activate another first", id, alias)
		}
	}
	delete(b.generations, g.id)
	return g, nil
}

// Status lists generations by digest and aliases by name.
func (b *Backend) Status(context.Context, *backendpb.StatusRequest) (*backendpb.StatusResponse, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	response := &backendpb.StatusResponse{}
	if e := b.engine.Load(); e != nil {
		response.Running, response.Waiting = e.scheduler.figures()
		response.CacheBytes, response.CachedPromptTokens = e.store.figures()
	}
	if loaded := b.base.Load(); loaded != nil {
		response.Base = loaded.digest[:]
	}
	for _, id := range slices.Sorted(maps.Keys(b.generations)) {
		g := b.generations[id]
		response.Generations = append(response.Generations,
			&backendpb.Generation{Generation: []byte(id), Bytes: g.bytes(), Requests: g.requests.Load(), Unmerged: g.unmerged})
	}
	table := *b.aliases.Load()
	for _, alias := range slices.Sorted(maps.Keys(table)) {
		entry := table[alias]
		response.Aliases = append(response.Aliases,
			&backendpb.Alias{Alias: alias, Generation: []byte(entry.generation.id), Sequence: entry.sequence})
	}
	return response, nil
}
