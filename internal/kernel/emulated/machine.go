package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// The kernel is told to leave alone what takes long to look for, and to keep the registers of a thread in XSAVE's standard format: of the
// compacted one, Bochs 2.7 reports a size that makes Linux switch AVX off. What Linux does not know goes to init, as its environment.
// TENON_F16_TIES tells the tests of an instruction that Bochs gets wrong.
const bootMenu = `default tests
prompt 0
label tests
	kernel linux
	initrd initial
	append console=ttyS0 quiet loglevel=3 noxsaves clearcpuid=321 mitigations=off nokaslr nowatchdog acpi=off pci=off nolapic nohpet ` +
	`tsc=reliable cryptomgr.notests apparmor=0 random.trust_cpu=on panic=-1 reboot=t rdinit=/init TENON_CPU=%s TENON_F16_TIES=away
`

// The display is a VNC server because no package but bochs itself is needed for it; nobody looks at it.
const machine = `display_library: rfb, options="timeout=0"
config_interface: textconfig
plugin_ctrl: speaker=0
cpu: model=%s, count=1, ips=100000000, reset_on_triple_fault=0
clock: sync=none
megs: 512
romimage: file=%s
vgaromimage: file=%s
ata0-master: type=cdrom, path=%s, status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev=%s
log: %s
panic: action=fatal
error: action=ignore
info: action=ignore
debug: action=ignore
`

// disc makes the compact disc that the machine boots, and returns its name.
func (o options) disc(ctx context.Context, dir string, initial []byte) (string, error) {
	root, disc := filepath.Join(dir, "disc"), filepath.Join(dir, "disc.iso")
	if err := os.Mkdir(root, 0o700); err != nil {
		return "", err
	}
	contents := map[string][]byte{"initial": initial, "isolinux.cfg": fmt.Appendf(nil, bootMenu, o.use)}
	for name, from := range map[string]string{"linux": o.kernel, "isolinux.bin": bootLoader, "ldlinux.c32": bootModule} {
		content, err := os.ReadFile(from)
		if err != nil {
			return "", err
		}
		contents[name] = content
	}
	for name, content := range contents {
		if err := os.WriteFile(filepath.Join(root, name), content, 0o600); err != nil {
			return "", err
		}
	}
	command := exec.CommandContext(ctx, "xorriso", "-as", "mkisofs", "-quiet", "-o", disc, "-b", "isolinux.bin", "-c", "boot.cat",
		"-no-emul-boot", "-boot-load-size", "4", "-boot-info-table", root)
	if output, err := command.CombinedOutput(); err != nil {
		return "", fmt.Errorf("xorriso: %w: %s", err, output)
	}
	return disc, nil
}

// boot runs the machine, copies its serial line to standard output, and switches it off when init has said how the tests ended.
func (o options) boot(ctx context.Context, dir, disc string) error {
	ctx, off := context.WithCancel(ctx)
	defer off()
	serial, log, config := filepath.Join(dir, "serial"), filepath.Join(dir, "log"), filepath.Join(dir, "bochsrc")
	if err := os.WriteFile(serial, nil, 0o600); err != nil {
		return err
	}
	if err := os.WriteFile(config, fmt.Appendf(nil, machine, o.model, bios, vgaBIOS, disc, serial, log), 0o600); err != nil {
		return err
	}
	line, err := os.Open(serial)
	if err != nil {
		return err
	}
	defer line.Close()

	arguments := []string{"bochs", "-q", "-f", config}
	alone := []string{"unshare", "--user", "--map-root-user", "--net"} // where nobody can reach the display
	if exec.CommandContext(ctx, alone[0], append(alone[1:], "true")...).Run() == nil {
		arguments = append(alone, arguments...)
	}
	command := exec.CommandContext(ctx, arguments[0], arguments[1:]...)
	command.Stdin = strings.NewReader("c\n") // Debian's is built with its debugger, which waits to be told to continue
	var said bytes.Buffer
	command.Stdout, command.Stderr = &said, &said
	fmt.Printf("emulated: booting %s on a %s, which takes a minute or two\n", filepath.Base(o.kernel), o.model)
	started := time.Now()
	if err := command.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()

	var output bytes.Buffer
	for running := true; running; {
		select {
		case <-ended:
			running = false
		case <-time.After(200 * time.Millisecond):
		}
		from := output.Len()
		if _, err := io.Copy(&output, line); err != nil {
			return err
		}
		if _, err := os.Stdout.Write(bytes.ReplaceAll(output.Bytes()[from:], []byte("\r"), nil)); err != nil {
			return err
		}
		if status, found := exitStatus(output.Bytes()); found {
			if running {
				off()
				<-ended
			}
			fmt.Printf("emulated: %v\n", time.Since(started).Round(time.Second))
			if status != "0" {
				return errors.New("the tests failed")
			}
			return nil
		}
	}
	if ctx.Err() != nil {
		return fmt.Errorf("stopped after %v before the tests ended: %w", time.Since(started).Round(time.Second), context.Cause(ctx))
	}
	logged, _ := os.ReadFile(log)
	return fmt.Errorf("the machine stopped before the tests ended:\n%s\n%s", tail(said.Bytes()), tail(logged))
}

// exitStatus finds what init says last.
func exitStatus(output []byte) (string, bool) {
	_, after, found := bytes.Cut(output, []byte("\nemulated machine: exit status "))
	status, _, whole := bytes.Cut(after, []byte("\r\n"))
	return string(status), found && whole
}

func tail(text []byte) []byte { return text[max(0, len(text)-2000):] }
