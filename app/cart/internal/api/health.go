package api

import (
	"net/http"

	"triptych/cart/internal/problem"
)

// States of what the service cannot do without.
const (
	up      = "up"
	down    = "down"
	unknown = "unknown"
)

func (a *API) live(w http.ResponseWriter, _ *http.Request) error {
	return writeJSON(w, map[string]string{"status": "live"})
}

func (a *API) ready(w http.ResponseWriter, r *http.Request) error {
	if a.Startup.Missing() != "" {
		return notReady("Start-up is not finished.",
			map[string]string{"cart_store": unknown, "keys": unknown})
	}
	checks := map[string]string{"cart_store": down, "keys": down}
	if a.Store.Ping(r.Context()) == nil {
		checks["cart_store"] = up
	}
	if a.Keys.Fetched() {
		checks["keys"] = up
	}
	for _, state := range checks {
		if state == down {
			return notReady("A part the service cannot do without does not answer.", checks)
		}
	}
	w.Header().Set("Cache-Control", "no-store")
	return writeJSON(w, struct {
		Status string            `json:"status"`
		Checks map[string]string `json:"checks"`
	}{"ready", checks})
}

func notReady(detail string, checks map[string]string) *problem.Problem {
	return &problem.Problem{
		Kind:    problem.NotReady,
		Detail:  detail,
		Checks:  checks,
		Headers: map[string]string{"Retry-After": "1"},
	}
}
