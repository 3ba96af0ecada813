// Command init is the first and only process of the emulated machine: it runs the test binaries in /tests, one after the other, with the flags
// that /flags lists, a line each, and reports on the console how they ended. The machine is switched off from outside.
package main

import (
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

func main() {
	code := 0
	if err := run(); err != nil {
		fmt.Println(err)
		code = 1
	}
	fmt.Printf("\nemulated machine: exit status %d\n", code)
	time.Sleep(math.MaxInt64) // a machine whose first process ends panics
}

func run() error {
	flags, err := os.ReadFile("/flags")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(os.TempDir(), 0o700); err != nil {
		return err
	}
	tests, err := filepath.Glob("/tests/*")
	if err != nil {
		return err
	}
	if len(tests) == 0 {
		err = errors.New("there are no tests")
	}
	for _, test := range tests {
		fmt.Println("emulated machine:", test)
		command := exec.Command(test, strings.Split(string(flags), "\n")...)
		command.Dir = os.TempDir()
		command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr // there is no /dev/null
		if failed := command.Run(); failed != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", test, failed))
		}
	}
	return err
}
