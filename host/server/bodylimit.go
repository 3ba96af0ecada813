package server

import (
	"fmt"
	"io"
	"net/http"
)

// limitedBody counts what is read of a body against what all bodies together may take, so that many large ones cannot fill the memory.
type limitedBody struct {
	io.ReadCloser
	server *Server
	held   int64
}

// limitBody refuses a body that says that it is too long, before any of it is read, and bounds the others.
func (s *Server) limitBody(w http.ResponseWriter, r *http.Request) (*limitedBody, error) {
	if r.ContentLength > maxBodyBytes {
		w.Header().Set("Connection", "close") // what the client still sends is nothing to wait for
		return nil, refuse(http.StatusRequestEntityTooLarge, "", "%s", tooLong(maxBodyBytes))
	}
	return &limitedBody{ReadCloser: r.Body, server: s}, nil
}

func tooLong(limit int64) string { return fmt.Sprintf("the body is longer than %d bytes", limit) }

// Read counts before it reads, and gives back what did not come.
func (b *limitedBody) Read(p []byte) (int, error) {
	want := int64(len(p))
	if b.server.bodies.Add(want) > maxBodies {
		b.server.bodies.Add(-want)
		return 0, tooMany("the bodies of requests in flight hold %d bytes already", maxBodies)
	}
	n, err := b.ReadCloser.Read(p)
	b.server.bodies.Add(int64(n) - want)
	b.held += int64(n)
	return n, err
}

// release ends the counting: the body was parsed, or its request ended.
func (b *limitedBody) release() {
	b.server.bodies.Add(-b.held)
	b.held = 0
}
