package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/golang-jwt/jwt/v5"
	"github.com/redis/go-redis/v9"

	"triptych/cart/internal/settings"
)

// neighbours are the services that this one needs.
type neighbours struct {
	valkey         *miniredis.Miniredis
	auth, products *httptest.Server
	key            *ecdsa.PrivateKey
	asked, answer  chan string // the products service tells what it was asked, and waits
}

func newNeighbours(t *testing.T) *neighbours {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	n := &neighbours{
		valkey: miniredis.RunT(t), key: key, asked: make(chan string), answer: make(chan string),
	}
	point, err := key.PublicKey.ECDH()
	if err != nil {
		t.Fatal(err)
	}
	x, y := point.Bytes()[1:33], point.Bytes()[33:]
	n.auth = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, `{"keys":[{"kty":"EC","crv":"P-256","kid":"k1","x":"%s","y":"%s"}]}`,
			base64.RawURLEncoding.EncodeToString(x), base64.RawURLEncoding.EncodeToString(y))
	}))
	t.Cleanup(n.auth.Close)
	n.products = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n.asked <- r.RequestURI + " " + r.Header.Get("X-Request-ID")
		_, _ = io.WriteString(w, <-n.answer)
	}))
	t.Cleanup(n.products.Close)
	return n
}

func (n *neighbours) token(t *testing.T) string {
	t.Helper()
	token := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
		"iss": "triptych", "aud": "triptych-shop", "sub": "0f6b3f0e-3c1c-4f6e-9a53-5e0c7c3f6a51",
		"iat": time.Now().Unix(), "exp": time.Now().Unix() + 900,
	})
	token.Header["kid"] = "k1"
	signed, err := token.SignedString(n.key)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func (n *neighbours) settings(startupTimeout time.Duration) settings.Settings {
	return settings.Settings{
		Valkey:          &redis.Options{Addr: n.valkey.Addr()},
		ValkeyTimeout:   5 * time.Second,
		CartTTL:         time.Hour,
		AuthURL:         n.auth.URL,
		ProductsURL:     n.products.URL,
		ServiceTimeout:  5 * time.Second,
		JWTIssuer:       "triptych",
		JWTAudience:     "triptych-shop",
		StartupTimeout:  startupTimeout,
		ShutdownTimeout: 5 * time.Second,
	}
}

func listen(t *testing.T) (net.Listener, string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return listener, "http://" + listener.Addr().String()
}

func status(t *testing.T, url string) int {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	return response.StatusCode
}

func TestFromStartToStop(t *testing.T) {
	n := newNeighbours(t)
	configured := n.settings(time.Minute)
	n.valkey.Close()
	listener, base := listen(t)
	stop, terminate := context.WithCancel(context.Background())
	defer terminate()
	served := make(chan error, 1)
	go func() {
		served <- serve(stop, listener, configured, slog.New(slog.DiscardHandler))
	}()

	if got := status(t, base+"/health/live"); got != 200 {
		t.Fatalf("live without its neighbours: %d", got)
	}
	if got := status(t, base+"/health/ready"); got != 503 {
		t.Fatalf("ready without the cart store: %d", got)
	}
	if err := n.valkey.Restart(); err != nil {
		t.Fatal(err)
	}
	for status(t, base+"/health/ready") != 200 {
		time.Sleep(10 * time.Millisecond)
	}

	type outcome struct {
		text string
		err  error
	}
	put := make(chan outcome, 1)
	request, err := http.NewRequest(http.MethodPut, base+"/api/v1/cart/items/7",
		strings.NewReader(`{"quantity": 2}`))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+n.token(t))
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-Request-ID", "abc")
	go func() {
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			put <- outcome{"", err}
			return
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		put <- outcome{string(text), err}
	}()
	if got := <-n.asked; got != "/internal/v1/products?ids=7 abc" {
		t.Errorf("products were asked %s", got)
	}

	// Stopped in the middle of a request: it gets its answer, and nobody else is let in.
	terminate()
	for {
		connection, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			break
		}
		_ = connection.Close()
		time.Sleep(10 * time.Millisecond)
	}
	n.answer <- `{"items":[{"id":7,"name":"Seven","price":{"amount":5,"currency":"EUR"}}]}`
	if got := <-put; got.err != nil || !strings.Contains(got.text, `"total":{"amount":10,`) {
		t.Errorf("%q, %v", got.text, got.err)
	}
	if err := <-served; err != nil {
		t.Errorf("an orderly stop is no error: %v", err)
	}
}

func TestAStartUpThatFails(t *testing.T) {
	n := newNeighbours(t)
	n.auth.Close()
	listener, _ := listen(t)
	err := serve(context.Background(), listener, n.settings(time.Millisecond),
		slog.New(slog.DiscardHandler))
	const want = "start-up failed: the auth service not up after 0.001 s: Get "
	if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "\n") {
		t.Error(err)
	}
}
