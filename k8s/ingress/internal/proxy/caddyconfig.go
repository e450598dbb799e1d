package proxy

import (
	"encoding/json"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddytls"
	"go.uber.org/zap"
)

const (
	readHeaderTimeout = 10 * time.Second
	// How long a client's connection is kept when nothing comes on it.
	clientIdleTimeout = 3 * time.Minute
	maxHeaderBytes    = 64 << 10
)

// caddyConfig returns the configuration that Caddy runs by, whatever the cluster's objects are.
func caddyConfig(options Options) *caddy.Config {
	no := false
	return &caddy.Config{
		Admin: &caddy.AdminConfig{Disabled: true, Config: &caddy.ConfigSettings{Persist: &no}},
		Logging: &caddy.Logging{Logs: map[string]*caddy.CustomLog{
			caddy.DefaultLoggerName: {
				BaseLog: caddy.BaseLog{Level: zap.WarnLevel.CapitalString()},
				Exclude: []string{"admin"}, // It warns of being off.
			},
		}},
		AppsRaw: caddy.ModuleMap{
			"http": caddyconfig.JSON(caddyhttp.App{
				GracePeriod: caddy.Duration(options.GracePeriod),
				Servers: map[string]*caddyhttp.Server{
					"https": withTLS(server(options.HTTPSAddress, "h1", "h2")),
					"http":  server(options.HTTPAddress, "h1"),
				},
			}, nil),
			"tls": caddyconfig.JSON(caddytls.TLS{
				// Certificates come from certificateSource alone.
				Automation: &caddytls.AutomationConfig{
					Policies: []*caddytls.AutomationPolicy{
						{ManagersRaw: []json.RawMessage{json.RawMessage(`{"via": "ingress"}`)}},
					},
					OnDemand: &caddytls.OnDemandConfig{
						PermissionRaw: json.RawMessage(`{"module": "ingress"}`),
					},
				},
				// Nothing is stored: the file system is read-only.
				DisableStorageCheck: true,
				DisableStorageClean: true,
				DisableOCSPStapling: true,
			}, nil),
		},
	}
}

func server(address string, protocols ...string) *caddyhttp.Server {
	return &caddyhttp.Server{
		Listen:            []string{address},
		Protocols:         protocols,
		AutoHTTPS:         &caddyhttp.AutoHTTPSConfig{Disabled: true},
		ReadHeaderTimeout: caddy.Duration(readHeaderTimeout),
		IdleTimeout:       caddy.Duration(clientIdleTimeout),
		MaxHeaderBytes:    maxHeaderBytes,
		Routes: caddyhttp.RouteList{
			{HandlersRaw: []json.RawMessage{json.RawMessage(`{"handler": "ingress"}`)}},
		},
	}
}

func withTLS(server *caddyhttp.Server) *caddyhttp.Server {
	server.TLSConnPolicies = caddytls.ConnectionPolicies{{}}
	return server
}
