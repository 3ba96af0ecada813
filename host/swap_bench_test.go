package host

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/tenon-ml/tenon/host/gate"
	"github.com/tenon-ml/tenon/host/merge"
	"github.com/tenon-ml/tenon/host/server"
)

// BenchmarkSwap makes an alias mean the other of two generations that are in memory: a transaction on the disk, and the backend's switch.
func BenchmarkSwap(b *testing.B) {
	policy, err := gate.ParsePolicy("fast.yaml", []byte(fastPolicy))
	if err != nil {
		b.Fatal(err)
	}
	h, err := New(Options{CacheDir: cacheDir, Policy: policy})
	if err != nil {
		b.Fatal(err)
	}
	s, err := h.ServeWith(b.Context(), ServeOptions{Base: filepath.Join(restaurant, "base"), Name: "base", Data: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Stop(context.Background())
	var names []string
	for _, mode := range []server.Mode{server.ModeMerged, server.ModeUnmerged} {
		if _, err := s.Load(b.Context(), server.Load{Alias: "x", Ref: filepath.Join(restaurant, "adapter"), Mode: mode}); err != nil {
			b.Fatal(err)
		}
		digest := s.alias("x").activation.Generation
		names = append(names, merge.DigestString(digest))
	}
	n := 0
	for b.Loop() {
		if _, err := s.Activate(b.Context(), "x", names[n%2]); err != nil {
			b.Fatal(err)
		}
		n++
	}
}
