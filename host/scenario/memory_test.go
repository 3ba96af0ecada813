package scenario

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// A merge that needs more memory than there is for adapters is refused before anything is merged, and says how much it needs and there is. The
// same adapter not merged is smaller: left to itself the server chooses that, and says why.
func TestMemoryTooSmall(t *testing.T) {
	t.Parallel()
	s := quick(t, t.TempDir(), "--memory", "none")
	s.load("menu", first)
	views, _ := s.adapters()
	merged := views["menu"].Bytes
	_, text := s.text("menu", prompts[0])
	if code, body, err := s.post(t.Context(), "factors", first, "unmerged"); err != nil || code != http.StatusOK {
		t.Fatalf("unmerged: %d %s %v", code, body, err)
	}
	views, _ = s.adapters()
	factors := views["factors"].Bytes
	s.stop()
	if merged == 0 || factors == 0 || factors >= merged {
		t.Fatalf("merged it takes %d bytes, not merged %d", merged, factors)
	}

	limit := merged - 1
	s = quick(t, t.TempDir(), "--memory", strconv.FormatInt(limit, 10))
	code, body, err := s.post(t.Context(), "menu", first, "merged")
	if err != nil || code != http.StatusServiceUnavailable || !strings.Contains(string(body), "IO_MEMORY") ||
		!strings.Contains(string(body), strconv.FormatInt(merged, 10)) || !strings.Contains(string(body), strconv.FormatInt(limit, 10)) ||
		!strings.Contains(string(body), "--mode unmerged") {
		t.Errorf("merged: %d %s %v, want %d of %d bytes", code, body, err, merged, limit)
	}
	if views, backend := s.adapters(); len(views) != 0 || backend.MemoryUsed != 0 || backend.MemoryLimit != limit {
		t.Errorf("after the refusal %v are live, %+v", views, backend)
	}
	s.load("menu", first)
	views, _ = s.adapters()
	if menu := views["menu"]; menu.Mode != "unmerged" || menu.Bytes != factors || !strings.Contains(menu.ModeReason, strconv.FormatInt(merged, 10)) {
		t.Errorf("left to itself: %+v", menu)
	}
	if _, again := s.text("menu", prompts[0]); again != text {
		t.Errorf("not merged it says %q, merged %q", again, text)
	}
	s.stop()

	s = quick(t, t.TempDir(), "--memory", strconv.FormatInt(factors-1, 10))
	code, body, err = s.post(t.Context(), "menu", first, "")
	if err != nil || code != http.StatusServiceUnavailable || !strings.Contains(string(body), "IO_MEMORY") ||
		strings.Contains(string(body), "unmerged") || strings.Contains(string(body), "unload") {
		t.Errorf("less than the factors: %d %s %v", code, body, err)
	}
	s.text("base", prompts[0])
	s.stop()
}
