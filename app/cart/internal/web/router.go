// Package web is what every request goes through: request id, access log, metrics, limit of the
// body, routes, and the last line of defence.
package web

import (
	"net/http"
	"slices"
	"strings"

	"triptych/cart/internal/problem"
)

// Router finds handlers by path and method. It is http.ServeMux with the contract's answers in
// place of ServeMux's own: 404 and 405 as problems, no redirect to a tidier path, and HEAD only
// where it is asked for.
type Router struct{ mux *http.ServeMux }

// NewRouter returns a router without routes.
func NewRouter() *Router {
	router := &Router{http.NewServeMux()}
	router.mux.HandleFunc("/", notFound)
	return router
}

// Route sets the handlers of a path, which is a pattern of http.ServeMux, by method.
func (router *Router) Route(path string, handlers map[string]http.Handler) {
	var methods []string
	for method, handler := range handlers {
		router.mux.Handle(method+" "+path, handler)
		methods = append(methods, method)
	}
	slices.Sort(methods)
	refuse := methodNotAllowed(strings.Join(methods, ", "))
	router.mux.HandleFunc(path, refuse)
	if handlers[http.MethodGet] != nil && handlers[http.MethodHead] == nil {
		router.mux.HandleFunc(http.MethodHead+" "+path, refuse)
	}
}

// ServeHTTP calls the route's handler and leaves its pattern in r.Pattern.
func (router *Router) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	if !strings.HasPrefix(path, "/") || strings.Contains(path, "//") {
		notFound(w, r)
		return
	}
	// ServeMux looks at the path in its escaped form.
	if dots := strings.Contains(path, "/."); dots || r.URL.RawPath != "" {
		url := *r.URL
		url.RawPath = "" // an escaped slash is a slash
		if dots {
			// A dot that is escaped is not taken for a part of the path that could be tidied.
			url.RawPath = strings.ReplaceAll(url.EscapedPath(), "/.", "/%2E")
		}
		r.URL = &url
	}
	router.mux.ServeHTTP(w, r)
}

func notFound(w http.ResponseWriter, r *http.Request) {
	problem.Write(w, r, problem.New(problem.NotFound, "No resource of the shop has this path."))
}

func methodNotAllowed(allowed string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		refusal := problem.New(problem.MethodNotAllowed, "This path takes "+allowed+".")
		refusal.Headers = map[string]string{"Allow": allowed}
		problem.Write(w, r, refusal)
	}
}

// routeOf returns the template of the path that a pattern of ServeMux stands for.
func routeOf(pattern string) string {
	if at := strings.IndexByte(pattern, '/'); at >= 0 && pattern[at:] != "/" {
		return pattern[at:]
	}
	return "unmatched"
}
