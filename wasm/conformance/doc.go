// Package conformance holds the SDKs to guest ABI v1 and to each other. sdk/conformance has one program in Go, C, Rust and AssemblyScript
// that calls every function of the ABI; the tests here build each, run it in a worker on the same small adapter and compare the whole
// report, bit for bit, with sdk/conformance/testdata. They also hold the guests that ship with Tenon to the ABI: they are written with it
// and nothing else.
package conformance
