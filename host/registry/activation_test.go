package registry

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tenon-ml/tenon/host/fault"
)

func TestAliasLife(t *testing.T) {
	ctx, r := t.Context(), open(t, t.TempDir())
	step := func(expected uint64, a Activation) uint64 {
		t.Helper()
		done, err := r.Commit(ctx, expected, a)
		if err != nil {
			t.Fatal(err)
		}
		return done.Sequence
	}
	unload := Activation{Actor: "o", Alias: "x", Action: ActionUnload, Base: base}
	first := step(0, activation("x", 1))
	second := step(first, activation("x", 2))
	back := activation("x", 1)
	back.Action = ActionRollback
	third := step(second, back)
	gone := step(third, unload)
	other := activation("x", 5)
	other.Base = number(9)
	step(0, other) // the same name on another base is another alias
	if _, err := r.Commit(ctx, third, activation("x", 3)); code(err) != fault.Conflict || !strings.Contains(err.Error(), fmt.Sprint(gone)) || !strings.Contains(err.Error(), fmt.Sprint(third)) {
		t.Errorf("on what it was before it was unloaded: %v", err)
	}
	if _, err := r.Commit(ctx, 0, activation("x", 3)); code(err) != fault.Conflict {
		t.Errorf("as if it had never been: %v", err)
	}
	if live, err := r.Live(ctx, base); err != nil || len(live) != 0 {
		t.Errorf("live %v, %v", live, err)
	}
	if at, err := r.At(ctx, base, "x"); err != nil || at != gone {
		t.Errorf("at %d, %v, want %d", at, err, gone)
	}
	if at, err := r.At(ctx, base, "y"); err != nil || at != 0 {
		t.Errorf("an unknown one at %d, %v", at, err)
	}
	history, err := r.History(ctx, "x", 4)
	var actions []string
	for _, a := range history {
		actions = append(actions, a.Action)
	}
	if want := "activate unload rollback activate"; err != nil || strings.Join(actions, " ") != want {
		t.Errorf("history %v, %v, want %s", actions, err, want)
	}
	for name, bad := range map[string]Activation{
		"no alias":                {Action: ActionUnload, Base: base},
		"bytes":                   {Alias: "\xff", Action: ActionUnload, Base: base},
		"no action":               {Alias: "x", Base: base},
		"another kind of row":     {Alias: "x", Action: KindStart, Base: base},
		"unload of a generation":  {Alias: "x", Action: ActionUnload, Base: base, Generation: number(1)},
		"activation of none":      {Alias: "x", Action: ActionActivate, Base: base},
		"activation without base": {Alias: "x", Action: ActionActivate, Generation: number(1)},
	} {
		if _, err := r.Commit(ctx, gone, bad); code(err) == "" || code(err) == fault.Conflict {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestOneWinner has many decide on the same sequence.
func TestOneWinner(t *testing.T) {
	ctx, r := t.Context(), open(t, t.TempDir())
	expected := uint64(0)
	for round := range 20 {
		var group sync.WaitGroup
		var mu sync.Mutex
		var winners []Activation
		for n := range 16 {
			group.Go(func() {
				done, err := r.Commit(ctx, expected, activation("x", n))
				mu.Lock()
				defer mu.Unlock()
				switch code(err) {
				case "":
					winners = append(winners, done)
				case fault.Conflict:
				default:
					t.Error(err)
				}
			})
		}
		group.Wait()
		live, err := r.Live(ctx, base)
		if err != nil || len(winners) != 1 || len(live) != 1 || live[0] != winners[0] {
			t.Fatalf("round %d: %d winners, live %v, %v", round, len(winners), live, err)
		}
		expected = winners[0].Sequence
	}
	intact(t, r.Dir())
}

// TestClock lets the clock jump: what happened when is told by sequence.
func TestClock(t *testing.T) {
	start := time.Date(2026, 12, 31, 23, 59, 60, 5, time.FixedZone("somewhere", 7200))
	jumps := []time.Duration{0, -365 * 24 * time.Hour, 365 * 24 * time.Hour, 0, -time.Nanosecond}
	now := start
	dir := t.TempDir()
	r, err := Open(t.Context(), Options{Dir: dir, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	at := uint64(0)
	for n, jump := range jumps {
		now = start.Add(jump)
		done, err := r.Commit(t.Context(), at, activation("x", n))
		if err != nil || !done.Time.Equal(now) || done.Sequence != at+1 && at != 0 {
			t.Fatalf("%+v, %v", done, err)
		}
		at = done.Sequence
	}
	history, err := r.History(t.Context(), "x", 0)
	if err != nil || len(history) != len(jumps) || history[0].Sequence != at || history[0].Generation != number(len(jumps)-1) {
		t.Errorf("%+v, %v", history, err)
	}
	intact(t, dir)
}

func TestPages(t *testing.T) {
	ctx, r := t.Context(), open(t, t.TempDir())
	tenants := []string{"", "a", "b"}
	for n := range 30 {
		d := decision(n)
		d.Tenant = tenants[n%3]
		if _, err := r.Decide(ctx, d); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		page Page
		want int
	}{{Page{Limit: 7}, 30}, {Page{Limit: 10}, 30}, {Page{Tenant: "a", Limit: 3}, 10}, {Page{Tenant: "nobody"}, 0}, {Page{Limit: -1}, 30}, {Page{Limit: 1 << 30}, 30}} {
		seen, last := 0, int64(1<<62)
		for page := c.page; ; {
			list, next, err := r.Decisions(ctx, page)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range list {
				if d.ID >= last || c.page.Tenant != "" && d.Tenant != c.page.Tenant || d.Report != nil {
					t.Errorf("%+v: decision %+v after %d", c.page, d, last)
				}
				last = d.ID
				seen++
			}
			if next == "" {
				break
			}
			page.After = next
		}
		if seen != c.want {
			t.Errorf("%+v: %d decisions, want %d", c.page, seen, c.want)
		}
	}
	for _, after := range []string{"x", "-1", "0", "1; DROP TABLE audit"} {
		if _, _, err := r.Audit(ctx, Page{After: after}); code(err) != fault.UsageFlag {
			t.Errorf("after %q: %v", after, err)
		}
	}
}

// TestIndexes wants the lists read through indexes: they are as fast in a table of a million rows.
func TestIndexes(t *testing.T) {
	r := open(t, t.TempDir())
	for query, want := range map[string]string{
		linked + "WHERE a.sequence < 9 AND a.tenant = 't' AND a.topic = 'decision' ORDER BY a.sequence DESC LIMIT 9": "audit_decision_tenant",
		linked + "WHERE a.sequence < 9 AND a.topic = 'decision' ORDER BY a.sequence DESC LIMIT 9":                    "audit_decision",
		linked + "WHERE a.sequence < 9 AND a.tenant = 't' ORDER BY a.sequence DESC LIMIT 9":                          "audit_tenant",
		linked + "WHERE a.alias = 'x' AND a.topic = 'activation' ORDER BY a.sequence DESC LIMIT 9":                   "audit_activation",
		"SELECT sequence FROM aliases WHERE base = x'00' AND alias = 'x'":                                            "PRIMARY KEY",
	} {
		rows, err := r.readers.Query("EXPLAIN QUERY PLAN " + query)
		if err != nil {
			t.Fatal(err)
		}
		var plan []string
		for rows.Next() {
			var id, parent, unused int
			var step string
			if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
				t.Fatal(err)
			}
			plan = append(plan, step)
		}
		rows.Close()
		if got := strings.Join(plan, "; "); !strings.Contains(got, want+" ") || strings.Contains(got, "B-TREE") {
			t.Errorf("%s\nis read as %s, want %s", query, got, want)
		}
	}
}
