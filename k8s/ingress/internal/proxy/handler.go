package proxy

import (
	"errors"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"triptych/ingress/internal/model"
	"triptych/ingress/internal/routing"
)

func init() { caddy.RegisterModule(new(handler)) }

// handler is the one route of both of Caddy's servers.
type handler struct{ proxy *Proxy }

// CaddyModule returns the module's information.
func (*handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.ingress",
		New: func() caddy.Module { return new(handler) },
	}
}

// Provision implements caddy.Provisioner.
func (h *handler) Provision(ctx caddy.Context) error {
	h.proxy = running.Load()
	h.proxy.context = ctx
	server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok {
		return errors.New("not part of a server")
	}
	server.RegisterOnStop(h.proxy.finish)
	return nil
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	p := h.proxy
	if p.requests.acquire() { // Else it came after the listeners were closed: nobody waits for it.
		defer p.requests.done()
	}
	p.metrics.inFlight.Inc()
	defer p.metrics.inFlight.Dec()

	started := time.Now()
	answer := newAnswer(w)
	if p.draining.Load() && r.Header.Get("Upgrade") == "" {
		answer.Header().Set("Connection", "close")
	}
	var route model.Route
	defer func() { // By a panic too: that is how an answer is cut off.
		p.metrics.observe(route, answer.status, time.Since(started))
	}()
	route = p.serve(answer, r, next)
	return nil
}

// serve answers a request and returns the route that it took, if any.
func (p *Proxy) serve(w *answer, r *http.Request, next caddyhttp.Handler) model.Route {
	host := routing.Hostname(r.Host)
	for {
		current := p.state.Load()
		if r.TLS == nil && current.table.Secure(host) {
			p.redirect(w, r)
			return model.Route{}
		}
		route, ok := current.table.Lookup(host, r.URL.Path)
		switch {
		case !current.loaded:
			unavailable(w, "This server is starting.")
			return route
		case !ok:
			problem(w, http.StatusNotFound, "Nothing is served at this host and path.")
			return route
		case r.TLS == nil && route.Secure:
			p.redirect(w, r)
			return route
		}
		chosen := current.backends[route.Backend]
		if !chosen.acquire() {
			continue // Another configuration has replaced the one just read.
		}
		defer chosen.done()
		p.forward(w, r, next, route, chosen)
		return route
	}
}

func (p *Proxy) forward(
	w *answer, r *http.Request, next caddyhttp.Handler, route model.Route, chosen *backend,
) {
	if chosen.endpoints.empty() {
		unavailable(w, "Nothing is ready to answer this request.")
		return
	}
	distrust(r.Header)
	err := chosen.handler.ServeHTTP(w, withAttempts(r), next)
	if err == nil {
		return
	}
	status := http.StatusBadGateway
	if failed, ok := errors.AsType[caddyhttp.HandlerError](err); ok {
		status = failed.StatusCode
	}
	p.logFailure(route, status, err)
	switch status {
	case http.StatusServiceUnavailable:
		unavailable(w, "Nothing is ready to answer this request.")
	case http.StatusGatewayTimeout:
		problem(w, status, "The application did not answer in time.")
	default:
		problem(w, status, "The application did not answer.")
	}
}

// distrust removes what only a proxy ought to say. Caddy sets X-Forwarded-For, -Proto and -Host.
func distrust(header http.Header) {
	for name := range header {
		if strings.HasPrefix(name, "X-Forwarded-") || name == "Forwarded" || name == "X-Real-Ip" {
			header.Del(name)
		}
	}
}

// redirect sends a client to the same place by TLS. The method stays what it is.
func (p *Proxy) redirect(w http.ResponseWriter, r *http.Request) {
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
		if strings.Contains(name, ":") {
			host = "[" + name + "]"
		}
	}
	if host == "" {
		problem(w, http.StatusBadRequest, "The request names no host.")
		return
	}
	if p.options.RedirectPort != 443 {
		host += ":" + strconv.Itoa(p.options.RedirectPort)
	}
	w.Header().Set("Location", "https://"+host+r.URL.RequestURI())
	w.WriteHeader(http.StatusPermanentRedirect)
}

var (
	_ caddy.Provisioner           = (*handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*handler)(nil)
)
