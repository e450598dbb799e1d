package web

import (
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"triptych/cart/internal/input"
	"triptych/cart/internal/instanceid"
	"triptych/cart/internal/logging"
	"triptych/cart/internal/problem"
	"triptych/cart/internal/requestid"
)

// quiet routes are asked all the time by machines.
var quiet = map[string]bool{"/health/live": true, "/health/ready": true, "/metrics": true}

// Observe is the outermost layer: it names, times and logs each request, refuses bodies that are
// declared too large, and lets no panic get past it.
func Observe(next http.Handler, metrics *Metrics, access, failures *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		started := time.Now()
		id := requestid.Accept(r.Header.Get(requestid.Header))
		w.Header().Set(requestid.Header, id)
		w.Header().Set(instanceid.Header, instanceid.Value)
		r = r.WithContext(requestid.NewContext(r.Context(), id))
		answer := &recorder{ResponseWriter: w}
		defer func() {
			elapsed := time.Since(started)
			route := routeOf(r.Pattern)
			metrics.observe(r.Method, route, answer.status, elapsed)
			level := slog.LevelInfo
			if quiet[route] && answer.status < http.StatusInternalServerError {
				level = slog.LevelDebug
			}
			access.LogAttrs(r.Context(), level, "request",
				slog.String("method", r.Method),
				slog.String("path", r.URL.Path),
				slog.String("route", route),
				slog.Int("status", answer.status),
				slog.Float64("duration_ms", logging.Milliseconds(elapsed)))
		}()
		defer recoverPanic(answer, r, failures)
		if r.ContentLength > input.MaxBodyBytes {
			problem.Write(answer, r, input.TooLarge())
			return
		}
		next.ServeHTTP(answer, r)
	})
}

// recoverPanic answers 500 for a handler that panics. Where the answer has begun already, the
// connection is cut, so that the client does not take it for a whole one.
func recoverPanic(answer *recorder, r *http.Request, failures *slog.Logger) {
	failure := recover()
	if failure == nil {
		return
	}
	failures.ErrorContext(r.Context(), "panic",
		"exception", fmt.Sprintf("%v\n%s", failure, debug.Stack()))
	if answer.status != 0 {
		panic(http.ErrAbortHandler)
	}
	problem.Write(answer, r,
		problem.New(problem.Internal, "The request could not be completed."))
}

// recorder remembers the status of an answer.
type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(data []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(data)
}

// Unwrap is for http.ResponseController.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
