// Package proxy serves HTTP and HTTPS by Caddy. Caddy's own configuration is loaded once and is the
// same ever after: routes, endpoints and certificates are swapped beneath it, so no change closes a
// connection, not even an idle one.
package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/prometheus/client_golang/prometheus"

	"triptych/ingress/internal/model"
	"triptych/ingress/internal/routing"
)

// Options is what a proxy is started with.
type Options struct {
	HTTPSAddress string
	HTTPAddress  string
	RedirectPort int           // the port for HTTPS as clients see it
	GracePeriod  time.Duration // how long requests may take once the proxy is to stop
	Log          *slog.Logger
	Metrics      prometheus.Registerer
}

// Proxy is a running Caddy.
type Proxy struct {
	options  Options
	metrics  *metrics
	state    atomic.Pointer[state]
	requests *usage
	draining atomic.Bool
	spare    *tls.Certificate

	mu      sync.Mutex // of Apply
	context caddy.Context
}

// state is what requests are served by. It does not change, but for the endpoints of its backends.
type state struct {
	config       model.Config
	loaded       bool
	table        *routing.Table
	certificates *certificates
	backends     map[string]*backend
}

// running is the proxy of this process. Caddy makes its modules itself and runs one configuration
// at a time, so there is no other way to hand it to them.
var running atomic.Pointer[Proxy]

// Start starts a proxy that knows no routes yet. There can be one at a time.
func Start(options Options) (*Proxy, error) {
	spare, err := selfSigned()
	if err != nil {
		return nil, err
	}
	p := &Proxy{options: options, metrics: newMetrics(options.Metrics), requests: newUsage(), spare: spare}
	p.state.Store(&state{
		table:        routing.NewTable(nil, nil),
		certificates: newCertificates(nil, spare),
	})
	if !running.CompareAndSwap(nil, p) {
		return nil, errors.New("there is a proxy in this process already")
	}
	if err := caddy.Run(caddyConfig(options)); err != nil {
		running.Store(nil)
		return nil, fmt.Errorf("cannot start Caddy: %w", err)
	}
	return p, nil
}

// Apply serves by another configuration from now on. It tells whether anything was different.
func (p *Proxy) Apply(config model.Config) (changed bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.state.Load()
	if before.loaded && before.config.Equal(&config) {
		p.metrics.unchanged.Inc()
		return false, nil
	}
	started := time.Now()
	after := &state{
		config:       config,
		loaded:       true,
		table:        routing.NewTable(config.Routes, config.SecureHosts),
		certificates: newCertificates(config.Certificates, p.spare),
		backends:     make(map[string]*backend, len(config.Backends)),
	}
	for key, wanted := range config.Backends {
		if kept, ok := before.backends[key]; ok {
			after.backends[key] = kept
			continue
		}
		made, err := newBackend(p.context, wanted)
		if err != nil {
			for key, made := range after.backends {
				if before.backends[key] == nil {
					made.close()
				}
			}
			return false, fmt.Errorf("backend %s: %w", key, err)
		}
		after.backends[key] = made
	}
	// From here on nothing can fail.
	for key, wanted := range config.Backends {
		after.backends[key].endpoints.update(wanted.Endpoints, wanted.Leaving)
	}
	p.state.Store(after)
	for key, old := range before.backends {
		if after.backends[key] == nil {
			p.retire(old)
		}
	}
	p.metrics.applied(&before.config, &config, time.Since(started))
	return true, nil
}

// retire closes a backend when the last of its requests is done.
func (p *Proxy) retire(old *backend) {
	unused := old.retire()
	go func() {
		select {
		case <-unused:
		case <-p.requests.unused: // The proxy itself has stopped.
		}
		old.close()
	}()
}

// Loaded tells whether there has been a configuration.
func (p *Proxy) Loaded() bool { return p.state.Load().loaded }

// Drain asks clients, by each answer, to open another connection next time. Everything is served
// as before.
func (p *Proxy) Drain() { p.draining.Store(true) }

// Stop closes the listeners, waits for the requests under way, for the grace period at most, and
// ends Caddy.
func (p *Proxy) Stop() error {
	p.Drain()
	err := caddy.Stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, left := range p.state.Load().backends {
		left.close()
	}
	running.CompareAndSwap(p, nil)
	return err
}

// finish is called by Caddy when its servers have stopped listening.
func (p *Proxy) finish(ctx context.Context) error {
	if err := wait(ctx, p.requests.retire()); err != nil {
		p.options.Log.Warn("requests that were not done in time are cut off")
	}
	return nil
}
