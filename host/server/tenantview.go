package server

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/report"
)

// View is an Engine as one principal sees it. Names are his: what he calls x is x of his tenant, and else the x that the operator shares with
// everybody. What belongs to another tenant is asked for under a name of his own, which nothing has: it cannot be told from what does not
// exist, not by the answer and not by the work. An admin sees everything, and calls another tenant's x TENANT/x.
type View struct {
	engine Engine
	base   string
	who    Principal
}

// NewView returns what who sees of engine, whose base has this name.
func NewView(engine Engine, base string, who Principal) View { return View{engine, base, who} }

func (s *Server) view(ctx context.Context) View { return NewView(s.engine, s.base, PrincipalOf(ctx)) }

// Seen is a Model under the name that the principal has for it. Its ID is the engine's.
type Seen struct {
	Model
	Name   string
	Shared bool // the operator's: a tenant may use it, and not change it
}

// see gives the principal's name of a qualified alias, "" where he has none.
func (v View) see(alias string) (name string, shared bool) {
	tenant, own := Unqualify(alias)
	switch {
	case v.who.May(ScopeAdmin):
		return alias, false
	case tenant == v.who.Tenant:
		return own, false
	case tenant == "":
		return alias, true
	}
	return "", false
}

// Models lists the base and the aliases that the principal sees. A shared one whose name he has given to his own is hidden by that.
func (v View) Models() []Seen {
	var seen []Seen
	own := map[string]bool{}
	for _, m := range v.engine.Models() {
		if m.Parent == "" {
			seen = append(seen, Seen{Model: m, Name: m.ID, Shared: v.who.Tenant != ""})
			continue
		}
		if name, shared := v.see(m.ID); name != "" {
			own[name] = own[name] || !shared
			seen = append(seen, Seen{m, name, shared})
		}
	}
	seen = slices.DeleteFunc(seen, func(m Seen) bool { return m.Parent != "" && m.Shared && own[m.Name] })
	slices.SortStableFunc(seen, func(a, b Seen) int {
		if (a.Parent == "") != (b.Parent == "") {
			return strings.Compare(a.Parent, b.Parent) // the base has none and is first
		}
		return strings.Compare(a.Name, b.Name)
	})
	return seen
}

// Find returns what the principal means by a name.
func (v View) Find(name string) (Seen, bool) {
	for _, m := range v.Models() {
		if m.Name == name {
			return m, true
		}
	}
	return Seen{}, false
}

// own is the qualified alias that a name stands for where something is to be changed.
func (v View) own(name string) (string, error) {
	if v.who.May(ScopeAdmin) {
		return name, CheckQualified(name, v.base)
	}
	return Qualify(v.who.Tenant, name), CheckAlias(name, v.base)
}

// meanings are the qualified aliases that a name may stand for where something is read, the first one that there is.
func (v View) meanings(name string) ([]string, error) {
	own, err := v.own(name)
	if err != nil || v.who.Tenant == "" {
		return []string{own}, err
	}
	return []string{own, name}, nil
}

// read asks for each meaning of a name until one is there.
func read[T any](v View, name string, ask func(alias string) (T, error)) (T, string, error) {
	var none T
	aliases, err := v.meanings(name)
	if err != nil {
		return none, "", err
	}
	for _, alias := range aliases {
		answer, err := ask(alias)
		if err == nil {
			return answer, alias, nil
		}
		if faults := fault.All(err); len(faults) == 0 || faults[0].Code != fault.IONotFound {
			return none, alias, err
		}
	}
	return none, "", unknown(name)
}

// unknown is the one answer for what does not exist, and for what is none of the principal's business.
func unknown(name string) error {
	return &apiError{status: http.StatusNotFound, code: fault.IONotFound, param: "alias", message: "no adapter is called " + escape(name)}
}

// owned makes an engine's answer about an alias one about the principal's name for it.
func owned(name, alias string, err error) error {
	faults := fault.All(err)
	if err == nil || len(faults) == 0 {
		return err
	}
	e := toAPI(err)
	if name != alias {
		e.message = strings.ReplaceAll(e.message, alias, name)
	}
	if e.code == fault.IONotFound {
		e.param = "alias"
	}
	return e
}

// Load takes an adapter to the gate, under a name of the principal's tenant.
func (v View) Load(ctx context.Context, load Load) (*Loaded, error) {
	name := load.Alias
	alias, err := v.own(name)
	if err != nil {
		return nil, err
	}
	if secretPattern.MatchString(load.Ref) { // it would be in every list and log
		return nil, refuse(http.StatusBadRequest, "ref", "the secret of an API key is in the adapter's reference")
	}
	ref, err := v.who.Within(load.Ref)
	if err != nil {
		return nil, err
	}
	load.Alias, load.Ref = alias, ref
	loaded, err := v.engine.Load(ctx, load)
	if e := owned(name, alias, err); e != nil {
		if own, ok := e.(*apiError); ok {
			own.param = ""
		}
		return nil, e
	}
	return loaded, nil
}

// Activate makes a generation of the principal's alias live.
func (v View) Activate(ctx context.Context, name, generation string) (Seen, error) {
	return v.change(name, func(alias string) (Model, error) { return v.engine.Activate(ctx, alias, generation) })
}

// Rollback makes the principal's alias mean an earlier generation.
func (v View) Rollback(ctx context.Context, name, generation string) (Seen, error) {
	return v.change(name, func(alias string) (Model, error) { return v.engine.Rollback(ctx, alias, generation) })
}

// Unload makes the principal's alias mean nothing.
func (v View) Unload(ctx context.Context, name string) error {
	_, err := v.change(name, func(alias string) (Model, error) { return Model{}, v.engine.Unload(ctx, alias) })
	return err
}

func (v View) change(name string, do func(alias string) (Model, error)) (Seen, error) {
	alias, err := v.own(name)
	if err != nil {
		return Seen{}, err
	}
	m, err := do(alias)
	if err != nil {
		return Seen{}, owned(name, alias, err)
	}
	return Seen{Model: m, Name: name}, nil
}

// History lists what a name has meant, and reports whether that was the operator's: who changed a shared one is his business.
func (v View) History(ctx context.Context, name string, limit int) (records []Record, shared bool, err error) {
	records, alias, err := read(v, name, func(alias string) ([]Record, error) {
		records, err := v.engine.History(ctx, alias, limit)
		if err == nil && len(records) == 0 {
			err = fault.New(fault.IONotFound, "it was never anything")
		}
		return records, err
	})
	if _, shared = v.see(alias); shared {
		records = slices.Clone(records)
		for i := range records {
			records[i].Actor = ""
		}
	}
	return records, shared, err
}

// Report returns the report of what is live under a name, or of a generation in its history.
func (v View) Report(ctx context.Context, name, generation string) (*report.Report, error) {
	rep, _, err := read(v, name, func(alias string) (*report.Report, error) {
		if generation != "" {
			records, err := v.engine.History(ctx, alias, maxPage)
			if err != nil {
				return nil, err
			}
			if !slices.ContainsFunc(records, func(r Record) bool { return r.Generation == generation }) {
				return nil, fault.New(fault.IONotFound, "no such generation")
			}
		}
		return v.engine.Report(ctx, alias, generation)
	})
	return rep, err
}

// Generations lists what is in the backend's memory for aliases that the principal sees. Of one that others use too, what they do with it is
// left out.
func (v View) Generations() []Resident {
	var seen []Resident
	for _, g := range v.engine.Generations() {
		var names []string
		for _, alias := range g.Aliases {
			if name, _ := v.see(alias); name != "" {
				names = append(names, name)
			}
		}
		if len(names) == 0 && !v.who.May(ScopeAdmin) {
			continue
		}
		if len(names) < len(g.Aliases) {
			g.Requests = 0
		}
		g.Aliases = names
		seen = append(seen, g)
	}
	return seen
}

// Event returns an event as the principal may see it.
func (v View) Event(e Event) (Event, bool) {
	if v.who.May(ScopeAdmin) {
		return e, true
	}
	if e.Alias == "" { // the rest is about generations, whose owners it does not say
		return e, e.Kind == KindBackend || e.Kind == KindGap
	}
	name, shared := v.see(e.Alias)
	if name == "" {
		return Event{}, false
	}
	if shared {
		e.Actor = ""
	}
	if name != e.Alias {
		e.Message = strings.ReplaceAll(e.Message, e.Alias, name)
	}
	e.Alias = name
	return e, true
}
