// Package model is what the controller knows about the cluster, in the terms of a proxy: which
// requests go where, and which certificates there are. It knows neither Kubernetes nor Caddy.
package model

import (
	"crypto/tls"
	"maps"
	"slices"
)

// Protocol is what a backend speaks.
type Protocol string

// The protocols a backend can have.
const (
	HTTP  Protocol = "http"
	HTTPS Protocol = "https" // TLS, its certificate not verified; HTTP/2 where it is offered
	H2C   Protocol = "h2c"   // HTTP/2 without TLS
)

// Match is how a route's path is compared with a request's.
type Match int

// The ways to match a path.
const (
	Prefix   Match = iota // element by element
	Exact                 // to the letter
	Fallback              // any path, of what no other route matches
)

// Route sends requests to a backend.
type Route struct {
	Host    string // "a.example", "*.example", or "" for every host
	Path    string
	Match   Match
	Backend string // a key of Config.Backends
	Ingress string // namespace/name of the object that it comes from
	Secure  bool   // requests without TLS are redirected
}

// Backend is a port of a Service.
type Backend struct {
	Service   string // namespace/name
	Protocol  Protocol
	Endpoints []string // host:port, sorted; none if nothing is ready
	// Leaving are those that are going away but still serve, for requests that none of the others
	// takes: a network policy may not be in force yet for a pod that has just become ready.
	Leaving []string
}

// Certificate is a key pair, and the hosts that it was given for.
type Certificate struct {
	Secret      string   // namespace/name
	Hosts       []string // none: those that the certificate itself names
	Pair        *tls.Certificate
	Fingerprint string // of the PEM files
}

// Config is all that the proxy has to know. Where two entries contradict each other, the first is
// the one that counts.
type Config struct {
	Routes       []Route
	Backends     map[string]Backend
	Certificates []Certificate
	SecureHosts  []string // requests for these without TLS are redirected, whatever their route
}

// Equal tells whether two configurations are the same.
func (c *Config) Equal(other *Config) bool {
	return slices.Equal(c.Routes, other.Routes) &&
		slices.Equal(c.SecureHosts, other.SecureHosts) &&
		maps.EqualFunc(c.Backends, other.Backends, func(a, b Backend) bool {
			return a.Service == b.Service && a.Protocol == b.Protocol &&
				slices.Equal(a.Endpoints, b.Endpoints) && slices.Equal(a.Leaving, b.Leaving)
		}) &&
		slices.EqualFunc(c.Certificates, other.Certificates, func(a, b Certificate) bool {
			return a.Secret == b.Secret && a.Fingerprint == b.Fingerprint &&
				slices.Equal(a.Hosts, b.Hosts)
		})
}
