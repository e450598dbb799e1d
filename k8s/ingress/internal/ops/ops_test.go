package ops

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

func TestServer(t *testing.T) {
	ready := false
	registry := prometheus.NewRegistry()
	registry.MustRegister(prometheus.NewCounter(prometheus.CounterOpts{Name: "one_total", Help: "x"}))
	server := NewServer("", func() bool { return ready }, registry)
	ask := func(path string) *httptest.ResponseRecorder {
		answer := httptest.NewRecorder()
		server.Handler.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, path, nil))
		return answer
	}
	for path, want := range map[string]int{"/livez": 200, "/readyz": 503, "/metrics": 200, "/else": 404} {
		if got := ask(path).Code; got != want {
			t.Errorf("%s: %d, want %d", path, got, want)
		}
	}
	if !strings.Contains(ask("/metrics").Body.String(), "one_total 0") {
		t.Error("no metrics")
	}
	ready = true
	if got := ask("/readyz").Code; got != 200 {
		t.Errorf("ready: %d", got)
	}
}
