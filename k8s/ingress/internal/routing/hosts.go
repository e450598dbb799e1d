package routing

import (
	"net"
	"strings"
)

// Hosts maps host names, and wildcards that stand for one label, to values.
type Hosts[V any] struct {
	exact    map[string]V
	wildcard map[string]V // by what follows the asterisk: ".example"
}

// NewHosts returns an empty map.
func NewHosts[V any]() Hosts[V] {
	return Hosts[V]{exact: map[string]V{}, wildcard: map[string]V{}}
}

// place returns the map and the key under which a host, or a wildcard, is kept.
func (h Hosts[V]) place(host string) (map[string]V, string) {
	host = strings.ToLower(host)
	if suffix, ok := strings.CutPrefix(host, "*"); ok {
		return h.wildcard, suffix
	}
	return h.exact, host
}

// Add sets the value of a host or wildcard that has none yet, and tells whether it did.
func (h Hosts[V]) Add(host string, value V) bool {
	places, key := h.place(host)
	if _, taken := places[key]; taken {
		return false
	}
	places[key] = value
	return true
}

// Get returns the value of a host or wildcard itself.
func (h Hosts[V]) Get(host string) (V, bool) {
	places, key := h.place(host)
	value, ok := places[key]
	return value, ok
}

// Matches returns the values for a host, that of its own name before that of a wildcard.
func (h Hosts[V]) Matches(host string) []V {
	var found []V
	if value, ok := h.exact[host]; ok {
		found = append(found, value)
	}
	if dot := strings.IndexByte(host, '.'); dot > 0 {
		if value, ok := h.wildcard[host[dot:]]; ok {
			found = append(found, value)
		}
	}
	return found
}

// Lookup returns the first of Matches.
func (h Hosts[V]) Lookup(host string) (V, bool) {
	if found := h.Matches(host); len(found) > 0 {
		return found[0], true
	}
	var none V
	return none, false
}

// Hostname returns a Host header's name: without port, in lower case, without a dot at its end.
func Hostname(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	return strings.ToLower(strings.TrimSuffix(host, "."))
}
