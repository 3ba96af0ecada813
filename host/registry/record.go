package registry

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/tenon-ml/tenon/host/fault"
)

// maxRecord bounds a record, in bytes: whoever reads the log can tell a line from what is none.
const maxRecord = 8 << 20

// entry is what a row of the audit table says, before it has a place in it.
type entry struct {
	Kind, Actor, Tenant, Alias string
	Detail                     any
}

// record is an audit row as it is hashed: canonical JSON (RFC 8785), without a line break.
type record struct {
	Sequence uint64         `json:"sequence"`
	Time     string         `json:"time"` // RFC 3339 in UTC, to the nanosecond
	Kind     string         `json:"kind"`
	Actor    string         `json:"actor"`
	Tenant   string         `json:"tenant,omitempty"`
	Alias    string         `json:"alias,omitempty"`
	Detail   jsontext.Value `json:"detail"`
}

// The details of the kinds.
type (
	startDetail struct {
		Process   int `json:"process"`
		Leftovers int `json:"leftovers"` // files of an interrupted host, which were removed
	}
	repairDetail struct {
		Source      string `json:"source"`      // what the rows were taken from
		Rows        uint64 `json:"rows"`        // that were taken
		Problem     string `json:"problem"`     // where the source stopped being intact; "" where it did not
		Reports     int    `json:"reports"`     // whose decisions were recorded again
		Quarantined int    `json:"quarantined"` // adapters and reports put aside
	}
	decisionDetail struct {
		Ref      string   `json:"ref"`
		Adapter  string   `json:"adapter"`
		Base     string   `json:"base"`
		Policy   string   `json:"policy"`
		Modules  []string `json:"modules"`
		Verdict  string   `json:"verdict"`
		Findings []string `json:"findings"`
		Report   digest   `json:"report"`
		Override string   `json:"override,omitempty"`
	}
	activationDetail struct {
		Generation digest `json:"generation"`
		Content    digest `json:"content"`
		Adapter    digest `json:"adapter"`
		Base       digest `json:"base"`
		Ref        string `json:"ref"`
		Mode       string `json:"mode"`
		Decision   int64  `json:"decision"`
	}
)

// digest is written as "sha256:…", and as "" where it is zero.
type digest [32]byte

func (d digest) MarshalText() ([]byte, error) {
	if d == (digest{}) {
		return nil, nil
	}
	return []byte("sha256:" + hex.EncodeToString(d[:])), nil
}

func (d *digest) UnmarshalText(text []byte) error {
	*d = digest{}
	if len(text) == 0 {
		return nil
	}
	digits, ok := strings.CutPrefix(string(text), "sha256:")
	raw, err := hex.DecodeString(digits)
	if !ok || err != nil || len(raw) != len(d) {
		return fmt.Errorf("%q is not a digest", text)
	}
	copy(d[:], raw)
	return nil
}

// row is a row of the audit table.
type row struct {
	sequence uint64
	text     []byte // the record
	hash     [32]byte
}

// hashRow is what binds a row to all before it: SHA-256 over the previous row's hash (zeros for the first) and the record.
func hashRow(previous [32]byte, text []byte) [32]byte {
	h := sha256.New()
	h.Write(previous[:])
	h.Write(text)
	return [32]byte(h.Sum(nil))
}

// encode makes the row after the one with that sequence and hash.
func (e *entry) encode(after uint64, previous [32]byte, now time.Time) (row, error) {
	detail, err := json.Marshal(e.Detail, jsontext.AllowInvalidUTF8(true))
	if err != nil {
		return row{}, err
	}
	r := record{Sequence: after + 1, Time: now.UTC().Format(time.RFC3339Nano), Kind: e.Kind, Actor: e.Actor, Tenant: e.Tenant, Alias: e.Alias, Detail: detail}
	text, err := json.Marshal(r, jsontext.AllowInvalidUTF8(true)) // what is no text is written as U+FFFD
	if err != nil {
		return row{}, err
	}
	value := jsontext.Value(text)
	if err := value.Canonicalize(); err != nil {
		return row{}, err
	}
	if len(value) > maxRecord {
		return row{}, fault.New(fault.IOSpace, "the row of the audit table would have %d bytes, and at most %d are kept", len(value), maxRecord).
			Fix("shorten what was written: the reference of the adapter, the reason of an override")
	}
	return row{r.Sequence, value, hashRow(previous, value)}, nil
}

// decodeRecord reads a row's text. It must be what encode writes: canonical, with every field known.
func decodeRecord(text []byte) (record, error) {
	var r record
	if err := json.Unmarshal(text, &r, json.RejectUnknownMembers(true)); err != nil {
		return r, err
	}
	canonical := jsontext.Value(bytes.Clone(text))
	if err := canonical.Canonicalize(); err != nil {
		return r, err
	}
	if !bytes.Equal(canonical, text) {
		return r, fmt.Errorf("it is not canonical JSON")
	}
	return r, nil
}

// auditRow is the row for callers. The text has been held against the hash.
func (r row) auditRow(previous [32]byte) (AuditRow, error) {
	rec, err := decodeRecord(r.text)
	if err != nil {
		return AuditRow{}, err
	}
	at, err := time.Parse(time.RFC3339Nano, rec.Time)
	if err != nil {
		return AuditRow{}, err
	}
	return AuditRow{Sequence: rec.Sequence, Time: at, Kind: rec.Kind, Actor: rec.Actor, Tenant: rec.Tenant, Alias: rec.Alias, Detail: rec.Detail,
		Previous: previous, Hash: r.hash}, nil
}

// hex is the digest in file names.
func (d digest) hex() string { return hex.EncodeToString(d[:]) }
