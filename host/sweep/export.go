package sweep

import (
	"encoding/csv"
	"io"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/tenon-ml/tenon/host/report"
)

// Schema is the schema of what JSON writes. Its fields only grow.
const Schema = "tenon.sweep/v1"

// document is the JSON of a sweep.
type document struct {
	SchemaVersion string      `json:"schemaVersion"`
	Base          report.Base `json:"base"`
	Choice        *Choice     `json:"choice"`           // null where there is nothing to choose by
	Reason        string      `json:"reason,omitzero"`  // why not
	Columns       []string    `json:"columns"`          // of the evaluations
	Runs          []Run       `json:"runs"`             // by rank and name
	Figures       []string    `json:"figures,omitzero"` // files that were written
}

// JSON writes a sweep. figures are the files that were drawn of it.
func (s *Sweep) JSON(w io.Writer, c *Choice, reason string, figures []string) error {
	d := document{SchemaVersion: Schema, Base: s.Base, Choice: c, Reason: reason, Columns: s.Columns, Runs: s.Runs, Figures: figures}
	options := []json.Options{json.Deterministic(true), jsontext.EscapeForHTML(true), jsontext.AllowInvalidUTF8(true), jsontext.WithIndent("  ")}
	if err := json.MarshalWrite(w, d, options...); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

// CSV writes a row for each run: what it is, the medians of each kind of weight as KIND.METRIC, and its results. What is not known is empty.
func (s *Sweep) CSV(w io.Writer) error {
	out := csv.NewWriter(w)
	header := []string{"adapter", "digest", "rank"}
	labels := map[string]string{}
	for _, run := range s.Runs {
		for _, k := range run.Kinds {
			labels[k.Name] = k.Label
		}
	}
	for _, kind := range s.kindNames() {
		for _, m := range Measures() {
			header = append(header, labels[kind]+"."+m.Metric)
		}
	}
	if err := out.Write(append(header, s.Columns...)); err != nil {
		return err
	}
	for i := range s.Runs {
		run := &s.Runs[i]
		row := []string{run.Name, run.Digest, strconv.Itoa(run.Rank)}
		for _, kind := range s.kindNames() {
			for _, m := range Measures() {
				k := run.kind(kind)
				if k == nil {
					row = append(row, "")
					continue
				}
				v, ok := k.Medians[m.Metric]
				row = append(row, exact(float64(v), ok))
			}
		}
		for _, column := range s.Columns {
			v, ok := run.Evaluation[column]
			row = append(row, exact(v, ok))
		}
		if err := out.Write(row); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

// exact is the shortest text that reads back as v.
func exact(v float64, ok bool) string {
	if !ok {
		return ""
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}
