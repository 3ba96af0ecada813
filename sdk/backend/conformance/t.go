package conformance

import "context"

// T is what the suite needs of a test: the parts of *testing.T of the same names, with the same meaning. Package backendtest makes one of a
// *testing.T, and Run makes one where there is no test.
type T interface {
	Helper()
	Name() string
	Context() context.Context // ends when the test does, before its cleanups
	TempDir() string          // is removed after the test
	Cleanup(func())
	Run(name string, test func(T)) bool
	Failed() bool
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any) // does not return
	Skipf(format string, args ...any)  // does not return
}
