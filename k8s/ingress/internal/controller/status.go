package controller

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"
)

// Publisher says which addresses Ingresses are reached at: those given, else those of a Service. It
// depends on nothing that differs between replicas, so they agree and none has to lead.
type Publisher struct {
	Addresses []string
	Service   types.NamespacedName
}

func (p Publisher) needsPods() bool { return len(p.Addresses) == 0 && p.Service.Name != "" }

// addresses returns what the status is to be. A Service without addresses of its own (NodePort) is
// reached at the nodes that its ready pods are on.
func (p Publisher) addresses(
	ctx context.Context, reader client.Reader,
) ([]networkingv1.IngressLoadBalancerIngress, error) {
	if !p.needsPods() {
		return entries(p.Addresses), nil
	}
	var service corev1.Service
	if err := reader.Get(ctx, p.Service, &service); err != nil {
		return nil, client.IgnoreNotFound(err)
	}
	found := slices.Clone(service.Spec.ExternalIPs)
	for _, entry := range service.Status.LoadBalancer.Ingress {
		found = append(found, cmp.Or(entry.IP, entry.Hostname))
	}
	if len(found) > 0 || len(service.Spec.Selector) == 0 {
		return entries(found), nil
	}
	var pods corev1.PodList
	if err := reader.List(ctx, &pods, &client.ListOptions{
		Namespace:     service.Namespace,
		LabelSelector: labels.SelectorFromSet(service.Spec.Selector),
	}); err != nil {
		return nil, err
	}
	for _, pod := range pods.Items {
		if pod.Status.HostIP != "" && pod.DeletionTimestamp == nil && isReady(&pod) {
			found = append(found, pod.Status.HostIP)
		}
	}
	return entries(found), nil
}

func isReady(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

func entries(addresses []string) []networkingv1.IngressLoadBalancerIngress {
	var made []networkingv1.IngressLoadBalancerIngress
	for _, address := range slices.Compact(slices.Sorted(slices.Values(addresses))) {
		if _, err := netip.ParseAddr(address); err == nil {
			made = append(made, networkingv1.IngressLoadBalancerIngress{IP: address})
		} else {
			made = append(made, networkingv1.IngressLoadBalancerIngress{Hostname: address})
		}
	}
	return made
}

// statusWriter writes the status of Ingresses, apart from the configuration: a slow API server
// holds up no change.
type statusWriter struct {
	publisher Publisher
	client    client.Client
	stale     chan event.TypedGenericEvent[types.NamespacedName]
}

func addStatusWriter(mgr ctrl.Manager, publisher Publisher) (*statusWriter, error) {
	w := &statusWriter{
		publisher: publisher,
		client:    mgr.GetClient(),
		stale:     make(chan event.TypedGenericEvent[types.NamespacedName], 64),
	}
	all := false
	c, err := controller.New("status", mgr, controller.Options{
		Reconciler:         w,
		NeedLeaderElection: &all,
		RateLimiter: workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](
			50*time.Millisecond, 30*time.Second),
		SkipNameValidation: skipNameValidation(),
	})
	if err != nil {
		return nil, err
	}
	return w, c.Watch(source.Channel(w.stale,
		handler.TypedFuncs[types.NamespacedName, reconcile.Request]{GenericFunc: func(
			_ context.Context, e event.TypedGenericEvent[types.NamespacedName],
			queue workqueue.TypedRateLimitingInterface[reconcile.Request],
		) {
			queue.Add(reconcile.Request{NamespacedName: e.Object})
		}}))
}

// publish has the status written of those Ingresses that have another one. Their routes are in
// force already.
func (w *statusWriter) publish(ctx context.Context, ingresses []*networkingv1.Ingress) error {
	wanted, err := w.publisher.addresses(ctx, w.client)
	if err != nil {
		return fmt.Errorf("addresses to publish: %w", err)
	}
	if len(wanted) == 0 {
		return nil // Not known yet; there will be a change when they are.
	}
	for _, ingress := range ingresses {
		if equality.Semantic.DeepEqual(ingress.Status.LoadBalancer.Ingress, wanted) {
			continue
		}
		select {
		case w.stale <- event.TypedGenericEvent[types.NamespacedName]{Object: client.ObjectKeyFromObject(ingress)}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// Reconcile writes the status of one Ingress.
func (w *statusWriter) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	wanted, err := w.publisher.addresses(ctx, w.client)
	if err != nil || len(wanted) == 0 {
		return reconcile.Result{}, err
	}
	var ingress networkingv1.Ingress
	if err := w.client.Get(ctx, request.NamespacedName, &ingress); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if equality.Semantic.DeepEqual(ingress.Status.LoadBalancer.Ingress, wanted) {
		return reconcile.Result{}, nil
	}
	before := ingress.DeepCopy()
	ingress.Status.LoadBalancer.Ingress = wanted
	err = w.client.Status().Patch(ctx, &ingress, client.MergeFrom(before))
	if apierrors.IsNotFound(err) {
		return reconcile.Result{}, nil
	}
	return reconcile.Result{}, err
}
