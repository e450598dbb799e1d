// Package settings is the one place that reads the environment.
package settings

import (
	"cmp"
	"fmt"
	"log/slog"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

const day = 24 * 60 * 60

// Settings is everything that can be configured.
type Settings struct {
	ListenHost      string
	ListenPort      int
	LogLevel        slog.Level
	Release         string
	Valkey          *redis.Options // address, database and credentials only
	ValkeyTimeout   time.Duration  // of one operation, its repetition included
	CartTTL         time.Duration
	AuthURL         string
	ProductsURL     string
	ServiceTimeout  time.Duration // of one call, its repetition included
	JWTIssuer       string
	JWTAudience     string
	StartupTimeout  time.Duration
	ShutdownTimeout time.Duration
}

// Error says what is wrong with the environment, one line for each variable at fault.
type Error struct{ Lines []string }

func (e *Error) Error() string { return strings.Join(e.Lines, "; ") }

// FromEnv reads the settings by means of getenv. Empty variables count as not set. The error is
// an *Error that names every variable at fault.
func FromEnv(getenv func(string) string) (Settings, error) {
	env := reader{getenv: getenv}
	settings := Settings{
		ListenHost:      env.text("LISTEN_HOST", "127.0.0.1"),
		ListenPort:      env.whole("LISTEN_PORT", 8003, 1, 65535),
		LogLevel:        env.level("LOG_LEVEL"),
		Release:         env.text("RELEASE", "dev"),
		Valkey:          env.valkey("VALKEY_URL"),
		ValkeyTimeout:   env.seconds("VALKEY_TIMEOUT_S", 1),
		CartTTL:         time.Duration(env.whole("CART_TTL_S", 7*day, 1, 90*day)) * time.Second,
		AuthURL:         env.url("AUTH_URL"),
		ProductsURL:     env.url("PRODUCTS_URL"),
		ServiceTimeout:  env.seconds("SERVICE_TIMEOUT_S", 1),
		JWTIssuer:       env.text("JWT_ISSUER", "triptych"),
		JWTAudience:     env.text("JWT_AUDIENCE", "triptych-shop"),
		StartupTimeout:  env.seconds("STARTUP_TIMEOUT_S", 600),
		ShutdownTimeout: time.Duration(env.whole("SHUTDOWN_GRACE_S", 10, 1, 120)) * time.Second,
	}
	if len(env.faults) > 0 {
		return Settings{}, &Error{env.faults}
	}
	return settings, nil
}

type reader struct {
	getenv func(string) string
	faults []string
}

// fault notes what is wrong with a variable; values stay out of it, as they may hold a password.
func (r *reader) fault(name, format string, args ...any) {
	r.faults = append(r.faults, name+": "+fmt.Sprintf(format, args...))
}

func (r *reader) text(name, fallback string) string {
	return cmp.Or(r.getenv(name), fallback)
}

func (r *reader) whole(name string, fallback, lowest, highest int) int {
	raw := r.getenv(name)
	if raw == "" {
		return fallback
	}
	value, err := strconv.Atoi(raw)
	if err != nil || value < lowest || value > highest {
		r.fault(name, "input should be a whole number from %d to %d", lowest, highest)
	}
	return value
}

func (r *reader) seconds(name string, fallback float64) time.Duration {
	value := fallback
	if raw := r.getenv(name); raw != "" {
		var err error
		value, err = strconv.ParseFloat(raw, 64)
		if err != nil || math.IsNaN(value) || value <= 0 || value > day {
			r.fault(name, "input should be a number of seconds above 0, up to %d", day)
		}
	}
	return time.Duration(value * float64(time.Second))
}

func (r *reader) level(name string) slog.Level {
	switch r.text(name, "INFO") {
	case "DEBUG":
		return slog.LevelDebug
	case "INFO":
		return slog.LevelInfo
	case "WARNING":
		return slog.LevelWarn
	case "ERROR":
		return slog.LevelError
	}
	r.fault(name, "input should be 'DEBUG', 'INFO', 'WARNING' or 'ERROR'")
	return slog.LevelInfo
}

var (
	httpURL   = regexp.MustCompile(`^https?://[^\s/]+/?$`)
	valkeyURL = regexp.MustCompile(`^rediss?://[^\s]+$`)
)

// url reads the base URL of a service and returns it without a slash at its end.
func (r *reader) url(name string) string {
	raw := r.getenv(name)
	switch {
	case raw == "":
		r.fault(name, "field required")
	case !httpURL.MatchString(raw):
		r.fault(name, "input should be a URL such as http://host:8000")
	}
	return strings.TrimSuffix(raw, "/")
}

func (r *reader) valkey(name string) *redis.Options {
	raw := r.getenv(name)
	if raw == "" {
		r.fault(name, "field required")
		return nil
	}
	options, err := redis.ParseURL(raw)
	if err != nil || !valkeyURL.MatchString(raw) {
		r.fault(name, "input should be a URL such as redis://host:6379/0")
	}
	return options
}
