// Package logging writes structured logs: one JSON object per line.
package logging

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"time"

	"triptych/cart/internal/requestid"
)

// New returns the service's logger; Named gives its loggers their names.
func New(out io.Writer, level slog.Level, release string) *slog.Logger {
	lines := slog.NewJSONHandler(out, &slog.HandlerOptions{Level: level, ReplaceAttr: rename})
	return slog.New(handler{lines}).With("release", release)
}

// Named returns a logger of its own name.
func Named(log *slog.Logger, name string) *slog.Logger {
	return log.With("logger", name)
}

// rename turns slog's own members into those that all services of the shop write.
func rename(groups []string, attr slog.Attr) slog.Attr {
	if len(groups) > 0 {
		return attr
	}
	switch attr.Key {
	case slog.TimeKey:
		if attr.Value.Kind() == slog.KindTime {
			attr.Value = slog.StringValue(attr.Value.Time().UTC().Format("2006-01-02T15:04:05.000Z"))
		}
	case slog.LevelKey:
		if level, ok := attr.Value.Any().(slog.Level); ok {
			attr.Value = slog.StringValue(levelName(level))
		}
	case slog.MessageKey:
		attr.Key = "message"
	}
	return attr
}

func levelName(level slog.Level) string {
	if level == slog.LevelWarn {
		return "warning"
	}
	return strings.ToLower(level.String())
}

// handler adds the id of the request that a record was made for.
type handler struct{ slog.Handler }

func (h handler) Handle(ctx context.Context, record slog.Record) error {
	if id := requestid.FromContext(ctx); id != "" {
		record.AddAttrs(slog.String("request_id", id))
	}
	return h.Handler.Handle(ctx, record)
}

func (h handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return handler{h.Handler.WithAttrs(attrs)}
}

func (h handler) WithGroup(name string) slog.Handler {
	return handler{h.Handler.WithGroup(name)}
}

// Milliseconds returns a duration as a log's number: milliseconds with two decimals.
func Milliseconds(d time.Duration) float64 {
	return float64(d.Round(10*time.Microsecond).Microseconds()) / 1000
}
