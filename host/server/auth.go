package server

import (
	"net/http"
	"strings"
	"time"

	"github.com/tenon-ml/tenon/host/fault"
)

// maxSecret bounds what is hashed: nothing longer is a secret.
const maxSecret = 256

// authenticate says who sent a request. The secret is in the header Authorization and nowhere else: not in the URL, which is logged on the
// way, and not in a cookie, which a browser sends along by itself.
func (s *Server) authenticate(r *http.Request) (Principal, error) {
	if s.keys == nil {
		return Operator(), nil
	}
	values := r.Header.Values("Authorization")
	if len(values) == 0 {
		return Principal{}, &apiError{status: http.StatusUnauthorized, code: fault.UsageKey, challenge: `Bearer realm="tenon"`,
			message: "an API key is needed: send it as Authorization: Bearer KEY"}
	}
	scheme, secret, _ := strings.Cut(values[0], " ")
	secret = strings.TrimLeft(secret, " ")
	if len(values) > 1 || !strings.EqualFold(scheme, "Bearer") || len(secret) > maxSecret {
		secret = ""
	}
	found := s.keys.find(secret, time.Now())
	if found == nil {
		return Principal{}, &apiError{status: http.StatusUnauthorized, code: fault.UsageKey, challenge: `Bearer realm="tenon", error="invalid_token"`,
			message: "the API key is not one of this server's"}
	}
	return found.who, nil
}

// authorize refuses what a principal may not do.
func authorize(p Principal, rt *route) error {
	if rt.scope != "" && !p.May(rt.scope) {
		return &apiError{status: http.StatusForbidden, code: fault.UsageKey, message: "this API key lacks the scope " + string(rt.scope)}
	}
	if rt.operator && p.Tenant != "" {
		return &apiError{status: http.StatusForbidden, code: fault.UsageKey, message: "this is for keys of the operator: it tells about every tenant"}
	}
	return nil
}
