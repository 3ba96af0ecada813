package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/report"
)

// apiError is an answer that says no.
type apiError struct {
	status    int
	message   string
	param     string     // of the request, "" where none is at fault
	code      fault.Code // "" only for what nobody foresaw
	retry     bool       // the same request may succeed soon
	after     int        // seconds until it may, where that is known
	quiet     bool       // not worth a line in the log
	challenge string     // WWW-Authenticate of a 401
	report    *report.Report
}

func (e *apiError) Error() string { return e.message }

// Status is the HTTP status of the answer.
func (e *apiError) Status() int { return e.status }

// RetryAfter is in how many seconds the same request may succeed; 0 is never.
func (e *apiError) RetryAfter() int {
	if !e.retry {
		return 0
	}
	return max(e.after, 1)
}

// refuse is an error of whoever asked.
func refuse(status int, param, message string, args ...any) *apiError {
	return &apiError{status: status, code: fault.UsageFlag, param: param, message: fmt.Sprintf(message, args...)}
}

// problem is OpenAI's shape of an error, and the report of a refused load.
type problem struct {
	Error  problemError   `json:"error"`
	Report *report.Report `json:"report,omitzero"`
}

type problemError struct {
	Message string  `json:"message"`
	Type    string  `json:"type"`
	Param   *string `json:"param"`
	Code    *string `json:"code"`
}

// body is the error as clients read it.
func (e *apiError) body() problem {
	return problem{Error: problemError{Message: visible(hideSecrets(e.message)), Type: typeOf(e.status), Param: optional(e.param), Code: optional(string(e.code))},
		Report: e.report}
}

// visible makes a message for people safe to show, whatever foreign text is in it: what would turn the reading direction or move a cursor is
// written as an escape. Lines stay lines, of which a fault.List has one each.
func visible(message string) string {
	lines := strings.Split(message, "\n")
	for i, line := range lines {
		lines[i] = report.Escape(line)
	}
	return strings.Join(lines, "\n")
}

// optional is null for "".
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// typeOf names the kind of an error.
func typeOf(status int) string {
	switch status {
	case http.StatusUnauthorized:
		return "authentication_error"
	case http.StatusConflict:
		return "conflict_error"
	case http.StatusNotFound:
		return "not_found_error"
	case http.StatusUnprocessableEntity:
		return "adapter_refused"
	case http.StatusTooManyRequests:
		return "rate_limit_error"
	case http.StatusNotImplemented:
		return "not_implemented_error"
	case http.StatusServiceUnavailable:
		return "service_unavailable_error"
	case http.StatusForbidden, http.StatusMisdirectedRequest:
		return "permission_error"
	}
	if status < 500 {
		return "invalid_request_error"
	}
	return "server_error"
}

// toAPI gives any error a status: its own, or that of the fault it carries.
func toAPI(err error) *apiError {
	if _, gone := err.(clientGone); gone { // nobody reads it
		return &apiError{status: http.StatusServiceUnavailable, code: fault.Canceled, quiet: true, message: "the client has gone"}
	}
	var own *apiError
	if errors.As(err, &own) {
		return own
	}
	faults := fault.All(err)
	if len(faults) == 0 {
		if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
			return &apiError{status: http.StatusServiceUnavailable, code: fault.Canceled, retry: true, message: "the request was cancelled"}
		}
		return &apiError{status: http.StatusInternalServerError, message: "internal error: " + err.Error()}
	}
	e := &apiError{code: faults[0].Code, message: err.Error()}
	switch e.code {
	case fault.BackendDown, fault.IOSpace, fault.IOMemory, fault.Canceled:
		e.status, e.retry = http.StatusServiceUnavailable, true
	case fault.IONotFound:
		e.status = http.StatusNotFound
	case fault.Conflict:
		e.status = http.StatusConflict
	case fault.ADName:
		e.status = http.StatusBadRequest
	case fault.IOFileType: // of the path the client gave
		e.status = http.StatusUnprocessableEntity
	default:
		switch fault.ClassOf(err) {
		case fault.Usage:
			e.status = http.StatusBadRequest
		case fault.Operational:
			e.status = http.StatusInternalServerError
		default:
			e.status = http.StatusUnprocessableEntity
		}
	}
	return e
}

// backendNonsense is a backend that breaks its contract: its answers are worth no more than none.
func backendNonsense(what string, args ...any) error {
	return fault.New(fault.BackendDown, "the backend "+what, args...)
}

// fail answers with an error.
func (s *Server) fail(ctx context.Context, w http.ResponseWriter, err error) {
	e := toAPI(err)
	if e.status >= 500 && !e.quiet {
		s.log.ErrorContext(ctx, "request failed", "status", e.status, "code", string(e.code), "cause", plain(e.message))
	}
	if after := e.RetryAfter(); after > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(after))
	}
	if e.challenge != "" {
		w.Header().Set("WWW-Authenticate", e.challenge)
	}
	writeJSON(w, e.status, e.body())
}

// escape makes foreign text safe for an error's message: ASCII, quoted, of bounded length, without the secret of an API key.
func escape(s string) string {
	const limit = 512
	s, cut := hideSecrets(s), ""
	if len(s) > limit {
		s, cut = s[:limit], "…"
	}
	return strconv.QuoteToASCII(s) + cut
}
