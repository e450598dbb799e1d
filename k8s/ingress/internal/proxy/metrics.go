package proxy

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"golang.org/x/time/rate"

	"triptych/ingress/internal/model"
)

type metrics struct {
	requests  *prometheus.CounterVec
	duration  *prometheus.HistogramVec
	inFlight  prometheus.Gauge
	changes   prometheus.Counter
	unchanged prometheus.Counter
	applying  prometheus.Histogram
	endpoints *prometheus.GaugeVec
	failures  rate.Sometimes
}

func newMetrics(registry prometheus.Registerer) *metrics {
	factory := promauto.With(registry)
	return &metrics{
		requests: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "ingress_requests_total",
			Help: "Requests answered, by the Ingress that they were for (none if there was no rule).",
		}, []string{"ingress", "status"}),
		duration: factory.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "ingress_request_duration_seconds",
			Help:    "Time from a request's headers to the end of its answer.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"ingress"}),
		inFlight: factory.NewGauge(prometheus.GaugeOpts{
			Name: "ingress_requests_in_flight",
			Help: "Requests being answered, upgraded connections included.",
		}),
		changes: factory.NewCounter(prometheus.CounterOpts{
			Name: "ingress_config_changes_total",
			Help: "Configurations that were put in force.",
		}),
		unchanged: factory.NewCounter(prometheus.CounterOpts{
			Name: "ingress_config_unchanged_total",
			Help: "Configurations that turned out to be the one in force.",
		}),
		applying: factory.NewHistogram(prometheus.HistogramOpts{
			Name:    "ingress_config_apply_seconds",
			Help:    "Time to put a configuration in force.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25},
		}),
		endpoints: factory.NewGaugeVec(prometheus.GaugeOpts{
			Name: "ingress_backend_endpoints",
			Help: "Endpoints that a backend has.",
		}, []string{"backend"}),
		failures: rate.Sometimes{Interval: time.Second},
	}
}

func (m *metrics) observe(route model.Route, status int, taken time.Duration) {
	if status == 0 {
		status = 499 // The client went away before there was an answer.
	}
	m.requests.WithLabelValues(route.Ingress, strconv.Itoa(status)).Inc()
	if status != http.StatusSwitchingProtocols {
		m.duration.WithLabelValues(route.Ingress).Observe(taken.Seconds())
	}
}

// applied notes a change, and forgets what is gone.
func (m *metrics) applied(before, after *model.Config, taken time.Duration) {
	m.changes.Inc()
	m.applying.Observe(taken.Seconds())
	for key := range before.Backends {
		if _, kept := after.Backends[key]; !kept {
			m.endpoints.DeleteLabelValues(key)
		}
	}
	for key, backend := range after.Backends {
		m.endpoints.WithLabelValues(key).Set(float64(len(backend.Endpoints)))
	}
	present := map[string]bool{}
	for _, route := range after.Routes {
		present[route.Ingress] = true
	}
	for _, route := range before.Routes {
		if !present[route.Ingress] {
			m.requests.DeletePartialMatch(prometheus.Labels{"ingress": route.Ingress})
			m.duration.DeleteLabelValues(route.Ingress)
		}
	}
}

// logFailure tells of requests that could not be forwarded, once a second at most.
func (p *Proxy) logFailure(route model.Route, status int, err error) {
	p.metrics.failures.Do(func() {
		backend, _, _ := strings.Cut(route.Backend, " ")
		p.options.Log.Warn("request not forwarded",
			"ingress", route.Ingress, "backend", backend, "status", status, "error", err.Error())
	})
}
