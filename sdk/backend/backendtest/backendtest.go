// Package backendtest holds a backend against the contract from a Go test.
//
//	func TestConformance(t *testing.T) {
//		backendtest.Test(t, func(t *testing.T) backendpb.BackendClient { … })
//	}
//
// The suite itself is package conformance; tenon backend test runs it on a backend in any language.
package backendtest

import (
	"testing"

	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
	"github.com/tenon-ml/tenon/sdk/backend/conformance"
)

// Start returns a client of a backend that has no base yet, and ends it with the test.
type Start func(t *testing.T) backendpb.BackendClient

// Test runs the whole suite over gRPC clients. What the backend does not do is skipped, with the reason.
func Test(t *testing.T, start Start) {
	conformance.Test(test{t}, func(t conformance.T) backendpb.BackendClient { return start(t.(test).T) })
}

// Adapt makes a test of package conformance.
func Adapt(t *testing.T) conformance.T { return test{t} }

// test is a *testing.T whose parts are tests.
type test struct{ *testing.T }

var _ conformance.T = test{}

// Run runs a part.
func (t test) Run(name string, part func(conformance.T)) bool {
	return t.T.Run(name, func(t *testing.T) { part(test{t}) })
}
