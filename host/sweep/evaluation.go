package sweep

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/reference"
)

// maxEvaluation is the size of the largest file that is read.
const maxEvaluation = 16 << 20

// evaluationSchema is the prefix of the schema of what tenon eval writes.
const evaluationSchema = "tenon.evaluation/"

// Evaluation is the results of adapters, by name or by rank. Results of one adapter that stand in several files are put together.
type Evaluation struct {
	records []record
}

// record is what one file says about one adapter, or about one rank.
type record struct {
	file, pointer string // of the record, for messages
	name          string // "" where the record names a rank only
	rank          int    // 0 where the record names an adapter only
	values        map[string]float64
}

// Read adds a file. It is JSON or CSV, told by its first character:
//
//   - an object of records by the adapter's name or by the rank: {"e2e-r8": {"val_loss": 3.3}} or {"8": {"val_loss": 3.3}};
//   - an array of records, each with "adapter" (or "name") or "rank" (or "r"): [{"rank": 8, "val_loss": 3.3}];
//   - what `tenon eval -o json` writes, of models by their names, and of texts for the adapter that adapter names;
//   - a table with a header, one row for each record, columns adapter (or name) or rank (or r).
//
// Every number of a record is a result, and those of an object "metrics" in it; what is no number is left out, and so are settings such as a
// seed. adapter is the adapter that the whole file is about, "" where the records say it.
func (e *Evaluation) Read(path, adapter string) error {
	f, err := reference.OpenRegular(path, true)
	if err != nil {
		return err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxEvaluation+1))
	switch {
	case err != nil:
		return fault.New(fault.IORead, "it cannot be read").In(path).Wrap(reference.Bare(err)).Fix("check the disk")
	case len(text) > maxEvaluation:
		return fault.New(fault.UsageFlag, "the file has more than %d bytes", maxEvaluation).In(path).Fix("give a file of results, and not of texts")
	}
	return e.parse(path, adapter, text)
}

// parse adds the text of a file.
func (e *Evaluation) parse(path, adapter string, text []byte) error {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	before := len(e.records)
	var err error
	if trimmed := bytes.TrimLeft(text, " \t\r\n"); len(trimmed) > 0 && (trimmed[0] == '{' || trimmed[0] == '[') {
		err = e.parseJSON(path, adapter, text)
	} else {
		err = e.parseCSV(path, adapter, text)
	}
	if err == nil && len(e.records) == before {
		err = refuse(path, "", "there are no results in it")
	}
	return err
}

const schemaHint = `give {"ADAPTER": {"val_loss": 3.3}}, a table with a column adapter or rank, or ADAPTER=FILE for what tenon eval wrote`

func refuse(path, pointer, cause string, args ...any) *fault.Error {
	return fault.New(fault.UsageFlag, cause, args...).In(path).At(pointer).Fix(schemaHint)
}

func (e *Evaluation) parseJSON(path, adapter string, text []byte) error {
	var whole any
	if err := json.Unmarshal(text, &whole); err != nil {
		return refuse(path, "", "the file is not JSON").Wrap(err)
	}
	switch whole := whole.(type) {
	case []any:
		for i, item := range whole {
			fields, ok := item.(map[string]any)
			if !ok {
				return refuse(path, fmt.Sprintf("/%d", i), "the record is no object")
			}
			if err := e.add(path, fmt.Sprintf("/%d", i), adapter, fields); err != nil {
				return err
			}
		}
		return nil
	case map[string]any:
		schema, _ := whole["schemaVersion"].(string)
		if adapter != "" || strings.HasPrefix(schema, evaluationSchema) {
			return e.add(path, "", adapter, whole)
		}
		names := make([]string, 0, len(whole))
		for name := range whole {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			pointer := string(jsontext.Pointer("").AppendToken(name))
			fields, ok := whole[name].(map[string]any)
			if !ok {
				return refuse(path, pointer, "%q is no object of results", name)
			}
			if err := e.add(path, pointer, name, fields); err != nil {
				return err
			}
		}
		return nil
	}
	return refuse(path, "", "the file is neither an object nor an array of results")
}

// add enters a record. key is the adapter's name or a rank; "" where the record itself says.
func (e *Evaluation) add(path, pointer, key string, fields map[string]any) error {
	r := record{file: path, pointer: pointer, values: map[string]float64{}}
	collect(fields, r.values)
	if metrics, ok := fields["metrics"].(map[string]any); ok {
		collect(metrics, r.values)
	}
	if key != "" {
		r.name = key
		if rank, err := strconv.Atoi(key); err == nil && rank > 0 {
			r.name, r.rank = "", rank
		}
	} else {
		for _, field := range []string{"adapter", "name"} {
			switch value := fields[field].(type) {
			case string:
				r.name = value
			case map[string]any: // an adapter as reports describe it
				r.name, _ = value["ref"].(string)
			}
			if r.name != "" {
				break
			}
		}
		for _, field := range []string{"rank", "r"} {
			if rank, ok := fields[field].(float64); ok && rank == math.Trunc(rank) && rank > 0 && rank < 1<<30 {
				r.rank = int(rank)
				break
			}
		}
	}
	if base, ok := fields["adapter"].(string); ok && base == "" && r.rank == 0 {
		return nil // tenon eval says so of the base alone
	}
	if r.name == "" && r.rank == 0 {
		return refuse(path, pointer, "the results name neither an adapter nor a rank")
	}
	e.records = append(e.records, r)
	return nil
}

// collect takes the numbers that are results.
func collect(fields map[string]any, into map[string]float64) {
	for column, value := range fields {
		if number, ok := value.(float64); ok && !isSetting(column) {
			into[column] = number
		}
	}
}

func (e *Evaluation) parseCSV(path, adapter string, text []byte) error {
	reader := csv.NewReader(bytes.NewReader(text))
	reader.TrimLeadingSpace = true
	header, err := reader.Read()
	if errors.Is(err, io.EOF) {
		return refuse(path, "", "the file is empty")
	} else if err != nil {
		return refuse(path, "", "the file is neither JSON nor a table").Wrap(err)
	}
	for {
		row, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return refuse(path, "", "the table is damaged").Wrap(err)
		}
		line, _ := reader.FieldPos(0)
		fields := map[string]any{}
		for i, text := range row {
			column := strings.TrimSpace(header[i])
			key := normal(column)
			isKey := key == "adapter" || key == "name" || key == "rank" || key == "r"
			if isKey {
				column = key
			}
			if _, twice := fields[column]; twice {
				return refuse(path, "", "the table has column %q twice", column)
			}
			text = strings.TrimSpace(text)
			number, err := strconv.ParseFloat(text, 64)
			switch {
			case key == "adapter" || key == "name":
				fields[column] = text
			case err == nil && !math.IsNaN(number) && !math.IsInf(number, 0):
				fields[column] = number
			}
		}
		if err := e.add(path, "", adapter, fields); err != nil {
			for _, problem := range fault.All(err) {
				problem.Cause = fmt.Sprintf("line %d: %s", line, problem.Cause)
			}
			return err
		}
	}
}
