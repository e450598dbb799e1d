package translate

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"triptych/ingress/internal/model"
)

const ours = "triptych.invalid/ingress"

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func ref[T any](value T) *T { return &value }

func at(minutes int) metav1.Time {
	return metav1.NewTime(now.Add(time.Duration(minutes) * time.Minute))
}

func class(name, controller string, isDefault bool) networkingv1.IngressClass {
	made := networkingv1.IngressClass{ObjectMeta: metav1.ObjectMeta{Name: name}}
	made.Spec.Controller = controller
	if isDefault {
		made.Annotations = map[string]string{networkingv1.AnnotationIsDefaultIngressClass: "true"}
	}
	return made
}

// ingress makes an Ingress of our class in namespace shop; age is in minutes.
func ingress(name string, age int, spec networkingv1.IngressSpec) networkingv1.Ingress {
	if spec.IngressClassName == nil {
		spec.IngressClassName = ref("triptych")
	}
	return networkingv1.Ingress{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, CreationTimestamp: at(-age)},
		Spec:       spec,
	}
}

func to(service, port string) networkingv1.IngressBackend {
	backend := networkingv1.IngressServiceBackend{Name: service}
	if number := strings.Trim(port, "0123456789"); number == "" {
		for _, digit := range port {
			backend.Port.Number = backend.Port.Number*10 + digit - '0'
		}
	} else {
		backend.Port.Name = port
	}
	return networkingv1.IngressBackend{Service: &backend}
}

func rule(host string, pathType networkingv1.PathType, path string, backend networkingv1.IngressBackend) networkingv1.IngressRule {
	return networkingv1.IngressRule{Host: host, IngressRuleValue: networkingv1.IngressRuleValue{
		HTTP: &networkingv1.HTTPIngressRuleValue{Paths: []networkingv1.HTTPIngressPath{
			{Path: path, PathType: &pathType, Backend: backend},
		}},
	}}
}

func service(name string, ports ...corev1.ServicePort) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name},
		Spec:       corev1.ServiceSpec{Ports: ports},
	}
}

type condition struct{ ready, serving, terminating *bool }

func slice(family discoveryv1.AddressType, port string, number int32, endpoints map[string]condition) *discoveryv1.EndpointSlice {
	made := &discoveryv1.EndpointSlice{
		AddressType: family,
		Ports:       []discoveryv1.EndpointPort{{Name: &port, Port: &number}},
	}
	for address, c := range endpoints {
		made.Endpoints = append(made.Endpoints, discoveryv1.Endpoint{
			Addresses:  []string{address},
			Conditions: discoveryv1.EndpointConditions{Ready: c.ready, Serving: c.serving, Terminating: c.terminating},
		})
	}
	return made
}

// world is a small cluster: Service web with two ports and two endpoints.
func world(ingresses ...networkingv1.Ingress) Objects {
	services := map[string]*corev1.Service{
		"web": service("web",
			corev1.ServicePort{Name: "http", Port: 80},
			corev1.ServicePort{Name: "tls", Port: 443, AppProtocol: ref("https")},
			corev1.ServicePort{Name: "grpc", Port: 50, AppProtocol: ref("kubernetes.io/h2c")},
			corev1.ServicePort{Name: "dns", Port: 53, Protocol: corev1.ProtocolUDP}),
		"away": {
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "away"},
			Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "evil.example"},
		},
	}
	return Objects{
		Classes:   []networkingv1.IngressClass{class("triptych", ours, false), class("other", "other/x", false)},
		Ingresses: ingresses,
		Service: func(name types.NamespacedName) *corev1.Service {
			if name.Namespace != "shop" {
				return nil
			}
			return services[name.Name]
		},
		Slices: map[types.NamespacedName][]*discoveryv1.EndpointSlice{
			{Namespace: "shop", Name: "web"}: {
				slice(discoveryv1.AddressTypeIPv4, "http", 8000, map[string]condition{
					"10.0.0.2": {}, "10.0.0.1": {ready: ref(true)},
				}),
				slice(discoveryv1.AddressTypeIPv4, "tls", 8443, map[string]condition{"10.0.0.1": {}}),
			},
		},
		Secret:     func(types.NamespacedName) (*corev1.Secret, error) { return nil, nil },
		Controller: ours,
		Now:        now,
	}
}

func reasons(result Result) []string {
	var found []string
	for _, problem := range result.Problems {
		found = append(found, problem.Ingress.Name+" "+problem.Reason)
	}
	return found
}

func TestBackends(t *testing.T) {
	for _, tc := range []struct {
		name      string
		backend   networkingv1.IngressBackend
		key       string
		protocol  model.Protocol
		endpoints []string
		problems  []string
	}{
		{"by number", to("web", "80"), "shop/web:80 http", model.HTTP, []string{"10.0.0.1:8000", "10.0.0.2:8000"}, nil},
		{"by name", to("web", "http"), "shop/web:80 http", model.HTTP, []string{"10.0.0.1:8000", "10.0.0.2:8000"}, nil},
		{"https", to("web", "tls"), "shop/web:443 https", model.HTTPS, []string{"10.0.0.1:8443"}, nil},
		{"h2c, nothing ready", to("web", "50"), "shop/web:50 h2c", model.H2C, nil, nil},
		{"UDP", to("web", "53"), "shop/web:53 http", model.HTTP, nil, []string{"a ServicePortNotFound"}},
		{"no such port", to("web", "nope"), "shop/web:nope http", model.HTTP, nil, []string{"a ServicePortNotFound"}},
		{"no such service", to("gone", "80"), "shop/gone:80 http", model.HTTP, nil, []string{"a ServiceNotFound"}},
		{"external name", to("away", "80"), "shop/away:80 http", model.HTTP, nil, []string{"a ServiceRefused"}},
		{
			"resource",
			networkingv1.IngressBackend{Resource: &corev1.TypedLocalObjectReference{Kind: "Bucket", Name: "x"}},
			"shop/a resource", model.HTTP, nil, []string{"a BackendUnsupported"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			result := Build(world(ingress("a", 1, networkingv1.IngressSpec{
				Rules: []networkingv1.IngressRule{rule("", networkingv1.PathTypePrefix, "/", tc.backend)},
			})))
			if got := result.Config.Routes[0].Backend; got != tc.key {
				t.Errorf("key %q, want %q", got, tc.key)
			}
			backend, ok := result.Config.Backends[tc.key]
			if !ok || backend.Protocol != tc.protocol || !slices.Equal(backend.Endpoints, tc.endpoints) {
				t.Errorf("backend %+v", backend)
			}
			if !slices.Equal(reasons(result), tc.problems) {
				t.Errorf("problems %v, want %v", result.Problems, tc.problems)
			}
		})
	}
}

func TestEndpoints(t *testing.T) {
	yes, no := ref(true), ref(false)
	leaving := condition{ready: no, serving: yes, terminating: yes}
	for _, tc := range []struct {
		name     string
		families []corev1.IPFamily
		slices   []*discoveryv1.EndpointSlice
		want     []string
		leaving  []string
	}{
		{name: "nothing"},
		{
			name: "not ready, unknown, twice",
			slices: []*discoveryv1.EndpointSlice{
				slice(discoveryv1.AddressTypeIPv4, "http", 1, map[string]condition{"10.0.0.1": {}, "10.0.0.2": {ready: no, serving: no}}),
				slice(discoveryv1.AddressTypeIPv4, "http", 1, map[string]condition{"10.0.0.1": {ready: yes}}),
			},
			want: []string{"10.0.0.1:1"},
		},
		{
			name: "leaving is drained",
			slices: []*discoveryv1.EndpointSlice{
				slice(discoveryv1.AddressTypeIPv4, "http", 1, map[string]condition{"10.0.0.1": leaving, "10.0.0.2": {ready: yes}}),
			},
			want:    []string{"10.0.0.2:1"},
			leaving: []string{"10.0.0.1:1"},
		},
		{
			name: "leaving is better than nothing",
			slices: []*discoveryv1.EndpointSlice{
				slice(discoveryv1.AddressTypeIPv4, "http", 1, map[string]condition{
					"10.0.0.1": leaving, "10.0.0.2": {ready: no, serving: no, terminating: yes},
				}),
			},
			want: []string{"10.0.0.1:1"},
		},
		{
			name:     "both families, the first counts",
			families: []corev1.IPFamily{corev1.IPv6Protocol, corev1.IPv4Protocol},
			slices: []*discoveryv1.EndpointSlice{
				slice(discoveryv1.AddressTypeIPv4, "http", 1, map[string]condition{"10.0.0.1": {}}),
				slice(discoveryv1.AddressTypeIPv6, "http", 1, map[string]condition{"fd00::1": {}}),
			},
			want: []string{"[fd00::1]:1"},
		},
		{
			name:     "both families, only the second has any",
			families: []corev1.IPFamily{corev1.IPv6Protocol, corev1.IPv4Protocol},
			slices:   []*discoveryv1.EndpointSlice{slice(discoveryv1.AddressTypeIPv4, "http", 1, map[string]condition{"10.0.0.1": {}})},
			want:     []string{"10.0.0.1:1"},
		},
		{
			name: "another port, names instead of addresses",
			slices: []*discoveryv1.EndpointSlice{
				slice(discoveryv1.AddressTypeIPv4, "metrics", 1, map[string]condition{"10.0.0.1": {}}),
				slice(discoveryv1.AddressTypeFQDN, "http", 1, map[string]condition{"a.example": {}}),
			},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			made := service("web", corev1.ServicePort{Name: "http", Port: 80})
			made.Spec.IPFamilies = tc.families
			got, leaving := endpoints(made, "http", tc.slices)
			if !slices.Equal(got, tc.want) || !slices.Equal(leaving, tc.leaving) {
				t.Errorf("got %v, leaving %v; want %v, %v", got, leaving, tc.want, tc.leaving)
			}
		})
	}
}

func TestClasses(t *testing.T) {
	named := func(name string, age int, className *string, annotation string) networkingv1.Ingress {
		made := ingress(name, age, networkingv1.IngressSpec{IngressClassName: ref("")})
		made.Spec.IngressClassName = className
		if annotation != "" {
			made.Annotations = map[string]string{legacyClassAnnotation: annotation}
		}
		return made
	}
	ingresses := []networkingv1.Ingress{
		named("ours", 5, ref("triptych"), ""),
		named("older", 9, ref("triptych"), ""),
		named("theirs", 5, ref("other"), ""),
		named("unknown", 5, ref("nobody"), ""),
		named("none", 4, nil, ""),
		named("legacy-ours", 3, nil, "triptych"),
		named("legacy-theirs", 3, nil, "other"),
		named("both", 2, ref("other"), "triptych"),
	}
	newer := class("newer", "other/x", true)
	newer.CreationTimestamp = at(0)
	for _, tc := range []struct {
		name    string
		classes []networkingv1.IngressClass
		want    []string
	}{
		{"no default", []networkingv1.IngressClass{class("triptych", ours, false), class("other", "other/x", false)},
			[]string{"older", "ours", "legacy-ours"}},
		{"ours is the default", []networkingv1.IngressClass{class("triptych", ours, true), class("other", "other/x", false)},
			[]string{"older", "ours", "none", "legacy-ours"}},
		{"the newest of several defaults", []networkingv1.IngressClass{class("triptych", ours, true), newer},
			[]string{"older", "ours", "legacy-ours"}},
		{"no class of ours", []networkingv1.IngressClass{class("triptych", "someone/else", true)}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got []string
			for _, found := range Ours(tc.classes, ingresses, ours) {
				got = append(got, found.Name)
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
}

func TestOldestWins(t *testing.T) {
	result := Build(world(
		ingress("young", 1, networkingv1.IngressSpec{Rules: []networkingv1.IngressRule{
			rule("a.example", networkingv1.PathTypePrefix, "/x/", to("gone", "80")),
			rule("a.example", networkingv1.PathTypeExact, "/x", to("web", "80")),
			rule("b.example", networkingv1.PathTypePrefix, "/", to("web", "80")),
		}}),
		ingress("old", 9, networkingv1.IngressSpec{Rules: []networkingv1.IngressRule{
			rule("a.example", networkingv1.PathTypePrefix, "/x", to("web", "80")),
		}}),
	))
	var routes []string
	for _, route := range result.Config.Routes {
		routes = append(routes, route.Ingress+" "+route.Host+route.Path)
	}
	want := []string{"shop/old a.example/x", "shop/young a.example/x", "shop/young b.example/"}
	if !slices.Equal(routes, want) {
		t.Errorf("routes %v", routes)
	}
	if !slices.Equal(reasons(result), []string{"young Conflict"}) {
		t.Errorf("problems %v", result.Problems)
	}
}

func TestDefaultBackends(t *testing.T) {
	backend := to("web", "80")
	result := Build(world(
		ingress("catch-all", 9, networkingv1.IngressSpec{DefaultBackend: &backend}),
		ingress("of-host", 5, networkingv1.IngressSpec{
			DefaultBackend: &backend,
			Rules: []networkingv1.IngressRule{
				{Host: "a.example"},
				rule("a.example", networkingv1.PathTypeImplementationSpecific, "/x", backend),
			},
		}),
		ingress("second", 1, networkingv1.IngressSpec{DefaultBackend: &backend}),
	))
	var fallbacks []string
	for _, route := range result.Config.Routes {
		if route.Match == model.Fallback {
			fallbacks = append(fallbacks, route.Ingress+" "+route.Host)
		}
	}
	if !slices.Equal(fallbacks, []string{"shop/catch-all ", "shop/of-host a.example"}) {
		t.Errorf("fallbacks %q", fallbacks)
	}
	if !slices.Equal(reasons(result), []string{"second Conflict"}) {
		t.Errorf("problems %v", result.Problems)
	}
}

func keyPair(t *testing.T, notAfter time.Time, hosts ...string) *corev1.Secret {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: now.Add(-time.Hour), NotAfter: notAfter}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return &corev1.Secret{Data: map[string][]byte{
		corev1.TLSCertKey:       pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		corev1.TLSPrivateKeyKey: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
	}}
}

func TestTLS(t *testing.T) {
	good := keyPair(t, now.Add(time.Hour), "a.example", "*.wild.example", "127.0.0.1")
	other := keyPair(t, now.Add(time.Hour), "a.example")
	secrets := map[string]*corev1.Secret{
		"good":    good,
		"old":     keyPair(t, now.Add(-time.Minute), "a.example"),
		"unnamed": keyPair(t, now.Add(time.Hour)),
		"no-key":  {Data: map[string][]byte{corev1.TLSCertKey: good.Data[corev1.TLSCertKey]}},
		"bad-pem": {Data: map[string][]byte{corev1.TLSCertKey: []byte("x"), corev1.TLSPrivateKeyKey: []byte("y")}},
		"mixed": {Data: map[string][]byte{
			corev1.TLSCertKey: good.Data[corev1.TLSCertKey], corev1.TLSPrivateKeyKey: other.Data[corev1.TLSPrivateKeyKey],
		}},
	}
	for _, tc := range []struct {
		name     string
		secret   string
		hosts    []string
		served   bool
		problems []string
	}{
		{"good", "good", []string{"a.example", "x.wild.example", "*.wild.example"}, true, nil},
		{"no hosts", "good", nil, true, nil},
		{"another host", "good", []string{"b.example"}, true, []string{"a CertificateMismatch"}},
		{"expired", "old", []string{"a.example"}, true, []string{"a CertificateExpired"}},
		{"for nothing", "unnamed", []string{"a.example"}, false, []string{"a SecretInvalid"}},
		{"missing", "gone", []string{"a.example"}, false, []string{"a SecretNotFound"}},
		{"forbidden", "forbidden", []string{"a.example"}, false, []string{"a SecretInvalid"}},
		{"without key", "no-key", []string{"a.example"}, false, []string{"a SecretInvalid"}},
		{"bad PEM", "bad-pem", []string{"a.example"}, false, []string{"a SecretInvalid"}},
		{"two halves", "mixed", []string{"a.example"}, false, []string{"a SecretInvalid"}},
		{"the default certificate", "", []string{"a.example"}, false, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			objects := world(ingress("a", 1, networkingv1.IngressSpec{
				TLS:   []networkingv1.IngressTLS{{Hosts: tc.hosts, SecretName: tc.secret}},
				Rules: []networkingv1.IngressRule{rule("a.example", networkingv1.PathTypePrefix, "/", to("web", "80"))},
			}))
			objects.Secret = func(name types.NamespacedName) (*corev1.Secret, error) {
				if name.Name == "forbidden" {
					return nil, errors.New("forbidden")
				}
				return secrets[name.Name], nil
			}
			result := Build(objects)
			if served := len(result.Config.Certificates) == 1; served != tc.served {
				t.Errorf("certificates %v", result.Config.Certificates)
			}
			if !slices.Equal(reasons(result), tc.problems) {
				t.Errorf("problems %v", result.Problems)
			}
			// What is meant to be encrypted is, whatever became of the certificate.
			if result.Config.Routes[0].Secure != (len(tc.hosts) == 0) {
				t.Errorf("secure %v", result.Config.Routes[0].Secure)
			}
			if sorted := slices.Sorted(slices.Values(tc.hosts)); !slices.Equal(result.Config.SecureHosts, sorted) {
				t.Errorf("secure hosts %v", result.Config.SecureHosts)
			}
			objects.Parsed = result.Config.Certificates
			again := Build(objects)
			if !again.Config.Equal(&result.Config) {
				t.Error("the same objects gave another configuration")
			}
			if tc.served && again.Config.Certificates[0].Pair != result.Config.Certificates[0].Pair {
				t.Error("what was parsed before was parsed again")
			}
		})
	}
}

func TestSecretsOf(t *testing.T) {
	first := ingress("a", 1, networkingv1.IngressSpec{TLS: []networkingv1.IngressTLS{{SecretName: "two"}, {SecretName: "one"}, {}}})
	second := ingress("b", 1, networkingv1.IngressSpec{TLS: []networkingv1.IngressTLS{{SecretName: "two"}}})
	got := SecretsOf([]*networkingv1.Ingress{&first, &second})
	want := []types.NamespacedName{{Namespace: "shop", Name: "one"}, {Namespace: "shop", Name: "two"}}
	if !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}

func TestWhatIsNewIsNoticed(t *testing.T) {
	spec := networkingv1.IngressSpec{Rules: []networkingv1.IngressRule{rule("", networkingv1.PathTypePrefix, "/", to("web", "80"))}}
	objects := world(ingress("a", 1, spec))
	before := Build(objects).Config
	objects.Slices[types.NamespacedName{Namespace: "shop", Name: "web"}][0].Endpoints[0].Conditions.Ready = ref(false)
	after := Build(objects).Config
	if before.Equal(&after) {
		t.Error("an endpoint that is gone was not noticed")
	}
}
