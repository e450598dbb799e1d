package controller

import (
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"triptych/ingress/internal/translate"
)

// eventSource is who the events come from.
const eventSource = "triptych-ingress"

var problems = prometheus.NewGaugeVec(prometheus.GaugeOpts{
	Name: "ingress_problems",
	Help: "Problems that Ingresses have at present.",
}, []string{"namespace", "name", "reason"})

func init() { metrics.Registry.MustRegister(problems) }

// reporter tells of each problem once: as an event on its Ingress, in the log, and as a metric for
// as long as it lasts.
type reporter struct {
	events events.EventRecorder
	log    *slog.Logger
	known  map[translate.Problem]bool
}

func newReporter(events events.EventRecorder, log *slog.Logger) *reporter {
	return &reporter{events: events, log: log, known: map[translate.Problem]bool{}}
}

func (r *reporter) report(result translate.Result) {
	objects := make(map[types.NamespacedName]*networkingv1.Ingress, len(result.Ours))
	for _, ingress := range result.Ours {
		objects[client.ObjectKeyFromObject(ingress)] = ingress
	}
	present := make(map[translate.Problem]bool, len(result.Problems))
	problems.Reset()
	for _, problem := range result.Problems {
		present[problem] = true
		problems.WithLabelValues(problem.Ingress.Namespace, problem.Ingress.Name, problem.Reason).Inc()
		if r.known[problem] {
			continue
		}
		r.log.Warn("problem with an Ingress", "ingress", problem.Ingress.String(),
			"reason", problem.Reason, "problem", problem.Message)
		r.events.Eventf(objects[problem.Ingress], nil, corev1.EventTypeWarning,
			problem.Reason, "Configure", "%s", problem.Message)
	}
	for problem := range r.known {
		if !present[problem] {
			r.log.Info("problem with an Ingress is gone", "ingress", problem.Ingress.String(),
				"reason", problem.Reason)
		}
	}
	r.known = present
}
