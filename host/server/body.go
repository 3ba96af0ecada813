package server

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// readBody reads a request's JSON into out. Names that occur twice, that out does not know, and invalid UTF-8 are refused.
func readBody(w http.ResponseWriter, r *http.Request, out any) error {
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBodyBytes))
	var tooLarge *http.MaxBytesError
	var own *apiError
	switch {
	case errors.As(err, &own):
		return own
	case errors.As(err, &tooLarge):
		return refuse(http.StatusRequestEntityTooLarge, "", "%s", tooLong(tooLarge.Limit))
	case errors.Is(err, os.ErrDeadlineExceeded):
		return refuse(http.StatusRequestTimeout, "", "the body did not come in time")
	case err != nil:
		return refuse(http.StatusBadRequest, "", "the body cannot be read: %v", err)
	}
	// serve's deadline was the body's: the answer may take longer. After an error it stays, because net/http reads on before it answers.
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	err = json.Unmarshal(data, out, json.RejectUnknownMembers(true))
	if body, ok := r.Body.(*limitedBody); ok {
		body.release()
	}
	if err != nil {
		return badJSON(err)
	}
	return nil
}

// badJSON says where a body is wrong.
func badJSON(err error) error {
	var syntactic *jsontext.SyntacticError
	var semantic *json.SemanticError
	switch {
	case errors.As(err, &syntactic):
		return refuse(http.StatusBadRequest, paramOf(syntactic.JSONPointer), "the body is not valid JSON: %v at byte %d",
			syntactic.Err, syntactic.ByteOffset)
	case errors.As(err, &semantic):
		param := paramOf(semantic.JSONPointer)
		switch {
		case errors.Is(semantic.Err, json.ErrUnknownName):
			return refuse(http.StatusBadRequest, param, "%s is not known", escape(param))
		case param == "":
			return refuse(http.StatusBadRequest, "", "the body is not a JSON object")
		}
		cause := fmt.Sprintf("a JSON %s does not fit", semantic.JSONKind)
		if semantic.Err != nil {
			cause = semantic.Err.Error()
		}
		return refuse(http.StatusBadRequest, param, "%s has a wrong value: %s", escape(param), cause)
	}
	return refuse(http.StatusBadRequest, "", "the body cannot be read: %v", err)
}

// paramOf writes a pointer as OpenAI names parameters: "a.b".
func paramOf(pointer jsontext.Pointer) string {
	var names []string
	for name := range pointer.Tokens() {
		names = append(names, name)
	}
	return strings.Join(names, ".")
}

// marshal writes JSON. Foreign bytes that are not UTF-8, as in a file's name, become U+FFFD.
func marshal(value any) ([]byte, error) {
	return json.Marshal(value, json.Deterministic(true), jsontext.AllowInvalidUTF8(true))
}

// writeJSON answers with a value that always marshals.
func writeJSON(w http.ResponseWriter, status int, value any) {
	data, err := marshal(value)
	if err != nil {
		status, data = http.StatusInternalServerError, []byte(`{"error":{"message":"the answer cannot be written as JSON","type":"server_error","param":null,"code":null}}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(data, '\n')) // the client is gone if this fails, and nobody else wants to know
}
