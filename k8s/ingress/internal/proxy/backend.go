package proxy

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"triptych/ingress/internal/model"
)

const (
	dialTimeout = 2 * time.Second
	// The most that a request tries to connect, and the pause in between.
	retries    = 4
	retryPause = 20 * time.Millisecond
	// Below the 5 s after which common servers (Node.js, uvicorn) close a connection that nothing
	// comes on: a request never meets a connection that is just being closed.
	idleTimeout         = 4 * time.Second
	idlePerEndpoint     = 128
	tlsHandshakeTimeout = 5 * time.Second
)

// safe matches requests that ask for nothing but an answer.
var safe = caddyhttp.MatchMethod{http.MethodGet, http.MethodHead, http.MethodOptions}

// backend forwards requests to the endpoints of a Service's port.
type backend struct {
	*usage
	handler   *reverseproxy.Handler
	transport *reverseproxy.HTTPTransport
	endpoints *endpoints
	release   context.CancelFunc
}

// newBackend makes a backend in the context of the running Caddy.
func newBackend(parent caddy.Context, wanted model.Backend) (*backend, error) {
	ctx, release := caddy.NewContext(parent)
	made := &backend{
		usage:     newUsage(),
		transport: newTransport(wanted.Protocol),
		endpoints: newEndpoints(wanted.Endpoints, wanted.Leaving),
		release:   release,
	}
	made.handler = &reverseproxy.Handler{
		Transport:        roundTripper{made.transport},
		DynamicUpstreams: made.endpoints,
		LoadBalancing: &reverseproxy.LoadBalancing{
			Retries:     retries,
			TryInterval: caddy.Duration(retryPause),
			// Connections that could not be made are retried in any case. What may have been sent is
			// only where the method is safe (RFC 9110, 9.2.1), as other controllers do.
			RetryMatch:      caddyhttp.MatcherSets{{safe}},
			SelectionPolicy: reverseproxy.FirstSelection{},
		},
	}
	if err := errors.Join(made.transport.Provision(ctx), made.handler.Provision(ctx)); err != nil {
		release()
		return nil, err
	}
	return made, nil
}

func newTransport(protocol model.Protocol) *reverseproxy.HTTPTransport {
	compression := false // Bodies are passed on as they are.
	transport := &reverseproxy.HTTPTransport{
		DialTimeout: caddy.Duration(dialTimeout),
		Compression: &compression,
		KeepAlive: &reverseproxy.KeepAlive{
			IdleConnTimeout:     caddy.Duration(idleTimeout),
			MaxIdleConnsPerHost: idlePerEndpoint,
		},
		NetworkProxyRaw: []byte(`{"from": "none"}`),
	}
	switch protocol {
	case model.HTTPS:
		transport.TLS = &reverseproxy.TLSConfig{
			InsecureSkipVerify: true, // Pods have no names that a certificate could have.
			HandshakeTimeout:   caddy.Duration(tlsHandshakeTimeout),
		}
	case model.H2C:
		transport.Versions = []string{"h2c"}
	case model.HTTP:
		transport.Versions = []string{"1.1"}
	}
	return transport
}

// close ends what is left open: upgraded connections, and those that nothing comes on.
func (b *backend) close() {
	_ = b.handler.Cleanup()
	_ = b.transport.Cleanup()
	b.release()
}

// roundTripper hides the transport's wish to replace the Host header of requests sent by TLS.
type roundTripper struct{ transport *reverseproxy.HTTPTransport }

func (t roundTripper) RoundTrip(r *http.Request) (*http.Response, error) {
	return t.transport.RoundTrip(r)
}
