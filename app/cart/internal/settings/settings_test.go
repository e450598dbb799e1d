package settings

import (
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"
)

var complete = map[string]string{
	"VALKEY_URL":   "redis://:secret@valkey:6379/1",
	"AUTH_URL":     "http://auth:8001",
	"PRODUCTS_URL": "http://products:8002/",
}

func read(t *testing.T, changes map[string]string) (Settings, []string) {
	t.Helper()
	settings, err := FromEnv(func(name string) string {
		if value, ok := changes[name]; ok {
			return value
		}
		return complete[name]
	})
	var faults *Error
	if errors.As(err, &faults) {
		return settings, faults.Lines
	}
	return settings, nil
}

func TestDefaults(t *testing.T) {
	settings, faults := read(t, map[string]string{"LISTEN_PORT": ""}) // empty counts as not set
	if faults != nil {
		t.Fatal(faults)
	}
	if settings.ListenHost != "127.0.0.1" || settings.ListenPort != 8003 {
		t.Errorf("listens on %s:%d", settings.ListenHost, settings.ListenPort)
	}
	if settings.CartTTL != 7*24*time.Hour || settings.ValkeyTimeout != time.Second {
		t.Errorf("carts are kept %s, Valkey gets %s", settings.CartTTL, settings.ValkeyTimeout)
	}
	if settings.ProductsURL != "http://products:8002" {
		t.Errorf("products at %s", settings.ProductsURL)
	}
	if settings.Valkey.Addr != "valkey:6379" || settings.Valkey.DB != 1 {
		t.Errorf("Valkey at %s, database %d", settings.Valkey.Addr, settings.Valkey.DB)
	}
}

func TestValues(t *testing.T) {
	settings, faults := read(t, map[string]string{
		"LISTEN_PORT": "80", "LOG_LEVEL": "WARNING", "SERVICE_TIMEOUT_S": "0.25",
	})
	if faults != nil {
		t.Fatal(faults)
	}
	if settings.ListenPort != 80 || settings.LogLevel != slog.LevelWarn ||
		settings.ServiceTimeout != 250*time.Millisecond {
		t.Errorf("%+v", settings)
	}
}

func TestEveryFaultIsNamedOnce(t *testing.T) {
	_, faults := read(t, map[string]string{
		"LISTEN_PORT":       "70000",
		"LOG_LEVEL":         "LOUD",
		"VALKEY_URL":        "ftp://:secret@valkey",
		"VALKEY_TIMEOUT_S":  "NaN",
		"CART_TTL_S":        "1.5",
		"AUTH_URL":          "",
		"PRODUCTS_URL":      "products:8002",
		"SERVICE_TIMEOUT_S": "0",
		"STARTUP_TIMEOUT_S": "soon",
		"SHUTDOWN_GRACE_S":  "121",
	})
	var names []string
	for _, line := range faults {
		name, what, _ := strings.Cut(line, ": ")
		names = append(names, name)
		if what == "" || strings.Contains(line, "secret") || strings.Contains(line, "\n") {
			t.Errorf("bad line %q", line)
		}
	}
	slices.Sort(names)
	want := []string{
		"AUTH_URL", "CART_TTL_S", "LISTEN_PORT", "LOG_LEVEL", "PRODUCTS_URL", "SERVICE_TIMEOUT_S",
		"SHUTDOWN_GRACE_S", "STARTUP_TIMEOUT_S", "VALKEY_TIMEOUT_S", "VALKEY_URL",
	}
	if !slices.Equal(names, want) {
		t.Errorf("named %v, not %v", names, want)
	}
}
