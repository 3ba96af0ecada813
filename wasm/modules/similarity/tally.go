package similarity

import (
	"strconv"

	"github.com/tenon-ml/tenon/sdk/diag"
	"github.com/tenon-ml/tenon/wasm/modules/internal/places"
)

// tally sums up the weights that the adapter and one peer both adapt. What can be wrong with many of them is one finding for the peer, so
// that a hundred peers with a thousand weights do not use up the limit on findings.
type tally struct {
	targets   int           // weights that both adapt
	broken    places.Places // where the peer's factors are not finite
	zero      places.Places // where one of the deltas is zero
	compared  int           // where the spans of A could differ
	sameInit  int           // of these, where A began alike
	leastInit float64
}

// report gives the findings about one peer.
func (t *tally) report(run *diag.Run, peer string, set settings) {
	if t.broken.Count > 0 {
		run.Finding(diag.Warn, "SIMILARITY_UNDEFINED", "factors of "+peer+" are not finite in "+t.broken.Of(t.targets, "the ", "weights that both adapt")+", which were not compared",
			"check that adapter by itself and stop serving it until it is repaired", float64(t.broken.Count), 0)
	}
	if t.zero.Count > 0 {
		run.Finding(diag.Info, "SIMILARITY_UNDEFINED",
			"this adapter or "+peer+" changes nothing in "+t.zero.Of(t.targets, "the ", "weights that both adapt")+", so there are no directions to compare",
			"nothing to do, unless the adapter was trained on these weights: then see the findings of hygiene", float64(t.zero.Count), 0)
	}
	if 2*t.sameInit > t.compared {
		run.Finding(diag.Info, "SHARED_INIT", "it started from the same random A as "+peer+" in "+strconv.Itoa(t.sameInit)+" of "+
			strconv.Itoa(t.compared)+" weights, and learned something else: their A look alike only because of that",
			"judge this pair by phi_delta and cosine, not by phi_a; to compare seeds, initialise them differently too", t.leastInit, set.initPhi)
	}
}
