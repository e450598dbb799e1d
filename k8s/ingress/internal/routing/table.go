// Package routing finds the route of a request, by the precedence that the Ingress API has: the
// host's own rules before a wildcard's before those of every host; in each, the longest path, and
// Exact before Prefix; default backends when no rule matches at all.
package routing

import (
	"path"
	"strings"

	"triptych/ingress/internal/model"
)

// Table is a compiled list of routes. It does not change.
type Table struct {
	hosts  Hosts[*rules]
	all    *rules
	secure Hosts[struct{}]
}

type rules struct {
	exact    map[string]model.Route
	prefix   map[string]model.Route // without a slash at the end
	fallback *model.Route
}

func newRules() *rules {
	return &rules{exact: map[string]model.Route{}, prefix: map[string]model.Route{}}
}

// NewTable compiles routes. Of two that match the same, the first one counts.
func NewTable(routes []model.Route, secureHosts []string) *Table {
	table := &Table{hosts: NewHosts[*rules](), all: newRules(), secure: NewHosts[struct{}]()}
	for _, route := range routes {
		table.of(route.Host).add(route)
	}
	for _, host := range secureHosts {
		table.secure.Add(host, struct{}{})
	}
	return table
}

func (t *Table) of(host string) *rules {
	if host == "" {
		return t.all
	}
	t.hosts.Add(host, newRules())
	found, _ := t.hosts.Get(host)
	return found
}

func (r *rules) add(route model.Route) {
	switch route.Match {
	case model.Exact:
		if _, taken := r.exact[route.Path]; !taken {
			r.exact[route.Path] = route
		}
	case model.Prefix:
		key := strings.TrimRight(route.Path, "/")
		if _, taken := r.prefix[key]; !taken {
			r.prefix[key] = route
		}
	case model.Fallback:
		if r.fallback == nil {
			r.fallback = &route
		}
	}
}

// match finds the longest path that matches. An exact one is as long as can be.
func (r *rules) match(requested string) (model.Route, bool) {
	if route, ok := r.exact[requested]; ok {
		return route, true
	}
	for prefix := strings.TrimRight(requested, "/"); ; {
		if route, ok := r.prefix[prefix]; ok {
			return route, true
		}
		slash := strings.LastIndexByte(prefix, '/')
		if slash < 0 {
			break
		}
		prefix = prefix[:slash]
	}
	route, ok := r.prefix[""]
	return route, ok
}

// Lookup returns the route of a request for a host name (as Hostname gives it) and a path.
func (t *Table) Lookup(host, requested string) (model.Route, bool) {
	requested = clean(requested)
	candidates := append(t.hosts.Matches(host), t.all)
	for _, candidate := range candidates {
		if route, ok := candidate.match(requested); ok {
			return route, true
		}
	}
	for _, candidate := range candidates {
		if candidate.fallback != nil {
			return *candidate.fallback, true
		}
	}
	return model.Route{}, false
}

// Secure tells whether a host is to be reached by TLS alone.
func (t *Table) Secure(host string) bool {
	_, ok := t.secure.Lookup(host)
	return ok
}

// clean resolves what would let a path pass for another one: dot segments and empty elements.
func clean(requested string) string {
	if !strings.Contains(requested, "//") && !strings.Contains(requested, "/.") {
		return requested
	}
	cleaned := path.Clean(requested)
	if strings.HasSuffix(requested, "/") && cleaned != "/" {
		cleaned += "/"
	}
	return cleaned
}
