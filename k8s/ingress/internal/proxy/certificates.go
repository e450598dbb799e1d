package proxy

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"net/netip"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddytls"
	"github.com/caddyserver/certmagic"

	"triptych/ingress/internal/model"
	"triptych/ingress/internal/routing"
)

// certificates chooses the certificate of a connection. It does not change.
type certificates struct {
	given     routing.Hosts[*tls.Certificate] // by the hosts they were given for
	named     routing.Hosts[*tls.Certificate] // by the hosts they name
	addresses map[netip.Addr]*tls.Certificate
	unnamed   *tls.Certificate // for clients that name no host
	fallback  *tls.Certificate // for hosts that have none
}

// newCertificates makes the choice out of a list, in which the first one counts; spare is for when
// nothing else is there.
func newCertificates(list []model.Certificate, spare *tls.Certificate) *certificates {
	c := &certificates{
		given:     routing.NewHosts[*tls.Certificate](),
		named:     routing.NewHosts[*tls.Certificate](),
		addresses: map[netip.Addr]*tls.Certificate{},
	}
	for _, entry := range list {
		for _, host := range entry.Hosts {
			c.given.Add(host, entry.Pair)
		}
		for _, host := range entry.Pair.Leaf.DNSNames {
			c.named.Add(host, entry.Pair)
		}
		for _, ip := range entry.Pair.Leaf.IPAddresses {
			address, _ := netip.AddrFromSlice(ip)
			if _, taken := c.addresses[address.Unmap()]; !taken {
				c.addresses[address.Unmap()] = entry.Pair
			}
			if c.unnamed == nil {
				c.unnamed = entry.Pair
			}
		}
		if c.fallback == nil {
			c.fallback = entry.Pair
		}
	}
	if c.fallback == nil {
		c.fallback = spare
	}
	if c.unnamed == nil {
		c.unnamed = c.fallback
	}
	return c
}

// choose returns the certificate for a client that named a server, or that connected to an address.
// Where the address is not the one that the client knows (behind a node port it is the pod's), a
// certificate that has any address is the best guess.
func (c *certificates) choose(server string, local net.Addr) *tls.Certificate {
	host := routing.Hostname(server)
	if address, err := netip.ParseAddr(host); err == nil {
		if found, ok := c.addresses[address.Unmap()]; ok {
			return found
		}
		host = ""
	}
	if host == "" {
		if found, ok := c.addresses[addressOf(local)]; ok {
			return found
		}
		return c.unnamed
	}
	for _, hosts := range []routing.Hosts[*tls.Certificate]{c.given, c.named} {
		if found, ok := hosts.Lookup(host); ok {
			return found
		}
	}
	return c.fallback
}

func addressOf(local net.Addr) netip.Addr {
	if local, ok := local.(*net.TCPAddr); ok {
		return local.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

// selfSigned makes the certificate for when there is no other.
func selfSigned() (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()),
		Subject:      pkix.Name{CommonName: "no certificate is configured"},
		DNSNames:     []string{"ingress.invalid"},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.AddDate(10, 0, 0),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}

func init() {
	caddy.RegisterModule(certificateSource{})
	caddy.RegisterModule(noIssuance{})
}

// certificateSource gives Caddy the certificate of each handshake.
type certificateSource struct{}

// CaddyModule returns the module's information.
func (certificateSource) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "tls.get_certificate.ingress",
		New: func() caddy.Module { return new(certificateSource) },
	}
}

// GetCertificate implements certmagic.Manager.
func (certificateSource) GetCertificate(
	_ context.Context, hello *tls.ClientHelloInfo,
) (*tls.Certificate, error) {
	return running.Load().state.Load().certificates.choose(hello.ServerName, hello.Conn.LocalAddr()), nil
}

// noIssuance keeps Caddy from asking a certificate authority for anything.
type noIssuance struct{}

// CaddyModule returns the module's information.
func (noIssuance) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "tls.permission.ingress",
		New: func() caddy.Module { return new(noIssuance) },
	}
}

// CertificateAllowed implements caddytls.OnDemandPermission.
func (noIssuance) CertificateAllowed(context.Context, string) error {
	return caddytls.ErrPermissionDenied
}

var (
	_ certmagic.Manager           = certificateSource{}
	_ caddytls.OnDemandPermission = noIssuance{}
)
