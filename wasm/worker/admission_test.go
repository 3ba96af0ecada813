package worker

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/fstest"
	"testing/synctest"

	"github.com/tenon-ml/tenon/sdk/abi"
)

// TestAdmission lets runs in one after the other, each as [bytes], and says who is inside.
func TestAdmission(t *testing.T) {
	for _, c := range []struct {
		name   string
		slots  int
		budget int64
		ask    []int64
		inside []bool // before anybody leaves
	}{
		{"all fit", 4, 100, []int64{30, 30, 40}, []bool{true, true, true}},
		{"slots", 2, 100, []int64{1, 1, 1}, []bool{true, true, false}},
		{"memory", 4, 100, []int64{60, 60}, []bool{true, false}},
		{"nobody overtakes", 4, 100, []int64{60, 60, 10}, []bool{true, false, false}},
		{"too large, alone", 4, 100, []int64{1_000, 1}, []bool{true, false}},
		{"too large, waits", 4, 100, []int64{1, 1_000, 1}, []bool{true, false, false}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := &admission{slots: c.slots, budget: c.budget}
				entered := make([]bool, len(c.ask))
				releases := make([]func(), len(c.ask))
				for i, bytes := range c.ask {
					go func() {
						release, err := a.acquire(t.Context(), bytes)
						if err != nil {
							t.Error(err)
						}
						entered[i], releases[i] = true, release
					}()
					synctest.Wait()
				}
				for i, want := range c.inside {
					if entered[i] != want {
						t.Errorf("run %d inside: %t, want %t", i, entered[i], want)
					}
				}
				for i := range c.ask { // in the order of their coming, everybody's turn comes
					if !entered[i] {
						t.Fatalf("run %d was forgotten", i)
					}
					releases[i]()
					releases[i]() // again is harmless
					synctest.Wait()
				}
				if a.running != 0 || a.used != 0 || len(a.waiting) != 0 {
					t.Errorf("left over: %d running, %d bytes, %d waiting", a.running, a.used, len(a.waiting))
				}
			})
		})
	}
}

func TestAdmissionCanBeCanceled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &admission{slots: 2, budget: 100}
		first, err := a.acquire(t.Context(), 60)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		group.Go(func() {
			if _, err := a.acquire(ctx, 100); !errors.Is(err, context.Canceled) {
				t.Errorf("who gives up gets %v", err)
			}
		})
		synctest.Wait()
		group.Go(func() { // which waits for the one before it, and not for the first
			release, err := a.acquire(t.Context(), 40)
			if err != nil {
				t.Error(err)
			}
			release()
		})
		synctest.Wait()
		cancel()
		group.Wait()
		first()
		if _, err := a.acquire(ctx, 1); err == nil {
			t.Error("let in without a context")
		}
		if a.running != 0 || a.used != 0 || len(a.waiting) != 0 {
			t.Errorf("left over: %d running, %d bytes, %d waiting", a.running, a.used, len(a.waiting))
		}
	})
}

func TestFootprint(t *testing.T) {
	if got, want := footprint(abi.Limits{}), int64(overheadBytes+320<<20); got != want {
		t.Errorf("by default %d, want %d", got, want)
	}
	if got, want := footprint(abi.Limits{GuestMemory: 1, HostTensors: 2}), int64(overheadBytes+3); got != want {
		t.Errorf("%d, want %d", got, want)
	}
}

func TestAllowedMemory(t *testing.T) {
	const gib = 1 << 30
	machine := map[string]string{"proc/meminfo": "MemTotal:       8388608 kB\nMemFree: 1 kB\n"}
	with := func(files ...string) map[string]string {
		all := map[string]string{"proc/meminfo": machine["proc/meminfo"]}
		for i := 0; i < len(files); i += 2 {
			all[files[i]] = files[i+1]
		}
		return all
	}
	for name, c := range map[string]struct {
		files map[string]string
		want  int64
	}{
		"nothing known": {nil, assumedMemory},
		"machine":       {machine, 8 * gib},
		"v2":            {with("proc/self/cgroup", "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max", "2147483648\n"), 2 * gib},
		"v2 parent": {with("proc/self/cgroup", "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max", "max\n",
			"sys/fs/cgroup/a/memory.max", "1073741824\n"), gib},
		"v2 container": {with("proc/self/cgroup", "0::/outside\n", "sys/fs/cgroup/memory.max", "1073741824\n"), gib},
		"v2 no limit":  {with("proc/self/cgroup", "0::/\n", "sys/fs/cgroup/memory.max", "max\n"), 8 * gib},
		"v1": {with("proc/self/cgroup", "5:cpu:/\n4:memory:/x\n",
			"sys/fs/cgroup/memory/x/memory.limit_in_bytes", "3221225472\n"), 3 * gib},
		"v1 no limit": {with("proc/self/cgroup", "4:hugetlb,memory:/\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"), 8 * gib},
		"hybrid":         {with("proc/self/cgroup", "0::/\n", "sys/fs/cgroup/unified/memory.max", "1073741824\n"), gib},
		"garbage":        {with("proc/self/cgroup", "::\nx\n0::/../../..\n", "sys/fs/cgroup/memory.max", "-7"), 8 * gib},
		"more than have": {with("proc/self/cgroup", "0::/\n", "sys/fs/cgroup/memory.max", "1099511627776"), 8 * gib},
	} {
		t.Run(name, func(t *testing.T) {
			root := fstest.MapFS{}
			for file, text := range c.files {
				root[file] = &fstest.MapFile{Data: []byte(text)}
			}
			if got := allowedMemory(root); got != c.want {
				t.Errorf("%d, want %d", got, c.want)
			}
		})
	}
}
