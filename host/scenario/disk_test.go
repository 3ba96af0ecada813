package scenario

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// The disk fills up: a load is refused and says so, what is live goes on, and when there is space again loads go on as well.
func TestDiskFull(t *testing.T) {
	data := t.TempDir()
	if err := unix.Mount("tmpfs", data, "tmpfs", 0, "size=4m"); err != nil {
		t.Skipf("no small disk can be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(data, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	s := start(t, data, nil)
	if s == nil {
		t.Fatal("the server did not start")
	}
	s.ready()
	s.load("menu", first)
	generation, text := s.text("menu", prompts[0])
	still := func() {
		t.Helper()
		if by, again := s.text("menu", prompts[0]); by != generation || again != text {
			t.Errorf("generation %s gives %q", by, again)
		}
	}
	ballast := filepath.Join(data, "ballast")
	fill := func(leave int64) {
		t.Helper()
		var space unix.Statfs_t
		if err := unix.Statfs(data, &space); err != nil {
			t.Fatal(err)
		}
		free := int64(space.Bavail)*space.Bsize - leave
		if err := os.WriteFile(ballast, bytes.Repeat([]byte{1}, int(max(free, 0))), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	refused := 0
	for _, leave := range []int64{0, 4 << 10, 16 << 10, 64 << 10, 128 << 10, 256 << 10} {
		fill(leave)
		code, body, err := s.tryLoad("more", second)
		if err != nil {
			t.Fatalf("with %d bytes left: %v\n%s", leave, err, s.log)
		}
		if code != http.StatusOK {
			refused++
			if code != http.StatusServiceUnavailable || !bytes.Contains(body, []byte("IO_")) {
				t.Errorf("with %d bytes left: %d %s", leave, code, body)
			}
			if live := s.generations()["more"]; live != "" {
				t.Errorf("with %d bytes left the refused load is live as %s", leave, live)
			}
		}
		still()
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		if code == http.StatusOK {
			break
		}
	}
	if refused == 0 {
		t.Error("nothing was refused: the disk was not full")
	}
	s.load("more", second)
	still()
	before := s.generations()
	s.stop()
	s = start(t, data, nil)
	if s == nil {
		t.Fatal("the server did not start again")
	}
	s.ready()
	if now := s.generations(); now["menu"] != before["menu"] || now["more"] != before["more"] {
		t.Errorf("live is %v, before the restart %v", now, before)
	}
	s.stop()
	audit(t, data)
}
