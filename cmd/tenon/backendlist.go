package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"github.com/tenon-ml/tenon/host/backend"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/report"
	sdk "github.com/tenon-ml/tenon/sdk/backend"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// backendView is what tenon backend list says of one backend.
type backendView struct {
	Backend       string   `json:"backend"` // what --backend takes
	SHA256        string   `json:"sha256"`  // of the executable, for --backend-sha256
	Name          string   `json:"name"`
	Version       string   `json:"version"`
	Device        string   `json:"device"`
	Levels        []string `json:"levels"`
	Dtypes        []string `json:"dtypes"`
	Architectures []string `json:"architectures"`
	MemoryBytes   uint64   `json:"memoryBytes"` // 0 where unknown
}

func (c *command) backendList() *cobra.Command {
	var more []string
	var format string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Start each backend and print what it says of itself",
		Long: `List starts the built-in backend, those named tenon-backend-NAME beside tenon,
and those given with --backend, and prints what each says that it is and does.
The SHA-256 is of its executable, for --backend-sha256.`,
		Args: arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := oneOf("output", format, "text", "json"); err != nil {
				return err
			}
			names := []string{builtinBackend}
			for _, path := range installedBackends() {
				names = append(names, strings.TrimPrefix(filepath.Base(path), backendPrefix))
			}
			for _, name := range more { // which tenon.yaml may say too, and then it may be one of those
				if !slices.Contains(names, name) {
					names = append(names, name)
				}
			}
			views := []backendView{}
			for _, name := range names {
				spec, err := findBackend(name)
				if err != nil {
					return err
				}
				view, err := c.look(cmd.Context(), name, spec)
				if err != nil {
					return err
				}
				views = append(views, view)
			}
			if format == "json" {
				document := struct {
					SchemaVersion string        `json:"schemaVersion"`
					Backends      []backendView `json:"backends"`
				}{"tenon.backends/v1", views}
				return json.MarshalWrite(c.stdout, document, json.Deterministic(true), jsontext.WithIndent("  "))
			}
			for i, view := range views {
				if i > 0 {
					fmt.Fprintln(c.stdout)
				}
				view.write(c.stdout)
			}
			return nil
		},
	}
	cmd.Flags().StringArrayVar(&more, "backend", nil, "`PATH` of another backend to start; repeat for several")
	cmd.Flags().StringVarP(&format, "output", "o", "text", "`FORMAT`: text or json")
	return cmd
}

// lookTime bounds how long one backend may take to say what it is.
const lookTime = time.Minute

// look starts a backend, asks it what it is and does, and ends it.
func (c *command) look(ctx context.Context, name string, spec backend.Spec) (backendView, error) {
	view := backendView{Backend: name}
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	supervisor, err := backend.Start(ctx, spec, backend.Options{Log: c.log()})
	if err != nil {
		return view, err
	}
	defer supervisor.Stop(context.WithoutCancel(ctx))
	client, err := supervisor.Client(ctx)
	if err != nil {
		return view, err
	}
	d, err := client.Describe(ctx, &backendpb.DescribeRequest{})
	if err != nil {
		return view, fault.New(fault.BackendDown, "backend %q does not say what it is", spec.Name).Wrap(err)
	}
	view.Name, view.Version, view.Device, view.MemoryBytes = d.Name, d.Version, d.Device, d.MemoryBytes
	view.Dtypes, view.Architectures = append([]string{}, d.Dtypes...), append([]string{}, d.Architectures...)
	if view.Levels, err = sdk.Levels(ctx, client, d); err != nil {
		return view, fault.New(fault.BackendDown, "backend %q breaks the contract", spec.Name).Wrap(err).Fix("see: tenon backend test %s", name)
	}
	view.SHA256 = hex.EncodeToString(supervisor.Digest())
	return view, nil
}

// write prints the view in lines of 80 columns.
func (v backendView) write(w io.Writer) {
	line := func(label, text string) {
		fmt.Fprintln(w, strings.Join(report.Wrap(fmt.Sprintf("%-10s ", label), report.Escape(text), 80), "\n"))
	}
	line("backend", v.Backend)
	line("is", v.Name+" "+v.Version)
	line("device", v.Device)
	line("levels", strings.Join(v.Levels, ", "))
	line("merges", strings.Join(v.Dtypes, ", "))
	if len(v.Architectures) > 0 {
		line("generates", strings.Join(v.Architectures, ", "))
	}
	line("sha256", v.SHA256)
}
