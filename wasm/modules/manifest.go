package modules

import (
	"encoding/hex"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"unicode/utf8"

	"github.com/go-json-experiment/json"

	"github.com/tenon-ml/tenon/sdk/abi"
)

// What a manifest may hold. A person reads these limits only after a mistake.
const (
	maxManifest = 1 << 20
	maxTitle    = 256 // bytes
	maxDoc      = 1 << 10
	maxParams   = 64
	maxSVDRank  = 512 // as many triples as a host computes of a weight
)

var (
	idPattern      = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,63}$`)
	versionPattern = regexp.MustCompile(`^[0-9]{1,9}\.[0-9]{1,9}\.[0-9]{1,9}([-+][0-9A-Za-z.+-]{1,64})?$`)
	paramPattern   = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)
	digestPattern  = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// reserved are the ids under which a report gives what no module said: rules and probes.
var reserved = []string{"policy", "probe"}

// parse reads a manifest. A member nobody knows is an error: it would be a need or a limit that is not kept.
func parse(text []byte) (abi.Manifest, error) {
	var m abi.Manifest
	if len(text) > maxManifest {
		return m, fmt.Errorf("it has %d bytes, and the limit is %d", len(text), maxManifest)
	}
	if err := json.Unmarshal(text, &m, json.RejectUnknownMembers(true)); err != nil {
		return abi.Manifest{}, err
	}
	if err := check(m); err != nil {
		return abi.Manifest{}, err
	}
	return m, nil
}

// check says what is wrong with a manifest whose JSON is right.
func check(m abi.Manifest) error {
	switch {
	case !idPattern.MatchString(m.ID) || slices.Contains(reserved, m.ID):
		return fmt.Errorf("id is %.80q, and must be lower-case letters, digits and hyphens, at most 64, and none of %q", m.ID, reserved)
	case !versionPattern.MatchString(m.Version):
		return fmt.Errorf("version is %.80q, and must be a semantic version such as 1.0.0", m.Version)
	case m.Title == "" || len(m.Title) > maxTitle || !utf8.ValidString(m.Title):
		return fmt.Errorf("title has %d bytes, and must have 1 to %d", len(m.Title), maxTitle)
	case m.Guest != "" && !idPattern.MatchString(m.Guest):
		return fmt.Errorf("guest is %.80q, and must be lower-case letters, digits and hyphens", m.Guest)
	case !slices.Contains([]abi.Cost{abi.CostFactors, abi.CostWeights, abi.CostVectors}, m.Cost):
		return fmt.Errorf("cost is %.80q, and must be %s, %s or %s", m.Cost, abi.CostFactors, abi.CostWeights, abi.CostVectors)
	case m.SHA256 != "" && !digestPattern.MatchString(m.SHA256):
		return fmt.Errorf("sha256 is %.80q, and must be 64 lower-case hexadecimal digits", m.SHA256)
	case len(m.Params) > maxParams:
		return fmt.Errorf("it has %d params, and the limit is %d", len(m.Params), maxParams)
	}
	capabilities := []abi.Capability{abi.CapBase, abi.CapPeers, abi.CapKernels}
	for i, need := range m.Needs {
		if !slices.Contains(capabilities, need) {
			return fmt.Errorf("it needs %.80q, which is no capability: there are %q", need, capabilities)
		}
		if slices.Contains(m.Needs[:i], need) {
			return fmt.Errorf("it needs %q twice", need)
		}
	}
	if m.BaseSVDRank < abi.BaseSVDAll || m.BaseSVDRank > maxSVDRank {
		return fmt.Errorf("base_svd_rank is %d, and must be %d to %d", m.BaseSVDRank, abi.BaseSVDAll, maxSVDRank)
	}
	if m.BaseSVDRank != 0 && !slices.Contains(m.Needs, abi.CapBase) {
		return fmt.Errorf("base_svd_rank is %d, and it does not need %q", m.BaseSVDRank, abi.CapBase)
	}
	for _, name := range slices.Sorted(maps.Keys(m.Params)) {
		if !paramPattern.MatchString(name) {
			return fmt.Errorf("param %.80q must be lower-case letters, digits and underscores, a letter first, at most 64", name)
		}
		if doc := m.Params[name].Doc; len(doc) > maxDoc {
			return fmt.Errorf("the doc of param %s has %d bytes, and the limit is %d", name, len(doc), maxDoc)
		}
	}
	l := m.Limits
	if min(l.GuestMemory, l.HostTensors, int64(l.Metrics), int64(l.GridValues), int64(l.Findings), int64(l.LogBytes), l.HostCalls, l.RunMillis,
		l.CompileMillis) < 0 {
		return fmt.Errorf("a limit is negative")
	}
	return nil
}

// agree refuses a manifest that is of another guest.
func agree(m abi.Manifest, guest [32]byte) error {
	if have := hex.EncodeToString(guest[:]); m.SHA256 != "" && m.SHA256 != have {
		return fmt.Errorf("its sha256 is %s, and the guest's is %s: manifest and guest are not of one build", m.SHA256, have)
	}
	return nil
}
