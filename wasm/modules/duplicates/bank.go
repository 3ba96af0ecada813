package duplicates

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/tenon-ml/tenon/sdk/diag"
)

// listed is how many adapters of the bank are named, of either kind: a bank with a thousand copies must not use up the limit on findings.
const listed = 10

// bankSearch gathers the entries of the bank that are alike.
type bankSearch struct {
	maxDistance int
	compared    int
	nearest     int
	same        []entry
	opposite    []entry // by distance from the opposite
}

type entry struct {
	name     string
	distance int
	size     float64 // about how many times as large as the entry's change this one's is
}

func (b *bankSearch) add(name string, distance int, size float64) {
	b.compared++
	b.nearest = min(b.nearest, distance)
	if distance <= b.maxDistance {
		b.same = append(b.same, entry{name, distance, size})
	}
	if features-distance <= b.maxDistance {
		b.opposite = append(b.opposite, entry{name, features - distance, size})
	}
}

func (b *bankSearch) report(run *diag.Run) {
	run.Metric("bank_compared", float64(b.compared))
	if b.compared == 0 {
		return
	}
	cosine, _ := estimate(b.nearest)
	run.Metric("bank_nearest_distance", float64(b.nearest))
	run.Metric("bank_nearest_cosine", cosine)
	limit, _ := estimate(b.maxDistance)
	more := closest(&b.same)
	for _, e := range b.same {
		cosine, _ := estimate(e.distance)
		run.Finding(diag.Info, "DUPLICATE", "it makes a change in nearly the same direction as "+e.name+" of the bank, about "+times(e.size)+" ("+
			estimated(e.distance)+")",
			"compare the two to be sure; if this is the same adapter again, serve the one there is", cosine, limit)
	}
	if more > 0 {
		run.Finding(diag.Info, "DUPLICATE", "and "+strconv.Itoa(more)+" more of the bank are as close",
			"the bank holds many copies of one adapter: remove them, or what is held against it counts them all", float64(more), listed)
	}
	closest(&b.opposite)
	for _, e := range b.opposite {
		distance := features - e.distance
		cosine, _ := estimate(distance)
		run.Finding(diag.Info, "OPPOSITE", "it makes a change in nearly the opposite direction of "+e.name+" of the bank, about "+times(e.size)+" ("+
			estimated(distance)+")",
			"check the sign of the scale, unless it is meant to take the other one back", cosine, -limit)
	}
}

// closest sorts the entries, cuts them to the number that is listed, and tells how many are left out.
func closest(entries *[]entry) (more int) {
	slices.SortStableFunc(*entries, func(x, y entry) int { return cmp.Compare(x.distance, y.distance) })
	more = max(len(*entries)-listed, 0)
	*entries = (*entries)[:len(*entries)-more]
	return more
}
