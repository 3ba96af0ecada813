//go:build !amd64 && !arm64

package machine

var peaks []peak
