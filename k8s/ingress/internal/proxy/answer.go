package proxy

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// answer is a response that knows its status, and that does not name the proxy.
type answer struct {
	*caddyhttp.ResponseWriterWrapper
	status int
}

func newAnswer(w http.ResponseWriter) *answer {
	w.Header().Del("Server")
	return &answer{ResponseWriterWrapper: &caddyhttp.ResponseWriterWrapper{ResponseWriter: w}}
}

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) {
	if status >= http.StatusOK || status == http.StatusSwitchingProtocols {
		a.status = status
		// The reverse proxy's own entry is the first one.
		if via := a.Header()["Via"]; len(via) > 1 {
			a.Header()["Via"] = slices.Clone(via[1:])
		} else {
			a.Header().Del("Via")
		}
	}
	a.ResponseWriterWrapper.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (a *answer) Write(body []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	return a.ResponseWriterWrapper.Write(body)
}

// problem answers with problem details (RFC 9457).
func problem(w http.ResponseWriter, status int, detail string) {
	body, err := json.Marshal(struct {
		Type   string `json:"type"`
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail"`
	}{"about:blank", http.StatusText(status), status, detail})
	if err != nil {
		panic(err) // It is made of strings and a number.
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// unavailable answers that the client may try again.
func unavailable(w http.ResponseWriter, detail string) {
	w.Header().Set("Retry-After", "1")
	problem(w, http.StatusServiceUnavailable, detail)
}

type attemptsKey struct{}

// withAttempts returns the request with a place to note what has been tried for it.
func withAttempts(r *http.Request) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), attemptsKey{}, new(attempts)))
}

func attemptsOf(r *http.Request) *attempts {
	return r.Context().Value(attemptsKey{}).(*attempts)
}
