package controller

import (
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

// NewManager returns a manager of a cluster, with the controller in it. It reads no more of the
// cluster than the controller needs, which is what its role allows.
func NewManager(config *rest.Config, options Options) (ctrl.Manager, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		corev1.AddToScheme, discoveryv1.AddToScheme, networkingv1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	cached := cache.Options{DefaultTransform: cache.TransformStripManagedFields()}
	if options.Publisher.needsPods() {
		cached.ByObject = map[client.Object]cache.ByObject{
			&corev1.Pod{}: {Namespaces: map[string]cache.Config{options.Publisher.Service.Namespace: {}}},
		}
	}
	manager, err := ctrl.NewManager(config, ctrl.Options{
		Scheme:  scheme,
		Logger:  ctrl.Log,
		Metrics: metricsserver.Options{BindAddress: "0"}, // Served by package ops.
		Cache:   cached,
	})
	if err != nil {
		return nil, err
	}
	return manager, add(manager, options)
}
