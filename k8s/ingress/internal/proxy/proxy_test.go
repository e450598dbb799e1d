package proxy

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"triptych/ingress/internal/model"
)

// rig is a proxy on real sockets.
type rig struct {
	*Proxy
	https, http string
}

func start(t *testing.T) *rig {
	t.Helper()
	r := &rig{https: freeAddress(t), http: freeAddress(t)}
	var err error
	r.Proxy, err = Start(Options{
		HTTPSAddress: r.https,
		HTTPAddress:  r.http,
		RedirectPort: 443,
		GracePeriod:  3 * time.Second,
		Log:          slog.New(slog.DiscardHandler),
		Metrics:      prometheus.NewRegistry(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Stop() })
	return r
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

func (r *rig) apply(t *testing.T, config model.Config) {
	t.Helper()
	if _, err := r.Apply(config); err != nil {
		t.Fatal(err)
	}
}

// to makes a configuration in which everything goes to one backend.
func to(protocol model.Protocol, addresses ...string) model.Config {
	return model.Config{
		Routes:   []model.Route{{Path: "/", Backend: "b", Ingress: "shop/all"}},
		Backends: map[string]model.Backend{"b": {Service: "shop/b", Protocol: protocol, Endpoints: addresses}},
	}
}

// client has connections of its own, and trusts nobody in particular.
func client(t *testing.T, http2 bool) *http.Client {
	t.Helper()
	transport := &http.Transport{
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
		ForceAttemptHTTP2: http2,
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport: transport,
		Timeout:   10 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		},
	}
}

func get(t *testing.T, c *http.Client, url string, headers ...string) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			request.Host = headers[i+1]
		}
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := c.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

func serve(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

func named(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, name) }
}

func TestProblems(t *testing.T) {
	r := start(t)
	check := func(path string, status int) {
		t.Helper()
		response, body := get(t, client(t, false), "https://"+r.https+path)
		var details struct{ Status int }
		if err := json.Unmarshal([]byte(body), &details); err != nil {
			t.Fatalf("%q: %v", body, err)
		}
		if response.StatusCode != status || details.Status != status ||
			response.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d, %v, %s", path, response.StatusCode, response.Header, body)
		}
		if (response.Header.Get("Retry-After") != "") != (status == http.StatusServiceUnavailable) {
			t.Errorf("%s: Retry-After %q", path, response.Header.Get("Retry-After"))
		}
		if response.Header.Get("Server") != "" {
			t.Errorf("%s: names itself %q", path, response.Header.Get("Server"))
		}
	}
	check("/", http.StatusServiceUnavailable)
	r.apply(t, model.Config{
		Routes: []model.Route{
			{Path: "/empty", Backend: "empty"}, {Path: "/dead", Backend: "dead"}, {Path: "/rude", Backend: "rude"},
		},
		Backends: map[string]model.Backend{
			"empty": {Protocol: model.HTTP},
			"dead":  {Protocol: model.HTTP, Endpoints: []string{freeAddress(t)}},
			"rude": {Protocol: model.HTTP, Endpoints: []string{serve(t, func(http.ResponseWriter, *http.Request) {
				panic(http.ErrAbortHandler)
			})}},
		},
	})
	check("/", http.StatusNotFound)
	check("/empty", http.StatusServiceUnavailable)
	check("/dead", http.StatusBadGateway)
	check("/rude", http.StatusBadGateway)
}

func TestForwardedHeaders(t *testing.T) {
	r := start(t)
	backend := serve(t, func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set("Host", r.Host)
		_ = json.NewEncoder(w).Encode(r.Header)
	})
	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set("Host", r.Host)
		_ = json.NewEncoder(w).Encode(r.Header)
	}))
	defer secure.Close()
	for _, tc := range []struct {
		scheme, address string
		config          model.Config
	}{
		{"https", r.https, to(model.HTTP, backend)},
		{"http", r.http, to(model.HTTP, backend)},
		{"https", r.https, to(model.HTTPS, secure.Listener.Addr().String())},
	} {
		r.apply(t, model.Config{}) // A backend of another protocol has another key; not so here.
		r.apply(t, tc.config)
		_, body := get(t, client(t, false), tc.scheme+"://"+tc.address, "Host", "shop.example:8443",
			"X-Forwarded-For", "6.6.6.6", "X-Forwarded-Proto", "gopher", "X-Forwarded-Host", "evil.example",
			"X-Forwarded-Prefix", "/x", "X-Real-Ip", "6.6.6.6", "Forwarded", "for=6.6.6.6")
		var seen http.Header
		if err := json.Unmarshal([]byte(body), &seen); err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]string{
			"Host": "shop.example:8443", "X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": tc.scheme,
			"X-Forwarded-Host": "shop.example:8443", "X-Forwarded-Prefix": "", "X-Real-Ip": "", "Forwarded": "",
		} {
			if got := strings.Join(seen[name], "|"); got != want {
				t.Errorf("%s: %s is %q, want %q", tc.scheme, name, got, want)
			}
		}
	}
}

func TestRedirect(t *testing.T) {
	r := start(t)
	config := to(model.HTTP, serve(t, named("plain")))
	config.SecureHosts = []string{"secure.example", "*.wild.example"}
	config.Routes = append(config.Routes, model.Route{Host: "all.example", Path: "/", Backend: "b", Secure: true})
	r.apply(t, config)
	for host, location := range map[string]string{
		"secure.example":      "https://secure.example/a?b=c",
		"SECURE.example:8080": "https://SECURE.example/a?b=c",
		"x.wild.example":      "https://x.wild.example/a?b=c",
		"all.example":         "https://all.example/a?b=c",
		"plain.example":       "",
	} {
		response, body := get(t, client(t, false), "http://"+r.http+"/a?b=c", "Host", host)
		if got := response.Header.Get("Location"); got != location {
			t.Errorf("%s: to %q, want %q", host, got, location)
		}
		if location == "" && body != "plain" || location != "" && response.StatusCode != http.StatusPermanentRedirect {
			t.Errorf("%s: %d %s", host, response.StatusCode, body)
		}
		if _, body := get(t, client(t, false), "https://"+r.https+"/a?b=c", "Host", host); body != "plain" {
			t.Errorf("%s by TLS: %s", host, body)
		}
	}
}

func TestCertificates(t *testing.T) {
	r := start(t)
	one := certificate(t, "one.example", "*.one.example")
	two := certificate(t, "two.example", "one.example", "127.0.0.1", "10.0.0.9")
	config := to(model.HTTP, serve(t, named("b")))
	config.Certificates = []model.Certificate{
		{Secret: "shop/one", Pair: one, Fingerprint: "1"},
		{Secret: "shop/two", Pair: two, Fingerprint: "2", Hosts: []string{"given.example", "*.given.example"}},
	}

	leaf := func(server string) *x509.Certificate {
		t.Helper()
		connection, err := tls.Dial("tcp", r.https, &tls.Config{ServerName: server, InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer connection.Close()
		return connection.ConnectionState().PeerCertificates[0]
	}
	if leaf("any.example").DNSNames[0] != "ingress.invalid" {
		t.Error("without certificates there is not the spare one")
	}
	r.apply(t, config)
	for server, want := range map[string]*tls.Certificate{
		"one.example": one, "X.one.example": one, "two.example": two, "given.example": two,
		"x.given.example": two, "x.y.one.example": one, "unknown.example": one,
		"127.0.0.1": two, // Go sends no server name then: by the address connected to.
	} {
		if !leaf(server).Equal(want.Leaf) {
			t.Errorf("%s: got that of %v", server, leaf(server).DNSNames)
		}
	}
	// A renewed certificate counts from the next connection on.
	renewed := certificate(t, "one.example")
	config.Certificates = slices.Clone(config.Certificates)
	config.Certificates[0] = model.Certificate{Secret: "shop/one", Pair: renewed, Fingerprint: "3"}
	r.apply(t, config)
	if !leaf("one.example").Equal(renewed.Leaf) {
		t.Error("the renewed certificate is not served")
	}
}

func TestCertificateForAddresses(t *testing.T) {
	one, two := certificate(t, "one.example"), certificate(t, "two.example", "10.0.0.9")
	choice := newCertificates([]model.Certificate{{Pair: one}, {Pair: two}}, nil)
	pod := &net.TCPAddr{IP: net.IPv4(10, 244, 0, 7), Port: 8443}
	for server, want := range map[string]*tls.Certificate{"": two, "10.0.0.9": two, "::ffff:10.0.0.9": two, "10.0.0.8": two, "x": one} {
		if choice.choose(server, pod) != want {
			t.Errorf("%q: another certificate", server)
		}
	}
	if newCertificates([]model.Certificate{{Pair: one}}, nil).choose("", pod) != one {
		t.Error("no certificate has an address: not the first one")
	}
}

func TestHTTP2(t *testing.T) {
	r := start(t)
	backend := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Proto)
	}))
	backend.EnableHTTP2 = true
	backend.StartTLS()
	defer backend.Close()
	old := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Proto)
	}))
	defer old.Close()
	clear := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Proto)
	}))
	clear.Config.Protocols = new(http.Protocols)
	clear.Config.Protocols.SetUnencryptedHTTP2(true)
	clear.Start()
	defer clear.Close()
	r.apply(t, model.Config{
		Routes: []model.Route{{Path: "/h2", Backend: "h2"}, {Path: "/h1", Backend: "h1"}, {Path: "/h2c", Backend: "h2c"}},
		Backends: map[string]model.Backend{
			"h2":  {Protocol: model.HTTPS, Endpoints: []string{backend.Listener.Addr().String()}},
			"h1":  {Protocol: model.HTTPS, Endpoints: []string{old.Listener.Addr().String()}},
			"h2c": {Protocol: model.H2C, Endpoints: []string{clear.Listener.Addr().String()}},
		},
	})
	for path, want := range map[string]string{"/h2": "HTTP/2.0", "/h1": "HTTP/1.1", "/h2c": "HTTP/2.0"} {
		response, body := get(t, client(t, true), "https://"+r.https+path)
		if response.ProtoMajor != 2 {
			t.Errorf("client got %s", response.Proto)
		}
		if body != want {
			t.Errorf("%s: backend got %q, want %s", path, body, want)
		}
	}
}

// upgraded answers an upgrade, and echoes lines from then on.
func upgraded(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") != "websocket" {
		http.Error(w, "no upgrade", http.StatusBadRequest)
		return
	}
	connection, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer connection.Close()
	_, _ = io.WriteString(connection, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	for {
		line, err := buffered.ReadString('\n')
		if err != nil {
			return
		}
		_, _ = io.WriteString(connection, "echo "+line)
	}
}

func upgrade(t *testing.T, address string) (net.Conn, *bufio.Reader) {
	t.Helper()
	connection, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	_ = connection.SetDeadline(time.Now().Add(10 * time.Second))
	_, _ = io.WriteString(connection,
		"GET / HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n")
	reader := bufio.NewReader(connection)
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("upgrade: %s", response.Status)
	}
	return connection, reader
}

func echo(t *testing.T, connection net.Conn, reader *bufio.Reader, text string) {
	t.Helper()
	_, _ = io.WriteString(connection, text+"\n")
	if line, err := reader.ReadString('\n'); err != nil || line != "echo "+text+"\n" {
		t.Fatalf("echo: %q, %v", line, err)
	}
}

func TestUpgradeSurvivesChanges(t *testing.T) {
	r := start(t)
	secure := httptest.NewUnstartedServer(http.HandlerFunc(upgraded))
	secure.EnableHTTP2 = true // Offered, but of no use to an upgrade.
	secure.StartTLS()
	defer secure.Close()
	r.apply(t, to(model.HTTPS, secure.Listener.Addr().String()))
	connection, reader := upgrade(t, r.https)
	echo(t, connection, reader, "one")
	r.apply(t, to(model.HTTPS, serve(t, named("another"))))
	echo(t, connection, reader, "two")
	r.apply(t, model.Config{})
	echo(t, connection, reader, "three")
}

func TestSameConfigurationIsNotAppliedAgain(t *testing.T) {
	r := start(t)
	for i, want := range []bool{true, false, true, false} {
		address := fmt.Sprintf("127.0.0.1:%d", 1000+i/2)
		if changed, err := r.Apply(to(model.HTTP, address)); err != nil || changed != want {
			t.Errorf("%d: changed %v, %v", i, changed, err)
		}
	}
	before := r.state.Load().backends["b"]
	r.apply(t, to(model.HTTP, "127.0.0.1:1"))
	if r.state.Load().backends["b"] != before {
		t.Error("another endpoint made another backend")
	}
}

func TestConnectionsAndSafeMethodsAreRetried(t *testing.T) {
	r := start(t)
	var asked atomic.Int64
	alive := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = w.Write(body)
	})
	rude := serve(t, func(http.ResponseWriter, *http.Request) {
		asked.Add(1)
		panic(http.ErrAbortHandler)
	})
	r.apply(t, to(model.HTTP, freeAddress(t), alive, freeAddress(t)))
	c := client(t, true)
	for i := range 30 {
		text := fmt.Sprint("body ", i)
		response, err := c.Post("https://"+r.https, "text/plain", strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if response.StatusCode != http.StatusOK || string(body) != text {
			t.Fatalf("%d: %d %q", i, response.StatusCode, body)
		}
	}
	ask := func(method string) int {
		asked.Store(0)
		request, _ := http.NewRequest(method, "https://"+r.https, nil)
		response, err := c.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		return response.StatusCode
	}
	r.apply(t, to(model.HTTP, rude))
	if status := ask(http.MethodPost); status != http.StatusBadGateway || asked.Load() != 1 {
		t.Errorf("POST: %d after %d requests", status, asked.Load())
	}
	if status := ask(http.MethodGet); status != http.StatusBadGateway || asked.Load() != 1+retries {
		t.Errorf("GET: %d after %d requests", status, asked.Load())
	}
	r.apply(t, to(model.HTTP, rude, alive))
	for range 10 {
		if status := ask(http.MethodGet); status != http.StatusOK {
			t.Errorf("GET with another endpoint: %d", status)
		}
	}
}

func TestTurns(t *testing.T) {
	e := newEndpoints([]string{"a", "b", "c"}, nil)
	seen := map[string]int{}
	for range 30 {
		chosen, _ := e.next(nil)
		seen[chosen]++
	}
	if seen["a"] != 10 || seen["b"] != 10 || seen["c"] != 10 {
		t.Errorf("shares %v", seen)
	}
	e.cool("b")
	for range 30 {
		if chosen, _ := e.next(nil); chosen == "b" {
			t.Fatal("one that cannot be connected to is asked")
		}
	}
	if chosen, _ := e.next([]string{"a", "c"}); chosen != "b" {
		t.Errorf("all others have been tried: %s", chosen)
	}
	if chosen, ok := e.next([]string{"a", "b", "c"}); !ok || chosen == "" {
		t.Error("all have been tried: none")
	}
	e.update([]string{"b"}, nil)
	if e.isCooling("b") {
		t.Error("still passed over after a change")
	}
}

func TestLeavingIsAskedWhereNoOtherTakesIt(t *testing.T) {
	r := start(t)
	taken := func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "leaving") }
	config := to(model.HTTP, "127.0.0.1:1")
	backend := config.Backends["b"]
	backend.Leaving = []string{serve(t, taken)}
	config.Backends["b"] = backend
	r.apply(t, config)
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		request, _ := http.NewRequest(method, "https://"+r.https+"/", nil)
		response, err := client(t, false).Do(request)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if response.StatusCode != http.StatusOK || string(text) != "leaving" {
			t.Errorf("%s: %d %s", method, response.StatusCode, text)
		}
	}

	e := newEndpoints([]string{"a", "b"}, []string{"gone"})
	for range 10 {
		if chosen, _ := e.next(nil); chosen == "gone" {
			t.Fatal("one that is going away is asked")
		}
	}
	e.cool("a")
	if chosen, _ := e.next([]string{"b"}); chosen != "gone" {
		t.Errorf("%s is asked, which can't be connected to", chosen)
	}
	if chosen, _ := e.next([]string{"b", "gone"}); chosen != "a" {
		t.Errorf("all others have been tried: %s", chosen)
	}
}

// load keeps asking, each worker on connections of its own, until stopped; it returns the failures.
func load(t *testing.T, url string, ok func(*http.Response, string) bool) (stop func() (total int, failed []string)) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var (
		workers sync.WaitGroup
		mu      sync.Mutex
		total   int
		failed  []string
	)
	for i := range 6 {
		c := client(t, i%2 == 0)
		workers.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				method, body := http.MethodGet, io.Reader(nil)
				if n%2 == 1 {
					// Go repeats no POST by itself, so a dropped connection cannot hide.
					method, body = http.MethodPost, io.MultiReader(strings.NewReader("body"))
				}
				request, _ := http.NewRequest(method, url, body)
				response, err := c.Do(request)
				what := ""
				if err != nil {
					what = err.Error()
				} else {
					text, readErr := io.ReadAll(response.Body)
					_ = response.Body.Close()
					if readErr != nil || !ok(response, string(text)) {
						what = fmt.Sprint(response.Status, string(text), readErr)
					}
				}
				mu.Lock()
				total++
				if what != "" {
					failed = append(failed, what)
				}
				mu.Unlock()
			}
		})
	}
	return func() (int, []string) {
		cancel()
		workers.Wait()
		return total, failed
	}
}

func TestNothingIsDroppedByChanges(t *testing.T) {
	r := start(t)
	var connections atomic.Int64
	backends := make([]string, 3)
	for i := range backends {
		backends[i] = serve(t, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			_, _ = io.WriteString(w, "ok")
		})
	}
	first := to(model.HTTP, backends...)
	r.apply(t, first)

	// A client that sends now and then: its connection is idle while things change.
	idle := client(t, false)
	idle.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		connections.Add(1)
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	// And a request that is under way all the time.
	release := make(chan struct{})
	slow := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "begin ")
		_ = http.NewResponseController(w).Flush()
		<-release
		_, _ = io.WriteString(w, "end")
	})
	withSlow := to(model.HTTP, backends...)
	withSlow.Routes = append(withSlow.Routes, model.Route{Path: "/slow", Backend: "slow"})
	withSlow.Backends["slow"] = model.Backend{Protocol: model.HTTP, Endpoints: []string{slow}}
	r.apply(t, withSlow)
	underWay, err := client(t, false).Get("https://" + r.https + "/slow")
	if err != nil {
		t.Fatal(err)
	}
	defer underWay.Body.Close()

	stop := load(t, "https://"+r.https+"/", func(response *http.Response, body string) bool {
		return response.StatusCode == http.StatusOK && body == "ok"
	})
	pairs := []*tls.Certificate{certificate(t, "a.example"), certificate(t, "a.example")}
	for i := range 60 {
		next := to(model.HTTP, backends[i%3], backends[(i+1)%3])
		// Routes, backends and certificates come and go as well.
		extra := fmt.Sprint("extra", i%5)
		next.Routes = append(next.Routes, model.Route{Host: extra, Path: "/", Backend: extra, Ingress: "shop/" + extra})
		next.Backends[extra] = model.Backend{Protocol: model.HTTPS, Endpoints: []string{backends[i%3]}}
		next.Certificates = []model.Certificate{{Secret: "s", Pair: pairs[i%2], Fingerprint: fmt.Sprint(i % 2)}}
		if i%7 == 0 { // The backend itself is another one.
			next.Backends["c"] = next.Backends["b"]
			next.Routes[0].Backend = "c"
			delete(next.Backends, "b")
		}
		r.apply(t, next)
		if _, body := get(t, idle, "https://"+r.https); body != "ok" {
			t.Errorf("idle client got %q", body)
		}
		time.Sleep(15 * time.Millisecond)
	}
	close(release)
	if body, err := io.ReadAll(underWay.Body); err != nil || string(body) != "begin end" {
		t.Errorf("request under way: %q, %v", body, err)
	}
	total, failed := stop()
	if len(failed) > 0 {
		t.Errorf("%d of %d failed, the first: %s", len(failed), total, failed[0])
	}
	if total < 100 {
		t.Errorf("only %d requests: no steady traffic", total)
	}
	if connections.Load() != 1 {
		t.Errorf("the idle client needed %d connections", connections.Load())
	}
}

func TestNothingIsDroppedByARollingUpdate(t *testing.T) {
	r := start(t)
	pod := func() *httptest.Server {
		return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			time.Sleep(time.Millisecond)
			_, _ = io.WriteString(w, "ok")
		}))
	}
	address := func(pod *httptest.Server) string { return pod.Listener.Addr().String() }
	pods := []*httptest.Server{pod(), pod()}
	r.apply(t, to(model.HTTP, address(pods[0]), address(pods[1])))
	stop := load(t, "https://"+r.https+"/", func(response *http.Response, _ string) bool {
		return response.StatusCode == http.StatusOK
	})
	for range 10 {
		fresh := pod()
		leaving := pods[0]
		pods = []*httptest.Server{pods[1], fresh}
		r.apply(t, to(model.HTTP, address(pods[0]), address(pods[1])))
		// The pod has its preStop delay, in which it serves what is under way.
		time.Sleep(50 * time.Millisecond)
		leaving.Close()
	}
	total, failed := stop()
	for _, pod := range pods {
		pod.Close()
	}
	if len(failed) > 0 || total < 100 {
		t.Errorf("%d of %d failed: %v", len(failed), total, failed)
	}
}

func TestDrain(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		t.Run(fmt.Sprint("HTTP/2 ", http2), func(t *testing.T) {
			r := start(t)
			entered, release := make(chan struct{}), make(chan struct{})
			config := to(model.HTTP, serve(t, named("ok")))
			config.Routes = append(config.Routes, model.Route{Path: "/slow", Backend: "slow"})
			config.Backends["slow"] = model.Backend{Protocol: model.HTTP, Endpoints: []string{
				serve(t, func(w http.ResponseWriter, _ *http.Request) {
					close(entered)
					<-release
					_, _ = io.WriteString(w, "done")
				}),
			}}
			r.apply(t, config)

			slow := make(chan string, 1)
			c := client(t, http2)
			go func() {
				response, err := c.Get("https://" + r.https + "/slow")
				if err != nil {
					slow <- err.Error()
					return
				}
				defer response.Body.Close()
				body, err := io.ReadAll(response.Body)
				slow <- fmt.Sprint(string(body), err)
			}()
			<-entered

			r.Drain()
			other := client(t, http2)
			if response, body := get(t, other, "https://"+r.https); body != "ok" || !http2 && !response.Close {
				t.Errorf("while draining: %q, close %v", body, response.Close)
			}
			stopped := make(chan error, 1)
			go func() { stopped <- r.Stop() }()
			deadline := time.Now().Add(2 * time.Second)
			for {
				connection, err := net.Dial("tcp", r.https)
				if err != nil {
					break
				}
				_ = connection.Close()
				if time.Now().After(deadline) {
					t.Fatal("still listening")
				}
				time.Sleep(5 * time.Millisecond)
			}
			select {
			case <-stopped:
				t.Fatal("stopped before the request was done")
			default:
			}
			close(release)
			if got := <-slow; got != "done<nil>" {
				t.Errorf("request under way: %s", got)
			}
			select {
			case err := <-stopped:
				if err != nil {
					t.Error(err)
				}
			case <-time.After(2 * time.Second):
				t.Error("not stopped though nothing is left to do")
			}
		})
	}
}

func TestGracePeriodEnds(t *testing.T) {
	r := start(t)
	r.apply(t, to(model.HTTP, serve(t, upgraded)))
	connection, reader := upgrade(t, r.https)
	echo(t, connection, reader, "one")
	started := time.Now()
	if err := r.Stop(); err != nil {
		t.Fatal(err)
	}
	if taken := time.Since(started); taken < 2*time.Second || taken > 8*time.Second {
		t.Errorf("a grace period of 3 s took %v", taken)
	}
	if line, err := reader.ReadString('\n'); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the upgraded connection is still there: %q", line)
	}
}

func TestLargeAndStreamedBodies(t *testing.T) {
	r := start(t)
	next := make(chan string)
	r.apply(t, to(model.HTTP, serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			_, _ = io.Copy(w, r.Body)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		_ = http.NewResponseController(w).Flush()
		for text := range next {
			_, _ = io.WriteString(w, text)
			_ = http.NewResponseController(w).Flush()
		}
	})))
	c := client(t, true)
	large := strings.Repeat("0123456789abcdef", 1<<18)
	response, err := c.Post("https://"+r.https, "text/plain", strings.NewReader(large))
	if err != nil {
		t.Fatal(err)
	}
	back, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	if err != nil || string(back) != large {
		t.Errorf("%d bytes of %d came back, %v", len(back), len(large), err)
	}
	events, err := c.Get("https://" + r.https)
	if err != nil {
		t.Fatal(err)
	}
	defer events.Body.Close()
	for _, text := range []string{"one", "two"} {
		next <- text
		buffer := make([]byte, 3)
		if _, err := io.ReadFull(events.Body, buffer); err != nil || string(buffer) != text {
			t.Fatalf("event %q, %v", buffer, err)
		}
	}
	close(next)
}
