package registry

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tenon-ml/tenon/host/fault"
)

// onOwnDisk runs a child that may mount what it likes.
func onOwnDisk(t *testing.T, role string) {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childVariable+"="+role, "REGISTRY_DIR="+t.TempDir())
	child.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if os.Getuid() != 0 {
		child.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		child.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
	}
	output, err := child.CombinedOutput()
	if errors.Is(err, syscall.EPERM) || strings.Contains(string(output), errNoMount.Error()) {
		t.Skipf("a disk of its own cannot be mounted here: %v %s", err, output)
	}
	if err != nil {
		t.Errorf("%v: %s", err, output)
	}
	t.Logf("%s", output)
}

var errNoMount = errors.New("mounting is not allowed")

// mountSmall mounts a file system of that size in a child's own namespace.
func mountSmall(dir, size string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return errors.Join(errNoMount, err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		return errors.Join(errNoMount, err)
	}
	return nil
}

func TestFullDisk(t *testing.T)     { onOwnDisk(t, "full") }
func TestReadOnlyDisk(t *testing.T) { onOwnDisk(t, "readonly") }
func TestFileLimit(t *testing.T)    { onOwnDisk(t, "limit") }

// fullChild fills a disk of 4 MiB up to some pages and writes until there is no space, for many numbers of pages: each write comes to fail
// once. What was acknowledged stays, reads go on, and with space all goes on.
func fullChild(dir string) error {
	if err := mountSmall(dir, "4m"); err != nil {
		return err
	}
	ctx := context.Background()
	data, ballast := filepath.Join(dir, "data"), filepath.Join(dir, "ballast")
	refused := map[string]int{}
	for pages := range 40 {
		r, err := Open(ctx, Options{Dir: data})
		if err != nil {
			return err
		}
		if err := fillDisk(ballast, pages); err != nil {
			return err
		}
		at, err := r.At(ctx, base, "x")
		if err != nil {
			return err
		}
		for n, full := 0, false; !full; n++ {
			before := at
			for _, step := range []struct {
				name string
				do   func() error
			}{
				{"keep", func() error { return r.KeepAdapter(ctx, adapterDigest(pages*1000+n), adapterFiles(pages*1000+n)) }},
				{"decide", func() error { _, err := r.Decide(ctx, decision(pages*1000+n)); return err }},
				{"commit", func() error {
					done, err := r.Commit(ctx, at, activation("x", n))
					if err == nil {
						at = done.Sequence
					}
					return err
				}},
			} {
				if err := step.do(); err != nil {
					if err := expect(step.name, err, fault.IOSpace); err != nil {
						return err
					}
					refused[step.name]++
					full = true
				}
			}
			live, err := r.Live(ctx, base)
			if err != nil || before > 0 && len(live) != 1 || len(live) == 1 && live[0].Sequence != at {
				return errors.Join(fmt.Errorf("at %d, live %+v", at, live), err)
			}
			if left, err := os.ReadDir(filepath.Join(data, incomingName)); err != nil || len(left) > 0 {
				return fmt.Errorf("left: %v, %w", left, err)
			}
		}
		if pages%3 == 0 { // a host that starts on a full disk serves what was live, or says why not
			if err := r.Close(); err != nil {
				return err
			}
			again, err := Open(ctx, Options{Dir: data})
			if err := expect("opening on a full disk", err, "", fault.IOSpace); err != nil {
				return err
			}
			if err == nil {
				if live, err := again.Live(ctx, base); err != nil || at > 0 && (len(live) != 1 || live[0].Sequence != at) {
					return errors.Join(fmt.Errorf("on a full disk: at %d, live %+v", at, live), err)
				}
				if err := again.Close(); err != nil {
					return err
				}
			}
		}
		if err := os.Remove(ballast); err != nil {
			return err
		}
		if pages%3 == 0 {
			if r, err = Open(ctx, Options{Dir: data}); err != nil {
				return err
			}
		}
		if _, err := r.Commit(ctx, at, activation("x", pages)); err != nil {
			return fmt.Errorf("with space again: %w", err)
		}
		if err := r.Close(); err != nil {
			return err
		}
		report, err := VerifyAuditDir(ctx, data)
		if err != nil || !report.Intact {
			return fmt.Errorf("%+v %+v %w", report, report.Bad, err)
		}
		for _, folder := range []string{adaptersName, reportsName} { // or the disk is full of them
			if err := os.RemoveAll(filepath.Join(data, folder)); err != nil {
				return err
			}
		}
	}
	fmt.Println("refused:", refused)
	if len(refused) != 3 {
		return fmt.Errorf("only %v was refused", refused)
	}
	return nil
}

// fillDisk leaves some pages free.
func fillDisk(path string, pages int) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	size := int64(0)
	for page := make([]byte, 4096); err == nil; size += int64(len(page)) {
		_, err = f.Write(page)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		return err
	}
	return f.Truncate(max(size-4096*int64(pages), 0))
}

// readOnlyChild makes the disk read-only: an open registry goes on reading, and none is opened.
func readOnlyChild(dir string) error {
	if err := mountSmall(dir, "16m"); err != nil {
		return err
	}
	ctx := context.Background()
	r, err := Open(ctx, Options{Dir: dir})
	if err != nil {
		return err
	}
	if _, err := r.Commit(ctx, 0, activation("x", 1)); err != nil {
		return err
	}
	if err := r.Close(); err != nil {
		return err
	}
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		return err
	}
	_, err = Open(ctx, Options{Dir: dir})
	if err := expect("opening", err, fault.RegReadOnly); err != nil {
		return err
	}
	_, err = Repair(ctx, dir)
	if err := expect("repairing", err, fault.RegReadOnly); err != nil {
		return err
	}
	report, err := VerifyAuditDir(ctx, dir)
	if err != nil || !report.Intact || report.Rows != 2 {
		return fmt.Errorf("%+v %+v %w", report, report.Bad, err)
	}
	return nil
}

// limitChild makes every file too large for its process: writes fail as on a broken disk, and nothing is written any more.
func limitChild(dir string) error {
	signal.Ignore(syscall.SIGXFSZ)
	ctx := context.Background()
	r, err := Open(ctx, Options{Dir: dir})
	if err != nil {
		return err
	}
	first, err := r.Commit(ctx, 0, activation("x", 1))
	if err != nil {
		return err
	}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 1, Max: unix.RLIM_INFINITY}); err != nil {
		return err
	}
	err = r.KeepAdapter(ctx, adapterDigest(1), adapterFiles(1))
	if err := expect("keeping", err, fault.IOWrite); err != nil {
		return err
	}
	_, err = r.Commit(ctx, first.Sequence, activation("x", 2))
	if err := expect("committing", err, fault.IOWrite); err != nil {
		return err
	}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}); err != nil {
		return err
	}
	_, err = r.Commit(ctx, first.Sequence, activation("x", 2))
	if err := expect("committing on a disk that failed", err, fault.IOWrite); err != nil {
		return err
	}
	if live, err := r.Live(ctx, base); err != nil || len(live) != 1 || live[0] != first {
		return fmt.Errorf("live %+v, %w", live, err)
	}
	if err := r.Close(); err != nil {
		return err
	}
	r, err = Open(ctx, Options{Dir: dir})
	if err != nil {
		return err
	}
	defer r.Close()
	at, err := r.At(ctx, base, "x")
	if err != nil {
		return err
	}
	_, err = r.Commit(ctx, at, activation("x", 2))
	return err
}
