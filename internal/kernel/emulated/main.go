// Command emulated runs the tests of packages on an emulated machine with AVX-512, for developers whose own has none: see README.md. It needs
// Debian's bochs, bochsbios, vgabios, isolinux, syslinux-common and xorriso, and a Linux kernel; where one is missing it says so and stops
// without an error. It takes minutes.
//
//	emulated [-kernel vmlinuz] [-run pattern] [-skip pattern] [-short=false] [-timeout 1h] [package...]
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	bios       = "/usr/share/bochs/BIOS-bochs-latest"
	vgaBIOS    = "/usr/share/vgabios/vgabios.bin"
	bootLoader = "/usr/lib/ISOLINUX/isolinux.bin"
	bootModule = "/usr/lib/syslinux/modules/bios/ldlinux.c32"
)

// skipped are the tests that meet Bochs' fault with f16 without allowing for it, those that take long and use no assembly, and those of the
// implementations that other processors have.
const skipped = "^Test(FMA32|MergeRowsIsRuleFive|MergeEveryRank|MergeTies|MergeBlocks|Change|TakeLoss)|^Fuzz|/^(avx2|generic)$"

// errMissing is why nothing was tested.
var errMissing = errors.New("not here")

type options struct {
	kernel, model, run, skip, use string
	short                         bool
	timeout                       time.Duration
	packages                      []string
}

func main() {
	var o options
	flag.StringVar(&o.kernel, "kernel", os.Getenv("TENON_LINUX"), "Linux kernel to boot; empty takes the newest of /boot. Default: $TENON_LINUX")
	flag.StringVar(&o.model, "model", "corei7_skylake_x", "processor, one of bochs --help cpu")
	flag.StringVar(&o.use, "use", "avx512", "TENON_CPU of the tests")
	flag.StringVar(&o.run, "run", "", "run only the tests that match, as go test -run")
	flag.StringVar(&o.skip, "skip", skipped, "skip the tests that match, as go test -skip")
	flag.BoolVar(&o.short, "short", true, "tell the tests to be short, as go test -short")
	flag.DurationVar(&o.timeout, "timeout", time.Hour, "stop after this long")
	flag.Parse()
	if o.packages = flag.Args(); len(o.packages) == 0 {
		o.packages = []string{"./internal/kernel"}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	err := o.test(ctx)
	if errors.Is(err, errMissing) {
		fmt.Println("skipped: AVX-512 is not tested:", err)
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "emulated:", err)
		os.Exit(1)
	}
}

// test builds the machine's disc in a temporary directory, boots it, and fails as the tests in it do.
func (o options) test(ctx context.Context) (err error) {
	if err := o.need(); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "emulated-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	initial, err := o.initialFiles(ctx, dir)
	if err != nil {
		return err
	}
	disc, err := o.disc(ctx, dir, initial)
	if err != nil {
		return err
	}
	return o.boot(ctx, dir, disc)
}

// need finds the kernel and whatever else is not part of Go.
func (o *options) need() error {
	for _, program := range []string{"bochs", "xorriso"} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("%w: program %s", errMissing, program)
		}
	}
	if o.kernel == "" {
		kernels, err := filepath.Glob("/boot/vmlinuz-*")
		if err != nil {
			return err
		}
		if len(kernels) == 0 {
			return fmt.Errorf("%w: a Linux kernel; internal/kernel/emulated/README.md says how to get one", errMissing)
		}
		o.kernel = slices.MaxFunc(kernels, newer)
	}
	for _, file := range []string{o.kernel, bios, vgaBIOS, bootLoader, bootModule} {
		if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%w: file %s", errMissing, file)
		} else if err != nil {
			return err
		}
	}
	return nil
}

// newer compares files by the time they were written.
func newer(a, b string) int {
	var times [2]time.Time
	for i, name := range []string{a, b} {
		if info, err := os.Stat(name); err == nil {
			times[i] = info.ModTime()
		}
	}
	return times[0].Compare(times[1])
}

// initialFiles returns the file system that the kernel unpacks: init, the tests and their flags.
func (o options) initialFiles(ctx context.Context, dir string) ([]byte, error) {
	var a archive
	add := func(name string, build ...string) error {
		built := filepath.Join(dir, "built")
		if err := goCommand(ctx, slices.Insert(build, len(build)-1, "-o", built)...); err != nil {
			return err
		}
		content, err := os.ReadFile(built)
		if err != nil {
			return err
		}
		a.file(name, content)
		return nil
	}
	if err := add("init", "build", "-trimpath", "-ldflags=-s -w", "github.com/tenon-ml/tenon/internal/kernel/emulated/init"); err != nil {
		return nil, err
	}
	flags := []string{"-test.v", "-test.timeout=0", "-test.run=" + o.run, "-test.skip=" + o.skip, fmt.Sprintf("-test.short=%v", o.short)}
	a.file("flags", []byte(strings.Join(flags, "\n")))
	a.directory("tests")
	for i, name := range o.packages {
		if err := add(fmt.Sprintf("tests/%d-%s", i, filepath.Base(name)), "test", "-c", "-ldflags=-s -w", name); err != nil {
			return nil, err
		}
	}
	return a.end(), nil
}

func goCommand(ctx context.Context, arguments ...string) error {
	command := exec.CommandContext(ctx, "go", arguments...)
	command.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "GOAMD64=v1", "CGO_ENABLED=0")
	command.Stdout, command.Stderr = os.Stdout, os.Stderr
	if err := command.Run(); err != nil {
		return fmt.Errorf("go %s: %w", strings.Join(arguments, " "), err)
	}
	return nil
}
