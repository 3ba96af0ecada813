// Package basevectors finds out how many singular vectors of a base weight the host holds, and how many of them mean something.
package basevectors

import (
	"errors"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/diag"
)

// Missing reports whether err says that this run was given no singular vectors of the base: the policy does not grant them.
func Missing(err error) bool {
	return errors.Is(err, abi.Unsupported) || errors.Is(err, abi.Denied) || errors.Is(err, abi.NotFound)
}

// Top gives the top singular triples of the target's W: k of them, or as many as the host holds and the run has room for, found by
// bisection. They are the caller's to drop. The error is that of the host where it gives none at all.
func Top(target diag.Target, k int) (diag.Triples, error) {
	triples, err := target.BaseSVD(k)
	if err == nil || !tooMany(err) {
		return triples, err
	}
	fits, above := 0, k // fits are given, above are not
	for above-fits > 1 {
		middle := fits + (above-fits)/2
		some, err := target.BaseSVD(middle)
		switch {
		case err == nil:
			some.Drop() // so that it takes no room from the next
			fits = middle
		case tooMany(err):
			above = middle
		default:
			return diag.Triples{}, err
		}
	}
	if fits == 0 {
		return diag.Triples{}, err
	}
	return target.BaseSVD(fits)
}

// Rank is how many of W's singular values, largest first, are not rounding, with size the larger dimension of W: the directions of the rest
// are arbitrary.
func Rank(s []float64, size int) int {
	for i, value := range s {
		if value <= s[0]*float64(size)*0x1p-52 {
			return i
		}
	}
	return len(s)
}

func tooMany(err error) bool { return errors.Is(err, abi.Range) || errors.Is(err, abi.Quota) }
