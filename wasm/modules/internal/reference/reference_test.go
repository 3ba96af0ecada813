package reference

import (
	"fmt"
	"strings"
	"testing"
)

func TestReadDiagnostics(t *testing.T) {
	d := ReadDiagnostics(t)
	own, theirs := d.Own(), d.Theirs()
	if own.Base.Rows != 14 || own.Base.Cols != 10 || own.A.Rows != 3 || theirs.A.Rows != 5 || theirs.B.Rows != 14 || own.Scale != 2 {
		t.Errorf("the targets are %+v and %+v", own, theirs)
	}
	// An element whose name is misspelt would be read as nothing, and a test that loops over it would pass.
	for name, there := range map[string]bool{
		"singular_values": len(d.Singular) == 3, "spectrum": len(d.Spectrum) == 12, "kurtosis": d.Kurtosis != 0, "table7": len(d.Table7) == 9,
		"swamping_bf16": len(d.Swamping) == 5, "intruders_k3": len(d.Intruders.MaxCos) == 3, "fig8_W_dW_left": len(d.PhiBaseLeft) == 10,
		"phi_A_literal": len(d.PhiA) == 3, "phi_right": len(d.PhiRight) == 3, "phi_left": len(d.PhiLeft) == 3, "inner": d.Inner != 0,
		"cosine": d.Cosine != 0,
	} {
		if !there {
			t.Errorf("%s is not read", name)
		}
	}
}

// skipped is a test that says why it was skipped.
type skipped struct {
	testing.TB
	why string
}

func (s *skipped) Helper() {}

func (s *skipped) Skipf(format string, args ...any) {
	s.why = fmt.Sprintf(format, args...)
	panic(s.why)
}

// Where a file is absent, the test that wants it is skipped and does not pass as if it had compared anything.
func TestAbsentFileSkips(t *testing.T) {
	s := &skipped{TB: t}
	func() {
		defer func() { _ = recover() }()
		Read(s, new(any), "no", "such.json")
	}()
	if !strings.HasPrefix(s.why, "skipped: no reference values: ") {
		t.Errorf("an absent file skips with %q", s.why)
	}
}
