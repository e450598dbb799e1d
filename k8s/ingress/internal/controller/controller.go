// Package controller watches the cluster and keeps the proxy's configuration, the Ingresses'
// status and their events in line with it.
package controller

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"triptych/ingress/internal/model"
	"triptych/ingress/internal/translate"
)

// settle is how long a change waits for others, so that a burst of them is one configuration.
const settle = 20 * time.Millisecond

// Target is what a configuration is put in force by.
type Target interface {
	Apply(model.Config) (changed bool, err error)
}

// Options is what the controller works by.
type Options struct {
	Name      string // spec.controller of the classes that are ours
	Target    Target
	Publisher Publisher
	Log       *slog.Logger
}

// everything is the one request there is: a configuration is always made as a whole.
var everything = reconcile.Request{NamespacedName: types.NamespacedName{Name: "everything"}}

type reconciler struct {
	options  Options
	client   client.Reader
	secrets  *secretWatcher
	reporter *reporter
	status   *statusWriter
	parsed   []model.Certificate // of the last configuration
}

// add sets the controller up with a manager.
func add(mgr ctrl.Manager, options Options) error {
	changes := make(chan event.GenericEvent, 1)
	secrets, err := newSecretWatcher(mgr.GetConfig(), mgr.GetHTTPClient(), func() {
		select {
		case changes <- event.GenericEvent{Object: &corev1.Secret{}}:
		default: // One that has not been taken yet will do.
		}
	}, options.Log)
	if err != nil {
		return err
	}
	status, err := addStatusWriter(mgr, options.Publisher)
	if err != nil {
		return err
	}
	r := &reconciler{
		options:  options,
		client:   mgr.GetClient(),
		secrets:  secrets,
		reporter: newReporter(mgr.GetEventRecorder(eventSource), options.Log),
		status:   status,
	}
	all := false
	c, err := controller.New("configuration", mgr, controller.Options{
		Reconciler:         r,
		NeedLeaderElection: &all, // Every replica serves.
		RateLimiter: workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](
			100*time.Millisecond, 10*time.Second),
		SkipNameValidation: skipNameValidation(),
	})
	if err != nil {
		return err
	}
	sources := []source.Source{
		source.Kind(mgr.GetCache(), &networkingv1.IngressClass{}, whatever[*networkingv1.IngressClass]()),
		source.Kind(mgr.GetCache(), &networkingv1.Ingress{}, whatever[*networkingv1.Ingress]()),
		source.Kind(mgr.GetCache(), &corev1.Service{}, whatever[*corev1.Service]()),
		source.Kind(mgr.GetCache(), &discoveryv1.EndpointSlice{}, whatever[*discoveryv1.EndpointSlice]()),
		source.Channel(changes, whatever[client.Object]()),
		// There is a first configuration even if the cluster has no objects at all.
		source.Func(func(_ context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
			queue.Add(everything)
			return nil
		}),
	}
	if options.Publisher.needsPods() {
		sources = append(sources, source.Kind(mgr.GetCache(), &corev1.Pod{}, whatever[*corev1.Pod]()))
	}
	for _, source := range sources {
		if err := c.Watch(source); err != nil {
			return err
		}
	}
	return nil
}

// skipNameValidation lets tests have several controllers in one process.
func skipNameValidation() *bool {
	yes := true
	return &yes
}

// whatever turns any event into the one request there is, a little later.
func whatever[object client.Object]() handler.TypedFuncs[object, reconcile.Request] {
	type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]
	return handler.TypedFuncs[object, reconcile.Request]{
		CreateFunc: func(_ context.Context, _ event.TypedCreateEvent[object], q queue) {
			q.AddAfter(everything, settle)
		},
		UpdateFunc: func(_ context.Context, e event.TypedUpdateEvent[object], q queue) {
			if e.ObjectOld.GetResourceVersion() != e.ObjectNew.GetResourceVersion() {
				q.AddAfter(everything, settle)
			}
		},
		DeleteFunc: func(_ context.Context, _ event.TypedDeleteEvent[object], q queue) {
			q.AddAfter(everything, settle)
		},
		GenericFunc: func(_ context.Context, _ event.TypedGenericEvent[object], q queue) {
			q.AddAfter(everything, settle)
		},
	}
}

// Reconcile makes the configuration and puts it in force.
func (r *reconciler) Reconcile(ctx context.Context, _ reconcile.Request) (reconcile.Result, error) {
	objects, err := r.objects(ctx)
	if err != nil {
		return reconcile.Result{}, err
	}
	ours := translate.Ours(objects.Classes, objects.Ingresses, r.options.Name)
	r.secrets.watch(ctx, translate.SecretsOf(ours))

	objects.Parsed = r.parsed
	result := translate.Build(objects)
	r.parsed = result.Config.Certificates
	changed, err := r.options.Target.Apply(result.Config)
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("configuration not put in force: %w", err)
	}
	if changed {
		r.options.Log.Info("configuration put in force",
			"ingresses", len(result.Ours), "routes", len(result.Config.Routes),
			"backends", len(result.Config.Backends), "certificates", len(result.Config.Certificates))
	}
	r.reporter.report(result)
	return reconcile.Result{}, r.status.publish(ctx, result.Ours)
}

// objects reads the cache.
func (r *reconciler) objects(ctx context.Context) (translate.Objects, error) {
	var (
		classes   networkingv1.IngressClassList
		ingresses networkingv1.IngressList
		services  corev1.ServiceList
		found     discoveryv1.EndpointSliceList
	)
	for _, list := range []client.ObjectList{&classes, &ingresses, &services, &found} {
		// Nothing here changes what it reads.
		if err := r.client.List(ctx, list, client.UnsafeDisableDeepCopy); err != nil {
			return translate.Objects{}, fmt.Errorf("reading the cache: %w", err)
		}
	}
	byName := make(map[types.NamespacedName]*corev1.Service, len(services.Items))
	for i := range services.Items {
		byName[client.ObjectKeyFromObject(&services.Items[i])] = &services.Items[i]
	}
	byService := map[types.NamespacedName][]*discoveryv1.EndpointSlice{}
	for i := range found.Items {
		slice := &found.Items[i]
		name := types.NamespacedName{
			Namespace: slice.Namespace, Name: slice.Labels[discoveryv1.LabelServiceName],
		}
		byService[name] = append(byService[name], slice)
	}
	return translate.Objects{
		Classes:    classes.Items,
		Ingresses:  ingresses.Items,
		Service:    func(name types.NamespacedName) *corev1.Service { return byName[name] },
		Slices:     byService,
		Secret:     r.secrets.get,
		Controller: r.options.Name,
		Now:        time.Now(),
	}, nil
}
