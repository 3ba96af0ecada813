package host

import (
	"errors"
	"maps"
	"slices"

	"github.com/tenon-ml/tenon/host/adapter"
	"github.com/tenon-ml/tenon/host/server"
)

// liveBeside opens the adapters that the other aliases mean once more, for as long as a check compares with them, whatever happens to the
// aliases meanwhile. Several aliases of one adapter count once.
func (s *Serving) liveBeside(name string) (live []*adapter.Binding, err error) {
	s.state.RLock()
	defer s.state.RUnlock()
	tenant, _ := server.Unqualify(name)
	seen := map[[32]byte]bool{}
	for _, other := range slices.Sorted(maps.Keys(s.live)) {
		a := s.live[other]
		whose, _ := server.Unqualify(other)
		if other == name || a.generation == nil || seen[a.activation.Adapter] || whose != "" && whose != tenant {
			continue // a report must not tell a tenant what another one has
		}
		seen[a.activation.Adapter] = true
		shared, err := a.generation.binding.Share()
		if err != nil {
			for _, opened := range live {
				err = errors.Join(err, opened.Close())
			}
			return nil, err
		}
		shared.Adapter.Ref = a.activation.Ref
		live = append(live, shared)
	}
	return live, nil
}
