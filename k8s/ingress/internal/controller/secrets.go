package controller

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
)

// secretWait is how long a configuration waits for a Secret that it has not seen before.
const secretWait = 2 * time.Second

// secretWatcher watches the Secrets that Ingresses refer to, each by its name. No other Secret is
// ever read.
type secretWatcher struct {
	client  rest.Interface
	changed func()
	log     *slog.Logger

	mu      sync.Mutex
	watches map[types.NamespacedName]*secretWatch
}

type secretWatch struct {
	name   types.NamespacedName
	stop   context.CancelFunc
	store  cache.Store
	synced func() bool

	mu  sync.Mutex
	err error // why it cannot be read
}

func newSecretWatcher(
	config *rest.Config, httpClient *http.Client, changed func(), log *slog.Logger,
) (*secretWatcher, error) {
	client, err := apiutil.RESTClientForGVK(corev1.SchemeGroupVersion.WithKind("Secret"),
		false, false, config, scheme.Codecs, httpClient)
	if err != nil {
		return nil, err
	}
	return &secretWatcher{
		client:  client,
		changed: changed,
		log:     log,
		watches: map[types.NamespacedName]*secretWatch{},
	}, nil
}

// watch watches these Secrets, and no others. It waits a little for what is new.
func (w *secretWatcher) watch(ctx context.Context, names []types.NamespacedName) {
	w.mu.Lock()
	defer w.mu.Unlock()
	wanted := make(map[types.NamespacedName]bool, len(names))
	var started []*secretWatch
	for _, name := range names {
		wanted[name] = true
		if w.watches[name] == nil {
			w.watches[name] = w.start(name)
			started = append(started, w.watches[name])
		}
	}
	for name, watch := range w.watches {
		if !wanted[name] {
			watch.stop()
			delete(w.watches, name)
		}
	}
	deadline := time.Now().Add(secretWait)
	for _, watch := range started {
		for !watch.synced() && watch.failure() == nil && time.Now().Before(deadline) && ctx.Err() == nil {
			time.Sleep(5 * time.Millisecond)
		}
	}
}

// get returns a watched Secret, nil if there is none.
func (w *secretWatcher) get(name types.NamespacedName) (*corev1.Secret, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	watch := w.watches[name]
	if watch == nil {
		return nil, nil
	}
	if object, found, _ := watch.store.GetByKey(name.String()); found {
		return object.(*corev1.Secret), nil
	}
	return nil, watch.failure()
}

func (w *secretWatcher) start(name types.NamespacedName) *secretWatch {
	// Its life is not that of the request that it came up in.
	ctx, stop := context.WithCancel(context.Background())
	watch := &secretWatch{name: name, stop: stop}
	list := cache.NewListWatchFromClient(w.client, "secrets", name.Namespace,
		fields.OneTermEqualSelector("metadata.name", name.Name))
	shared := cache.NewSharedInformer(list, &corev1.Secret{}, 0)
	watch.store = shared.GetStore()
	watch.synced = shared.HasSynced
	_ = shared.SetTransform(onlyPair)
	_ = shared.SetWatchErrorHandlerWithContext(
		func(_ context.Context, _ *cache.Reflector, err error) { w.failed(watch, err) })
	_, _ = shared.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { watch.recover(); w.changed() },
		UpdateFunc: func(any, any) { watch.recover(); w.changed() },
		DeleteFunc: func(any) { watch.recover(); w.changed() },
	})
	go shared.RunWithContext(ctx)
	return watch
}

// failed notes why a Secret cannot be read. What ends a watch in the course of things is not told.
func (w *secretWatcher) failed(watch *secretWatch, err error) {
	if !apierrors.IsForbidden(err) && !apierrors.IsUnauthorized(err) {
		return
	}
	watch.mu.Lock()
	known := watch.err != nil
	watch.err = err
	watch.mu.Unlock()
	if !known {
		w.log.Warn("Secret cannot be read", "secret", watch.name.String(), "error", err.Error())
		w.changed()
	}
}

func (w *secretWatch) failure() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

func (w *secretWatch) recover() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err = nil
}

// onlyPair keeps nothing but the key pair.
func onlyPair(object any) (any, error) {
	secret, ok := object.(*corev1.Secret)
	if !ok {
		return object, nil
	}
	kept := &corev1.Secret{Type: secret.Type, Data: map[string][]byte{}}
	kept.Namespace, kept.Name = secret.Namespace, secret.Name
	kept.ResourceVersion = secret.ResourceVersion
	for _, key := range []string{corev1.TLSCertKey, corev1.TLSPrivateKeyKey} {
		if value, ok := secret.Data[key]; ok {
			kept.Data[key] = value
		}
	}
	return kept, nil
}
