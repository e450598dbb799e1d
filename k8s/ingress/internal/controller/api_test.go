//go:build api

package controller

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"triptych/ingress/internal/model"
)

const manifest = "../../../addons/ingress.yaml"

var (
	admin  client.Client
	asRole *rest.Config // the service account of the manifest, with what its roles allow
	pod    corev1.PodTemplateSpec
)

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard())
	environment := &envtest.Environment{ControlPlaneStopTimeout: 2 * time.Minute}
	// The API server ends no sooner than its requests could.
	environment.ControlPlane.GetAPIServer().Configure().Set("request-timeout", "5s")
	config, err := environment.Start()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := 1
	if err := prepare(environment, config); err != nil {
		fmt.Fprintln(os.Stderr, err)
	} else {
		code = m.Run()
	}
	if err := environment.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

// prepare applies the manifest, every field of which has to be known to the API server.
func prepare(environment *envtest.Environment, config *rest.Config) error {
	ctx := context.Background()
	plain, err := client.New(config, client.Options{Scheme: scheme.Scheme})
	if err != nil {
		return err
	}
	admin = client.WithFieldValidation(plain, metav1.FieldValidationStrict)
	file, err := os.Open(manifest)
	if err != nil {
		return err
	}
	defer file.Close()
	for decoder := yaml.NewYAMLOrJSONDecoder(file, 4096); ; {
		var object unstructured.Unstructured
		if err := decoder.Decode(&object); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
		if object.GetKind() == "Deployment" {
			var deployment appsv1.Deployment
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &deployment); err != nil {
				return err
			}
			pod = deployment.Spec.Template
		}
		if err := admin.Create(ctx, &object); err != nil {
			return fmt.Errorf("%s %s: %w", object.GetKind(), object.GetName(), err)
		}
	}
	user, err := environment.AddUser(envtest.User{
		Name:   "system:serviceaccount:triptych-ingress:ingress",
		Groups: []string{"system:serviceaccounts", "system:authenticated"},
	}, nil)
	if err != nil {
		return err
	}
	asRole = user.Config()
	return nil
}

// target is a proxy that only remembers.
type target struct {
	mu     sync.Mutex
	config *model.Config
	calls  int
	heard  chan struct{}
}

func (t *target) Apply(config model.Config) (bool, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.calls++
	changed := t.config == nil || !t.config.Equal(&config)
	t.config = &config
	select {
	case t.heard <- struct{}{}:
	default:
	}
	return changed, nil
}

// until waits for a configuration of a kind.
func (t *target) until(test *testing.T, what string, holds func(*model.Config) bool) {
	test.Helper()
	deadline := time.After(20 * time.Second)
	for {
		t.mu.Lock()
		done := t.config != nil && holds(t.config)
		t.mu.Unlock()
		if done {
			return
		}
		select {
		case <-t.heard:
		case <-deadline:
			test.Fatalf("never: %s; last: %+v", what, t.config)
		}
	}
}

// run starts a controller that ends with the test.
func run(t *testing.T, name string, publisher Publisher) *target {
	t.Helper()
	made := &target{heard: make(chan struct{}, 1)}
	manager, err := NewManager(asRole, Options{
		Name: name, Target: made, Publisher: publisher, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- manager.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return made
}

// place makes a namespace, and a class whose controller is the test's own.
func place(t *testing.T, name string) (controllerName string) {
	t.Helper()
	create(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
	class := &networkingv1.IngressClass{ObjectMeta: metav1.ObjectMeta{Name: name}}
	class.Spec.Controller = "triptych.invalid/" + name
	create(t, class)
	return class.Spec.Controller
}

func create(t *testing.T, object client.Object) {
	t.Helper()
	if err := admin.Create(t.Context(), object); err != nil {
		t.Fatal(err)
	}
}

func service(namespace, name string) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "http", Port: 80}}},
	}
}

func slice(namespace, of string, addresses ...string) *discoveryv1.EndpointSlice {
	port, name, ready := int32(8000), "http", true
	made := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: of + "-1", Labels: map[string]string{discoveryv1.LabelServiceName: of},
		},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: &name, Port: &port}},
	}
	for _, address := range addresses {
		made.Endpoints = append(made.Endpoints, discoveryv1.Endpoint{
			Addresses: []string{address}, Conditions: discoveryv1.EndpointConditions{Ready: &ready},
		})
	}
	return made
}

func ingress(namespace, name, host, secret string) *networkingv1.Ingress {
	prefix := networkingv1.PathTypePrefix
	made := &networkingv1.Ingress{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: networkingv1.IngressSpec{
			IngressClassName: &namespace,
			Rules: []networkingv1.IngressRule{{Host: host, IngressRuleValue: networkingv1.IngressRuleValue{
				HTTP: &networkingv1.HTTPIngressRuleValue{Paths: []networkingv1.HTTPIngressPath{{
					Path: "/", PathType: &prefix, Backend: networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{
						Name: "web", Port: networkingv1.ServiceBackendPort{Name: "http"},
					}},
				}}},
			}}},
		},
	}
	if secret != "" {
		made.Spec.TLS = []networkingv1.IngressTLS{{Hosts: []string{host}, SecretName: secret}}
	}
	return made
}

func secret(t *testing.T, namespace, name, host string) *corev1.Secret {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{host}, NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Type:       corev1.SecretTypeTLS,
		Data: map[string][]byte{
			corev1.TLSCertKey:       pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
			corev1.TLSPrivateKeyKey: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
		},
	}
}

func endpointsOf(config *model.Config) string {
	for _, backend := range config.Backends {
		return strings.Join(backend.Endpoints, " ")
	}
	return "no backend"
}

func TestFollowsTheCluster(t *testing.T) {
	name := place(t, "follow")
	seen := run(t, name, Publisher{})
	seen.until(t, "a first configuration, of nothing", func(c *model.Config) bool { return len(c.Routes) == 0 })
	create(t, ingress("follow", "web", "a.example", ""))
	seen.until(t, "a route without endpoints", func(c *model.Config) bool {
		return len(c.Routes) == 1 && c.Routes[0].Host == "a.example" && endpointsOf(c) == ""
	})
	create(t, service("follow", "web"))
	endpoints := slice("follow", "web", "10.0.0.1")
	create(t, endpoints)
	seen.until(t, "an endpoint", func(c *model.Config) bool { return endpointsOf(c) == "10.0.0.1:8000" })

	var slowest time.Duration
	for i := 2; i < 12; i++ {
		endpoints.Endpoints[0].Addresses[0] = fmt.Sprintf("10.0.0.%d", i)
		started := time.Now()
		if err := admin.Update(t.Context(), endpoints); err != nil {
			t.Fatal(err)
		}
		seen.until(t, "another endpoint", func(c *model.Config) bool {
			return endpointsOf(c) == fmt.Sprintf("10.0.0.%d:8000", i)
		})
		slowest = max(slowest, time.Since(started))
	}
	t.Logf("from an update of the endpoints to the configuration: %v at most", slowest)

	if err := admin.Delete(t.Context(), ingress("follow", "web", "", "")); err != nil {
		t.Fatal(err)
	}
	seen.until(t, "no route", func(c *model.Config) bool { return len(c.Routes) == 0 })
}

func TestSecrets(t *testing.T) {
	name := place(t, "secrets")
	create(t, secret(t, "secrets", "not-referred-to", "x.example"))
	seen := run(t, name, Publisher{})
	served := func(want string) func(*model.Config) bool {
		return func(c *model.Config) bool {
			var hosts []string
			for _, certificate := range c.Certificates {
				hosts = append(hosts, certificate.Secret+"="+certificate.Pair.Leaf.DNSNames[0])
			}
			return len(c.Routes) == 1 && strings.Join(hosts, " ") == want
		}
	}
	create(t, ingress("secrets", "web", "a.example", "tls"))
	seen.until(t, "a route without its certificate", served(""))
	made := secret(t, "secrets", "tls", "a.example")
	create(t, made)
	seen.until(t, "its certificate", served("secrets/tls=a.example"))
	renewed := secret(t, "secrets", "tls", "renewed.example")
	renewed.ResourceVersion = made.ResourceVersion
	if err := admin.Update(t.Context(), renewed); err != nil {
		t.Fatal(err)
	}
	seen.until(t, "its renewed certificate", served("secrets/tls=renewed.example"))
	if err := admin.Delete(t.Context(), renewed); err != nil {
		t.Fatal(err)
	}
	seen.until(t, "no certificate again", served(""))
}

func TestEventsAndNeighbours(t *testing.T) {
	name := place(t, "events")
	seen := run(t, name, Publisher{})
	create(t, service("events", "web"))
	create(t, slice("events", "web", "10.0.0.1"))
	create(t, ingress("events", "good", "good.example", ""))
	seen.until(t, "the good one", func(c *model.Config) bool { return len(c.Routes) == 1 })
	bad := ingress("events", "bad", "bad.example", "gone")
	bad.Spec.Rules[0].HTTP.Paths[0].Backend.Service.Name = "gone"
	create(t, bad)
	seen.until(t, "both", func(c *model.Config) bool {
		return len(c.Routes) == 2 && len(c.Backends["events/web:80 http"].Endpoints) == 1
	})
	wanted := map[string]bool{"ServiceNotFound": true, "SecretNotFound": true}
	deadline := time.Now().Add(20 * time.Second)
	for len(wanted) > 0 {
		var events corev1.EventList
		if err := admin.List(t.Context(), &events, client.InNamespace("events")); err != nil {
			t.Fatal(err)
		}
		for _, event := range events.Items {
			if event.InvolvedObject.Name != "bad" || event.Type != corev1.EventTypeWarning {
				t.Errorf("event %s on %s", event.Reason, event.InvolvedObject.Name)
			}
			delete(wanted, event.Reason)
		}
		if time.Now().After(deadline) {
			t.Fatalf("no events %v", wanted)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func status(t *testing.T, namespace, name string) (*networkingv1.Ingress, string) {
	t.Helper()
	var found networkingv1.Ingress
	if err := admin.Get(t.Context(), types.NamespacedName{Namespace: namespace, Name: name}, &found); err != nil {
		t.Fatal(err)
	}
	var addresses []string
	for _, entry := range found.Status.LoadBalancer.Ingress {
		addresses = append(addresses, entry.IP+entry.Hostname)
	}
	return &found, strings.Join(addresses, " ")
}

func untilStatus(t *testing.T, namespace, name, want string) *networkingv1.Ingress {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		found, got := status(t, namespace, name)
		if got == want {
			return found
		}
		if time.Now().After(deadline) {
			t.Fatalf("status %q, want %q", got, want)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Two replicas, on two nodes, publish the addresses of both: neither undoes what the other did.
func TestStatusOfTwoReplicas(t *testing.T) {
	name := place(t, "status")
	publisher := Publisher{Service: types.NamespacedName{Namespace: "triptych-ingress", Name: "ingress"}}
	run(t, name, publisher)
	run(t, name, publisher)
	create(t, ingress("status", "web", "a.example", ""))
	for i, want := range []string{"192.0.2.1", "192.0.2.1 192.0.2.2"} {
		// As the Deployment makes them, which the namespace's Pod Security has to admit.
		replica := &corev1.Pod{ObjectMeta: *pod.ObjectMeta.DeepCopy(), Spec: *pod.Spec.DeepCopy()}
		replica.Namespace, replica.Name = "triptych-ingress", fmt.Sprint("ingress-", i)
		create(t, replica)
		replica.Status.HostIP = fmt.Sprint("192.0.2.", i+1)
		replica.Status.HostIPs = []corev1.HostIP{{IP: replica.Status.HostIP}}
		replica.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
		if err := admin.Status().Update(t.Context(), replica); err != nil {
			t.Fatal(err)
		}
		untilStatus(t, "status", "web", want)
	}
	before := untilStatus(t, "status", "web", "192.0.2.1 192.0.2.2")
	time.Sleep(time.Second)
	if after, _ := status(t, "status", "web"); after.ResourceVersion != before.ResourceVersion {
		t.Errorf("written again: %s, then %s", before.ResourceVersion, after.ResourceVersion)
	}
}

func TestPublishedAddresses(t *testing.T) {
	name := place(t, "published")
	run(t, name, Publisher{Addresses: []string{"shop.example", "192.0.2.9"}})
	create(t, ingress("published", "web", "a.example", ""))
	theirs := ingress("published", "theirs", "a.example", "")
	other := "another-class"
	theirs.Spec.IngressClassName = &other
	create(t, theirs)
	untilStatus(t, "published", "web", "192.0.2.9 shop.example")
	if _, got := status(t, "published", "theirs"); got != "" {
		t.Errorf("an Ingress of another class got %q", got)
	}
}

func TestBurstsAreOneConfiguration(t *testing.T) {
	const count = 40
	name := place(t, "burst")
	seen := run(t, name, Publisher{})
	seen.until(t, "a first configuration", func(*model.Config) bool { return true })
	seen.mu.Lock()
	before := seen.calls
	seen.mu.Unlock()
	var all sync.WaitGroup
	for i := range count {
		all.Go(func() {
			made := ingress("burst", fmt.Sprint("web-", i), fmt.Sprintf("h%d.example", i), "")
			if err := admin.Create(context.Background(), made); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	seen.until(t, "all of them", func(c *model.Config) bool { return len(c.Routes) == count })
	seen.mu.Lock()
	defer seen.mu.Unlock()
	if calls := seen.calls - before; calls >= count {
		t.Errorf("%d configurations for %d changes", calls, count)
	} else {
		t.Logf("%d configurations for %d changes", calls, count)
	}
}

// What the role does not need, it does not give.
func TestRoleIsNarrow(t *testing.T) {
	limited, err := client.New(asRole, client.Options{Scheme: scheme.Scheme})
	if err != nil {
		t.Fatal(err)
	}
	create(t, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "private"}})
	for what, err := range map[string]error{
		"read ConfigMaps":  limited.List(t.Context(), &corev1.ConfigMapList{}),
		"read all pods":    limited.List(t.Context(), &corev1.PodList{}),
		"read nodes":       limited.List(t.Context(), &corev1.NodeList{}),
		"write Secrets":    limited.Create(t.Context(), secret(t, "default", "x", "x.example")),
		"write Services":   limited.Create(t.Context(), service("default", "x")),
		"write Ingresses":  limited.Create(t.Context(), ingress("default", "x", "x.example", "")),
		"delete Ingresses": limited.Delete(t.Context(), ingress("default", "x", "x.example", "")),
	} {
		if !apierrors.IsForbidden(err) {
			t.Errorf("it may %s: %v", what, err)
		}
	}
}
