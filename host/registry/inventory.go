package registry

import (
	"bytes"
	"context"
	"crypto/sha256"
	"maps"
	"os"
	"slices"

	"github.com/go-json-experiment/json"

	"github.com/tenon-ml/tenon/host/durable"
)

// reportSummary is what a report (tenon.report/v1) says of the decision it was made for.
type reportSummary struct {
	Verdict string `json:"verdict"`
	Adapter struct {
		Ref    string `json:"ref"`
		Digest string `json:"digest"`
	} `json:"adapter"`
	Base struct {
		Digest string `json:"digest"`
	} `json:"base"`
	Policy struct {
		Digest string `json:"digest"`
	} `json:"policy"`
	Modules []struct {
		ID     string `json:"id"`
		SHA256 string `json:"sha256"`
	} `json:"modules"`
	Findings []struct {
		Code string `json:"code"`
	} `json:"findings"`
}

// checkStore puts what is not what it was into quarantine, and gives the decisions that the reports tell of, by the reports' digests.
func (r *Registry) checkStore(ctx context.Context, found *RepairReport) (map[digest]entry, error) {
	names, err := os.ReadDir(r.path(adaptersName))
	if err != nil {
		return nil, durable.Fault(r.path(adaptersName), err)
	}
	for _, name := range names {
		if _, ok := isManifest(name.Name()); ok {
			continue // looked at with its adapter
		}
		dir := r.path(adaptersName, name.Name())
		text, err := readManifest(dir + manifestSuffix)
		if err == nil {
			err = checkAdapter(ctx, dir, text)
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err == nil {
			found.Adapters++
			continue
		}
		if _, err := quarantine(r.dir, dir); err != nil {
			return nil, err
		}
		found.Quarantined++
	}
	return r.checkReports(ctx, found)
}

func (r *Registry) checkReports(ctx context.Context, found *RepairReport) (map[digest]entry, error) {
	names, err := os.ReadDir(r.path(reportsName))
	if err != nil {
		return nil, durable.Fault(r.path(reportsName), err)
	}
	told := map[digest]entry{}
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		path := r.path(reportsName, name.Name())
		text, err := readRegular(path, maxReport)
		sum := digest(sha256.Sum256(text))
		e, ok := sum.decisionOf(text)
		if err == nil && ok && name.Name() == sum.hex()+manifestSuffix {
			told[sum] = e
			continue
		}
		if _, err := quarantine(r.dir, path); err != nil {
			return nil, err
		}
		found.Quarantined++
	}
	return told, nil
}

// decisionOf is the decision that a report was made for, as far as the report tells it. A report that is none tells only that there was one.
func (d digest) decisionOf(text []byte) (entry, bool) {
	var s reportSummary
	if err := json.Unmarshal(text, &s); err != nil {
		return entry{}, false
	}
	detail := decisionDetail{Ref: s.Adapter.Ref, Adapter: s.Adapter.Digest, Base: s.Base.Digest, Policy: s.Policy.Digest, Verdict: s.Verdict, Report: d}
	for _, m := range s.Modules {
		detail.Modules = append(detail.Modules, m.ID+"@sha256:"+m.SHA256)
	}
	for _, f := range s.Findings {
		detail.Findings = append(detail.Findings, f.Code)
	}
	return entry{Kind: KindDecision, Actor: "repair", Detail: detail}, true
}

// sortedDigests gives the keys in order.
func sortedDigests(m map[digest]entry) []digest {
	return slices.SortedFunc(maps.Keys(m), func(a, b digest) int { return bytes.Compare(a[:], b[:]) })
}
