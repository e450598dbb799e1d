package translate

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/types"

	"triptych/ingress/internal/model"
)

// pair is what a Secret turned out to hold.
type pair struct {
	certificate *tls.Certificate
	fingerprint string
	reason      string // of the problem, if there is one
	message     string
}

// addTLS takes an Ingress' certificates and hosts. It tells whether all routes of the Ingress are
// to be reached by TLS alone, which is so if an entry is not limited to hosts.
func (b *builder) addTLS(ingress *networkingv1.Ingress) (secure bool) {
	for _, entry := range ingress.Spec.TLS {
		// Even if the certificate is amiss: what is meant to be encrypted is not sent in the clear.
		b.result.Config.SecureHosts = append(b.result.Config.SecureHosts, entry.Hosts...)
		secure = secure || len(entry.Hosts) == 0
		if entry.SecretName == "" {
			continue // The default certificate is asked for.
		}
		name := types.NamespacedName{Namespace: ingress.Namespace, Name: entry.SecretName}
		found := b.pair(name)
		if found.reason != "" {
			b.problem(ingress, found.reason, found.message)
			continue
		}
		b.checkCertificate(ingress, name, entry.Hosts, found.certificate)
		b.result.Config.Certificates = append(b.result.Config.Certificates, model.Certificate{
			Secret: name.String(), Hosts: entry.Hosts,
			Pair: found.certificate, Fingerprint: found.fingerprint,
		})
	}
	return secure
}

// checkCertificate tells of what clients will complain about. It is served all the same.
func (b *builder) checkCertificate(
	ingress *networkingv1.Ingress, name types.NamespacedName, hosts []string, served *tls.Certificate,
) {
	if leaf := served.Leaf; b.objects.Now.After(leaf.NotAfter) {
		b.problem(ingress, CertificateExpired, fmt.Sprintf("the certificate in Secret %s expired on %s",
			name, leaf.NotAfter.UTC().Format("2006-01-02")))
	}
	for _, host := range hosts {
		if served.Leaf.VerifyHostname(sample(host)) != nil {
			b.problem(ingress, CertificateMismatch, fmt.Sprintf(
				"the certificate in Secret %s is not for host %s", name, quoted(host)))
		}
	}
}

// sample returns a host that a wildcard stands for.
func sample(host string) string {
	if len(host) > 0 && host[0] == '*' {
		return "any" + host[1:]
	}
	return host
}

// pair reads a Secret, once.
func (b *builder) pair(name types.NamespacedName) pair {
	if known, ok := b.pairs[name]; ok {
		return known
	}
	read := b.readPair(name)
	b.pairs[name] = read
	return read
}

func (b *builder) readPair(name types.NamespacedName) pair {
	secret, err := b.objects.Secret(name)
	if err != nil {
		return pair{reason: SecretInvalid, message: fmt.Sprintf("Secret %s cannot be read: %v", name, err)}
	}
	if secret == nil {
		return pair{reason: SecretNotFound, message: "there is no Secret " + name.String()}
	}
	fingerprint := fingerprintOf(secret.Data)
	for _, known := range b.objects.Parsed {
		if known.Fingerprint == fingerprint {
			return pair{certificate: known.Pair, fingerprint: fingerprint}
		}
	}
	certificate, err := parsePair(secret.Data)
	if err != nil {
		return pair{reason: SecretInvalid, message: fmt.Sprintf("Secret %s: %v", name, err)}
	}
	return pair{certificate: certificate, fingerprint: fingerprint}
}

func fingerprintOf(data map[string][]byte) string {
	certificate := sha256.Sum256(data[corev1.TLSCertKey])
	key := sha256.Sum256(data[corev1.TLSPrivateKeyKey])
	return hex.EncodeToString(certificate[:]) + hex.EncodeToString(key[:])
}

func parsePair(data map[string][]byte) (*tls.Certificate, error) {
	for _, key := range []string{corev1.TLSCertKey, corev1.TLSPrivateKeyKey} {
		if len(data[key]) == 0 {
			return nil, errors.New(key + " is missing")
		}
	}
	parsed, err := tls.X509KeyPair(data[corev1.TLSCertKey], data[corev1.TLSPrivateKeyKey])
	if err != nil {
		return nil, err
	}
	leaf := parsed.Leaf
	if len(leaf.DNSNames) == 0 && len(leaf.IPAddresses) == 0 {
		return nil, errors.New("the certificate names no host and no address")
	}
	return &parsed, nil
}
