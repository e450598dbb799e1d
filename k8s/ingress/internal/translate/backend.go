package translate

import (
	"fmt"
	"net"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/types"

	"triptych/ingress/internal/model"
)

// backend takes a backend into the configuration and returns its key. One that cannot be used is
// there as well, without endpoints: its requests get an answer, not another rule's backend.
func (b *builder) backend(
	ingress *networkingv1.Ingress, wanted networkingv1.IngressBackend,
) string {
	if wanted.Service == nil {
		b.problem(ingress, BackendUnsupported, "a backend has to be a Service, not a resource")
		return b.keep(nameOf(ingress).String()+" resource", model.Backend{Protocol: model.HTTP})
	}
	name := types.NamespacedName{Namespace: ingress.Namespace, Name: wanted.Service.Name}
	port := wanted.Service.Port.Name
	if port == "" {
		port = strconv.Itoa(int(wanted.Service.Port.Number))
	}
	made := model.Backend{Service: name.String(), Protocol: model.HTTP}
	service := b.objects.Service(name)
	switch {
	case service == nil:
		b.problem(ingress, ServiceNotFound, "there is no Service "+name.String())
	case service.Spec.Type == corev1.ServiceTypeExternalName:
		b.problem(ingress, ServiceRefused, "Service "+name.String()+
			" is of type ExternalName, to which nothing is forwarded")
	default:
		found := servicePort(service, wanted.Service.Port)
		if found == nil {
			b.problem(ingress, ServicePortNotFound,
				fmt.Sprintf("Service %s has no port %s", name, port))
			break
		}
		// However the port was named, it is the same backend.
		port = strconv.Itoa(int(found.Port))
		made.Protocol = protocolOf(found.AppProtocol)
		made.Endpoints, made.Leaving = endpoints(service, found.Name, b.objects.Slices[name])
	}
	return b.keep(fmt.Sprintf("%s:%s %s", name, port, made.Protocol), made)
}

func (b *builder) keep(key string, made model.Backend) string {
	b.result.Config.Backends[key] = made
	return key
}

func servicePort(
	service *corev1.Service, wanted networkingv1.ServiceBackendPort,
) *corev1.ServicePort {
	for i := range service.Spec.Ports {
		port := &service.Spec.Ports[i]
		if port.Protocol != "" && port.Protocol != corev1.ProtocolTCP {
			continue
		}
		if wanted.Name != "" && port.Name == wanted.Name ||
			wanted.Name == "" && port.Port == wanted.Number {
			return port
		}
	}
	return nil
}

func protocolOf(appProtocol *string) model.Protocol {
	if appProtocol != nil {
		switch *appProtocol {
		case "https", "HTTPS", "kubernetes.io/wss":
			return model.HTTPS
		case "kubernetes.io/h2c":
			return model.H2C
		}
	}
	return model.HTTP
}

// endpoints returns the addresses behind a Service's port: those that are ready, and those that are
// going away but still serve. If none is ready the latter take their place, as with kube-proxy.
func endpoints(
	service *corev1.Service, portName string, found []*discoveryv1.EndpointSlice,
) (ready, leaving []string) {
	for _, family := range families(service) {
		ready, leaving = nil, nil
		for _, slice := range found {
			port := slicePort(slice, portName)
			if slice.AddressType != family || port == "" {
				continue
			}
			for _, endpoint := range slice.Endpoints {
				conditions := endpoint.Conditions
				for _, address := range endpoint.Addresses {
					target := net.JoinHostPort(address, port)
					switch {
					case isTrue(conditions.Ready, true):
						ready = append(ready, target)
					case isTrue(conditions.Serving, false) && isTrue(conditions.Terminating, false):
						leaving = append(leaving, target)
					}
				}
			}
		}
		slices.Sort(ready)
		slices.Sort(leaving)
		ready, leaving = slices.Compact(ready), slices.Compact(leaving)
		if len(ready) > 0 {
			return ready, leaving
		}
		if len(leaving) > 0 {
			return leaving, nil
		}
	}
	return nil, nil
}

// families returns the families of addresses, the Service's first one first. A Service of two has
// each pod twice; it is to be counted once.
func families(service *corev1.Service) []discoveryv1.AddressType {
	if len(service.Spec.IPFamilies) > 0 && service.Spec.IPFamilies[0] == corev1.IPv6Protocol {
		return []discoveryv1.AddressType{discoveryv1.AddressTypeIPv6, discoveryv1.AddressTypeIPv4}
	}
	return []discoveryv1.AddressType{discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6}
}

func slicePort(slice *discoveryv1.EndpointSlice, name string) string {
	for _, port := range slice.Ports {
		if port.Port == nil || (port.Protocol != nil && *port.Protocol != corev1.ProtocolTCP) {
			continue
		}
		if port.Name == nil && name == "" || port.Name != nil && *port.Name == name {
			return strconv.Itoa(int(*port.Port))
		}
	}
	return ""
}

func isTrue(condition *bool, unknown bool) bool {
	if condition == nil {
		return unknown
	}
	return *condition
}
