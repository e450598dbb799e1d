package web

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"triptych/cart/internal/input"
	"triptych/cart/internal/instanceid"
	"triptych/cart/internal/logging"
	"triptych/cart/internal/requestid"
)

// site has a few routes; log receives what is logged.
func site(log io.Writer, level slog.Level) http.Handler {
	metrics := NewMetrics()
	router := NewRouter()
	say := func(text string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, text+r.PathValue("id"))
		})
	}
	router.Route("/things", map[string]http.Handler{"GET": say("all"), "DELETE": say("gone")})
	router.Route("/things/{id}", map[string]http.Handler{"PUT": say("put ")})
	router.Route("/health/live", map[string]http.Handler{"GET": say("live")})
	router.Route("/metrics", map[string]http.Handler{"GET": metrics.Handler()})
	router.Route("/panic", map[string]http.Handler{
		"GET": http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("secret") }),
	})
	router.Route("/panic/late", map[string]http.Handler{
		"GET": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, strings.Repeat("half an answer ", 1000))
			panic("secret")
		}),
	})
	logger := logging.New(log, level, "r1")
	return Observe(router, metrics, logging.Named(logger, "cart.access"), logging.Named(logger, "cart.errors"))
}

func ask(handler http.Handler, method, target string, body io.Reader) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "/", body)
	r.RequestURI = target
	r.URL, _ = url.ParseRequestURI(target)
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return w
}

func TestRoutes(t *testing.T) {
	handler := site(io.Discard, slog.LevelInfo)
	for _, test := range []struct {
		method, target string
		status         int
		answer         string // or what is allowed
	}{
		{"GET", "/things", 200, "all"},
		{"GET", "/things?a=%zz", 200, "all"},
		{"GET", "/thing%73", 200, "all"},
		{"PUT", "/things/7", 200, "put 7"},
		{"PUT", "/things/..", 200, "put .."},
		{"PUT", "/things/.x", 200, "put .x"},
		{"PUT", "/things/a%20b", 200, "put a b"},
		{"PUT", "/things%2F7", 200, "put 7"},
		{"HEAD", "/things", 405, "DELETE, GET"},
		{"PATCH", "/things", 405, "DELETE, GET"},
		{"OPTIONS", "/things", 405, "DELETE, GET"},
		{"INVENTED", "/things", 405, "DELETE, GET"},
		{"GET", "/things/7", 405, "PUT"},
		{"POST", "/things/..", 405, "PUT"},
		{"GET", "/", 404, ""},
		{"GET", "/things/", 404, ""},
		{"GET", "//things", 404, ""},
		{"GET", "/things/.", 405, "PUT"},
		{"GET", "/x/../things", 404, ""},
		{"PUT", "/things/7/", 404, ""},
		{"PUT", "/things/a%2Fb", 404, ""},
		{"PUT", "/things/%2F", 404, ""},
		{"GET", "/THINGS", 404, ""},
		{"OPTIONS", "*", 404, ""},
	} {
		w := ask(handler, test.method, test.target, nil)
		if w.Code != test.status {
			t.Errorf("%s %s: %d", test.method, test.target, w.Code)
			continue
		}
		switch test.status {
		case 200:
			if w.Body.String() != test.answer {
				t.Errorf("%s %s: %s", test.method, test.target, w.Body)
			}
		case 405:
			if w.Header().Get("Allow") != test.answer {
				t.Errorf("%s %s: Allow: %s", test.method, test.target, w.Header().Get("Allow"))
			}
		}
	}
}

func TestProblems(t *testing.T) {
	w := ask(site(io.Discard, slog.LevelInfo), "GET", "/no%74hing?secret", nil)
	if got := w.Header().Get("Content-Type"); got != "application/problem+json" {
		t.Error(got)
	}
	var document map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &document); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]any{
		"type": "urn:triptych:problem:not-found", "status": 404.0, "instance": "/no%74hing",
		"request_id": w.Header().Get(requestid.Header),
	} {
		if document[name] != want {
			t.Errorf("%s is %v", name, document[name])
		}
	}
	if len(document) != 6 {
		t.Errorf("members: %v", document)
	}
}

func TestBodiesDeclaredTooLarge(t *testing.T) {
	handler := site(io.Discard, slog.LevelInfo)
	for _, target := range []string{"/things", "/nothing", "/panic"} {
		body := func(size int) io.Reader { return bytes.NewReader(make([]byte, size)) }
		if w := ask(handler, "GET", target, body(input.MaxBodyBytes+1)); w.Code != 413 {
			t.Errorf("%s: %d", target, w.Code)
		}
		if w := ask(handler, "GET", target, body(input.MaxBodyBytes)); w.Code == 413 {
			t.Errorf("%s refuses the largest body", target)
		}
	}
}

func TestRequestIDs(t *testing.T) {
	handler := site(io.Discard, slog.LevelInfo)
	for offered, kept := range map[string]bool{"abc": true, "a b": false, "": false} {
		r := httptest.NewRequest("GET", "/nothing", nil)
		r.Header.Set(requestid.Header, offered)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if got := w.Header().Get(requestid.Header); kept != (got == offered) || got == "" {
			t.Errorf("%q became %q", offered, got)
		}
		if got := w.Header().Get(instanceid.Header); len(got) != 32 || got != instanceid.Value {
			t.Errorf("answered by %q", got)
		}
	}
}

func TestAPanicIsA500WithoutItsReason(t *testing.T) {
	var log bytes.Buffer
	w := ask(site(&log, slog.LevelInfo), "GET", "/panic", nil)
	if w.Code != 500 || !strings.Contains(w.Body.String(), "urn:triptych:problem:internal") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if strings.Contains(w.Body.String(), "secret") || !strings.Contains(log.String(), "secret") {
		t.Error("the reason belongs in the log, and only there")
	}
	if !strings.Contains(log.String(), `"status":500`) {
		t.Error("not in the access log")
	}
}

func TestAPanicInMidAnswerCutsTheConnection(t *testing.T) {
	server := httptest.NewServer(site(io.Discard, slog.LevelInfo))
	defer server.Close()
	response, err := http.Get(server.URL + "/panic/late")
	if err == nil {
		_, err = io.ReadAll(response.Body)
		_ = response.Body.Close()
	}
	if err == nil {
		t.Error("half an answer looks like a whole one")
	}
}

func TestAccessLog(t *testing.T) {
	var log bytes.Buffer
	handler := site(&log, slog.LevelInfo)
	ask(handler, "GET", "/health/live", nil) // machines ask all the time: debug level
	ask(handler, "PUT", "/things/a%20b", nil)
	var entry map[string]any
	if err := json.Unmarshal(log.Bytes(), &entry); err != nil {
		t.Fatalf("%v: %s", err, log.String())
	}
	for name, want := range map[string]any{
		"message": "request", "logger": "cart.access", "level": "info", "method": "PUT",
		"path": "/things/a b", "route": "/things/{id}", "status": 200.0,
	} {
		if entry[name] != want {
			t.Errorf("%s is %v", name, entry[name])
		}
	}
	if took, ok := entry["duration_ms"].(float64); !ok || took < 0 {
		t.Errorf("took %v", entry["duration_ms"])
	}

	log.Reset()
	ask(site(&log, slog.LevelDebug), "GET", "/health/live", nil)
	if !strings.Contains(log.String(), `"level":"debug"`) {
		t.Errorf("at debug level: %q", log.String())
	}
}

func TestMetricsCountByRouteTemplate(t *testing.T) {
	handler := site(io.Discard, slog.LevelInfo)
	for _, id := range []string{"1", "2"} {
		ask(handler, "PUT", "/things/"+id, nil)
		ask(handler, "INVENTED", "/things/"+id, nil)
		ask(handler, "GET", "/nothing/"+id, nil)
	}
	w := ask(handler, "GET", "/metrics", nil)
	text := w.Body.String()
	for _, want := range []string{
		`http_requests_total{method="PUT",route="/things/{id}",status="200"} 2`,
		`http_requests_total{method="other",route="/things/{id}",status="405"} 2`,
		`http_requests_total{method="GET",route="unmatched",status="404"} 2`,
		`http_request_duration_seconds_bucket{method="PUT",route="/things/{id}",le="+Inf"} 2`,
		"process_resident_memory_bytes ",
		"process_cpu_seconds_total ",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s", want)
		}
	}
	if !strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain; version=0.0.4") {
		t.Error(w.Header().Get("Content-Type"))
	}
}
