// Package translate turns the objects of the Kubernetes API into the configuration of the proxy.
// What is wrong with one object is told as a problem of that object, and takes nothing else down.
package translate

import (
	"cmp"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/types"

	"triptych/ingress/internal/model"
)

// Objects is what the configuration is made from. Nothing in it is changed.
type Objects struct {
	Classes    []networkingv1.IngressClass
	Ingresses  []networkingv1.Ingress
	Service    func(types.NamespacedName) *corev1.Service
	Slices     map[types.NamespacedName][]*discoveryv1.EndpointSlice // by Service
	Secret     func(types.NamespacedName) (*corev1.Secret, error)    // nil if there is none
	Controller string                                                // spec.controller of our classes
	Parsed     []model.Certificate                                   // from before: parsing takes the longest
	Now        time.Time
}

// Reasons of problems, as events have them.
const (
	ServiceNotFound     = "ServiceNotFound"
	ServicePortNotFound = "ServicePortNotFound"
	ServiceRefused      = "ServiceRefused"
	BackendUnsupported  = "BackendUnsupported"
	SecretNotFound      = "SecretNotFound"
	SecretInvalid       = "SecretInvalid"
	CertificateMismatch = "CertificateMismatch"
	CertificateExpired  = "CertificateExpired"
	Conflict            = "Conflict"
)

// Problem is something wrong with an Ingress, or with what it refers to.
type Problem struct {
	Ingress types.NamespacedName
	Reason  string
	Message string
}

// Result is a configuration, and what was wrong on the way to it.
type Result struct {
	Config   model.Config
	Problems []Problem
	Ours     []*networkingv1.Ingress // those that the configuration is made from, oldest first
}

// Build makes the configuration.
func Build(objects Objects) Result {
	b := builder{
		objects: objects,
		taken:   map[claim]string{},
		pairs:   map[types.NamespacedName]pair{},
	}
	b.result.Config.Backends = map[string]model.Backend{}
	b.result.Ours = Ours(objects.Classes, objects.Ingresses, objects.Controller)
	for _, ingress := range b.result.Ours {
		b.add(ingress)
	}
	slices.Sort(b.result.Config.SecureHosts)
	b.result.Config.SecureHosts = slices.Compact(b.result.Config.SecureHosts)
	return b.result
}

// SecretsOf returns the names of the Secrets that Ingresses refer to, sorted.
func SecretsOf(ingresses []*networkingv1.Ingress) []types.NamespacedName {
	var names []types.NamespacedName
	for _, ingress := range ingresses {
		for _, entry := range ingress.Spec.TLS {
			if entry.SecretName != "" {
				names = append(names, types.NamespacedName{
					Namespace: ingress.Namespace, Name: entry.SecretName,
				})
			}
		}
	}
	slices.SortFunc(names, func(a, b types.NamespacedName) int {
		return cmp.Compare(a.String(), b.String())
	})
	return slices.Compact(names)
}

type builder struct {
	objects Objects
	result  Result
	taken   map[claim]string // the Ingress that has it
	pairs   map[types.NamespacedName]pair
}

// claim is what only one Ingress can have.
type claim struct {
	host, path string
	match      model.Match
}

func nameOf(ingress *networkingv1.Ingress) types.NamespacedName {
	return types.NamespacedName{Namespace: ingress.Namespace, Name: ingress.Name}
}

func (b *builder) problem(ingress *networkingv1.Ingress, reason, message string) {
	found := Problem{Ingress: nameOf(ingress), Reason: reason, Message: message}
	if !slices.Contains(b.result.Problems, found) {
		b.result.Problems = append(b.result.Problems, found)
	}
}

// add takes an Ingress into the configuration.
func (b *builder) add(ingress *networkingv1.Ingress) {
	secure := b.addTLS(ingress)
	var hosts []string
	for _, rule := range ingress.Spec.Rules {
		hosts = append(hosts, rule.Host)
		if rule.HTTP == nil {
			continue
		}
		for _, path := range rule.HTTP.Paths {
			b.addRoute(ingress, path.Backend, model.Route{
				Host: rule.Host, Path: path.Path, Match: matchOf(path.PathType), Secure: secure,
			})
		}
	}
	if ingress.Spec.DefaultBackend == nil {
		return
	}
	// It is the default of the hosts that the Ingress names; of every host if it names none.
	if len(hosts) == 0 {
		hosts = []string{""}
	}
	slices.Sort(hosts)
	for _, host := range slices.Compact(hosts) {
		b.addRoute(ingress, *ingress.Spec.DefaultBackend, model.Route{
			Host: host, Match: model.Fallback, Secure: secure,
		})
	}
}

func (b *builder) addRoute(
	ingress *networkingv1.Ingress, backend networkingv1.IngressBackend, route model.Route,
) {
	wanted := claim{route.Host, route.Path, route.Match}
	if route.Match == model.Prefix {
		wanted.path = strings.TrimRight(route.Path, "/") // A slash at the end makes no difference.
	}
	name := nameOf(ingress).String()
	if holder, taken := b.taken[wanted]; taken {
		b.problem(ingress, Conflict, "host "+quoted(route.Host)+", path "+quoted(route.Path)+
			" is taken by Ingress "+holder+", which is older: this rule is left out")
		return
	}
	b.taken[wanted] = name
	route.Ingress = name
	route.Backend = b.backend(ingress, backend)
	b.result.Config.Routes = append(b.result.Config.Routes, route)
}

func matchOf(pathType *networkingv1.PathType) model.Match {
	if pathType != nil && *pathType == networkingv1.PathTypeExact {
		return model.Exact
	}
	// ImplementationSpecific is Prefix here.
	return model.Prefix
}

func quoted(text string) string { return `"` + text + `"` }
