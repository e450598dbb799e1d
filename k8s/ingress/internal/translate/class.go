package translate

import (
	"cmp"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"
)

// legacyClassAnnotation is what chose the class before spec.ingressClassName. An Ingress that still
// carries it does not ask for the default class.
const legacyClassAnnotation = "kubernetes.io/ingress.class"

// Ours returns the Ingresses of the classes that name the controller, oldest first.
func Ours(
	classes []networkingv1.IngressClass, ingresses []networkingv1.Ingress, controller string,
) []*networkingv1.Ingress {
	ourClasses := map[string]bool{}
	for _, class := range classes {
		ourClasses[class.Name] = class.Spec.Controller == controller
	}
	byDefault := ourClasses[defaultClass(classes)]

	var ours []*networkingv1.Ingress
	for i := range ingresses {
		ingress := &ingresses[i]
		wanted := ingress.Annotations[legacyClassAnnotation]
		if ingress.Spec.IngressClassName != nil {
			wanted = *ingress.Spec.IngressClassName
		}
		if ourClasses[wanted] || wanted == "" && byDefault {
			ours = append(ours, ingress)
		}
	}
	slices.SortFunc(ours, func(a, b *networkingv1.Ingress) int {
		return cmp.Or(
			a.CreationTimestamp.Compare(b.CreationTimestamp.Time),
			cmp.Compare(a.Namespace, b.Namespace),
			cmp.Compare(a.Name, b.Name),
		)
	})
	return ours
}

// defaultClass returns the name of the default class; of several the newest, as the API server's
// admission does it, then by name.
func defaultClass(classes []networkingv1.IngressClass) string {
	var chosen *networkingv1.IngressClass
	for i := range classes {
		class := &classes[i]
		if class.Annotations[networkingv1.AnnotationIsDefaultIngressClass] != "true" {
			continue
		}
		if chosen == nil || cmp.Or(
			class.CreationTimestamp.Compare(chosen.CreationTimestamp.Time),
			cmp.Compare(chosen.Name, class.Name),
		) > 0 {
			chosen = class
		}
	}
	if chosen == nil {
		return ""
	}
	return chosen.Name
}
