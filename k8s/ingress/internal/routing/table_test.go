package routing

import (
	"testing"

	"triptych/ingress/internal/model"
)

func route(host, path string, match model.Match, name string) model.Route {
	return model.Route{Host: host, Path: path, Match: match, Backend: name}
}

// The examples of the Kubernetes documentation's table of path matching.
func TestOnePath(t *testing.T) {
	for _, tc := range []struct {
		match   model.Match
		path    string
		request string
		matches bool
	}{
		{model.Prefix, "/", "/any/path", true},
		{model.Exact, "/foo", "/foo", true},
		{model.Exact, "/foo", "/bar", false},
		{model.Exact, "/foo", "/foo/", false},
		{model.Exact, "/foo/", "/foo", false},
		{model.Exact, "/foo", "/FOO", false},
		{model.Prefix, "/foo", "/foo", true},
		{model.Prefix, "/foo", "/foo/", true},
		{model.Prefix, "/foo/", "/foo", true},
		{model.Prefix, "/foo/", "/foo/", true},
		{model.Prefix, "/aaa/bb", "/aaa/bbb", false},
		{model.Prefix, "/aaa/bbb", "/aaa/bbb", true},
		{model.Prefix, "/aaa/bbb/", "/aaa/bbb", true},
		{model.Prefix, "/aaa/bbb", "/aaa/bbb/", true},
		{model.Prefix, "/aaa/bbb", "/aaa/bbb/ccc", true},
		{model.Prefix, "/aaa/bbb", "/aaa/bbbxyz", false},
		{model.Prefix, "/aaa", "/AAA/ccc", false},
		{model.Prefix, "/", "/", true},
		{model.Prefix, "/", "", true},
		{model.Prefix, "/", "*", true},
		{model.Prefix, "/admin", "/public/../admin/x", true},
		{model.Prefix, "/admin", "//admin", true},
		{model.Prefix, "/public", "/public/../admin", false},
		{model.Prefix, "/foo", "/foo/./bar", true},
	} {
		table := NewTable([]model.Route{route("", tc.path, tc.match, "b")}, nil)
		if _, ok := table.Lookup("any.example", tc.request); ok != tc.matches {
			t.Errorf("match %d, path %q, request %q: got %v", tc.match, tc.path, tc.request, ok)
		}
	}
}

func TestPrecedence(t *testing.T) {
	table := NewTable([]model.Route{
		route("", "/", model.Prefix, "all"),
		route("", "/only-all", model.Exact, "all-exact"),
		route("a.example", "/", model.Prefix, "a"),
		route("a.example", "/foo", model.Prefix, "a-foo"),
		route("a.example", "/foo", model.Exact, "a-foo-exact"),
		route("a.example", "/foo/bar", model.Prefix, "a-foo-bar"),
		route("a.example", "/foo", model.Prefix, "a-foo-later"),
		route("*.example", "/", model.Prefix, "wild"),
		route("b.example", "/foo", model.Prefix, "b-foo"),
		route("c.test", "/foo", model.Prefix, "c-foo"),
		route("c.test", "", model.Fallback, "c-default"),
		route("", "", model.Fallback, "default"),
	}, []string{"a.example", "*.secure.test"})
	for _, tc := range []struct{ host, path, backend string }{
		{"a.example", "/", "a"},
		{"a.example", "/fo", "a"},
		{"a.example", "/foo", "a-foo-exact"},
		{"a.example", "/foo/", "a-foo"},
		{"a.example", "/foo/ba", "a-foo"},
		{"a.example", "/foo/bar/baz", "a-foo-bar"},
		{"z.example", "/foo", "wild"},
		{"y.z.example", "/foo", "all"}, // an asterisk is one label
		{"example", "/foo", "all"},
		{"b.example", "/foo/x", "b-foo"},
		{"b.example", "/other", "wild"}, // no rule of its own: the next best host
		{"c.test", "/foo", "c-foo"},
		{"c.test", "/only-all", "all-exact"},
		{"unknown.test", "/only-all", "all-exact"},
		{"10.0.0.1", "/x", "all"},
		{"", "/x", "all"},
	} {
		found, ok := table.Lookup(tc.host, tc.path)
		if !ok || found.Backend != tc.backend {
			t.Errorf("%s%s: got %q, want %q", tc.host, tc.path, found.Backend, tc.backend)
		}
	}
	for host, secure := range map[string]bool{
		"a.example": true, "b.example": false, "x.secure.test": true, "secure.test": false,
	} {
		if table.Secure(host) != secure {
			t.Errorf("secure %s: got %v", host, !secure)
		}
	}
}

func TestDefaultBackends(t *testing.T) {
	table := NewTable([]model.Route{
		route("a.example", "/foo", model.Prefix, "a-foo"),
		route("a.example", "", model.Fallback, "a-default"),
		route("", "", model.Fallback, "default"),
		route("", "", model.Fallback, "default-later"),
	}, nil)
	for _, tc := range []struct{ host, path, backend string }{
		{"a.example", "/foo", "a-foo"},
		{"a.example", "/bar", "a-default"},
		{"b.example", "/foo", "default"},
	} {
		if found, _ := table.Lookup(tc.host, tc.path); found.Backend != tc.backend {
			t.Errorf("%s%s: got %q, want %q", tc.host, tc.path, found.Backend, tc.backend)
		}
	}
	if _, ok := NewTable(nil, nil).Lookup("a.example", "/"); ok {
		t.Error("an empty table has a route")
	}
}

func TestHostname(t *testing.T) {
	for header, want := range map[string]string{
		"Shop.Example": "shop.example", "shop.example:8443": "shop.example", "shop.example.": "shop.example",
		"127.0.0.1:80": "127.0.0.1", "[::1]:80": "::1", "[::1]": "::1", "": "",
	} {
		if got := Hostname(header); got != want {
			t.Errorf("%q: got %q, want %q", header, got, want)
		}
	}
}
