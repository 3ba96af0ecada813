package host

import (
	"slices"

	"github.com/tenon-ml/tenon/host/merge"
	"github.com/tenon-ml/tenon/host/registry"
	"github.com/tenon-ml/tenon/host/report"
)

// stagedRecord is a generation that was staged for an alias and is not what it means.
type stagedRecord struct {
	activation registry.Activation // as it will be committed
	verdict    report.Verdict
	reason     string
}

// maxStaged bounds what can be staged for one alias. The oldest goes.
const maxStaged = 8

func (s *Serving) stage(r *stagedRecord) {
	s.state.Lock()
	defer s.state.Unlock()
	name := r.activation.Alias
	list := slices.DeleteFunc(slices.Clone(s.staged[name]), func(o *stagedRecord) bool { return o.activation.Generation == r.activation.Generation })
	list = append(list, r)
	s.staged[name] = list[max(0, len(list)-maxStaged):]
}

func (s *Serving) unstage(name string, generation [32]byte) {
	s.state.Lock()
	defer s.state.Unlock()
	list := slices.DeleteFunc(slices.Clone(s.staged[name]), func(o *stagedRecord) bool { return o.activation.Generation == generation })
	if s.staged[name] = list; len(list) == 0 {
		delete(s.staged, name)
	}
}

func (s *Serving) stagedRecord(name, generation string) *stagedRecord {
	s.state.RLock()
	defer s.state.RUnlock()
	for _, r := range s.staged[name] {
		if merge.DigestString(r.activation.Generation) == generation {
			return r
		}
	}
	return nil
}
