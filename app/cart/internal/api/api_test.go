package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"triptych/cart/internal/cart"
	"triptych/cart/internal/dependency"
	"triptych/cart/internal/products"
	"triptych/cart/internal/web"
)

const (
	ada   = "0f6b3f0e-3c1c-4f6e-9a53-5e0c7c3f6a51"
	order = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
)

// shop is the service with a Valkey of its own and fakes of the rest.
type shop struct {
	handler http.Handler
	valkey  *miniredis.Miniredis

	missing      string // what start-up still waits for
	keys         bool
	withoutGoods error
}

func (s *shop) Missing() string { return s.missing }
func (s *shop) Fetched() bool   { return s.keys }

// Verify takes a user's id for a token.
func (s *shop) Verify(_ context.Context, token string) (uuid.UUID, error) {
	return uuid.Parse(token)
}

// Find knows the products up to 1000.
func (s *shop) Find(_ context.Context, ids []int) (map[int]products.Product, error) {
	found := map[int]products.Product{}
	for _, id := range ids {
		if id <= 1000 {
			price := products.Money{Amount: 250, Currency: "EUR"}
			found[id] = products.Product{ID: id, Name: "Salt & <Pepper>", Price: price}
		}
	}
	return found, s.withoutGoods
}

func open(t *testing.T) *shop {
	t.Helper()
	s := &shop{valkey: miniredis.RunT(t), keys: true}
	store := cart.NewStore(&redis.Options{Addr: s.valkey.Addr()}, 5*time.Second, time.Hour)
	t.Cleanup(func() { _ = store.Close() })
	metrics := web.NewMetrics()
	log := slog.New(slog.DiscardHandler)
	operations := &API{
		Store: store, Carts: cart.NewService(store, s), Tokens: s, Keys: s, Startup: s,
		Metrics: metrics.Handler(), Log: log,
	}
	s.handler = web.Observe(operations.Routes(), metrics, log, log)
	return s
}

type answer struct {
	*httptest.ResponseRecorder
	t *testing.T
}

func (s *shop) ask(t *testing.T, method, path, body string, headers ...string) answer {
	t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	r := httptest.NewRequest(method, path, reader)
	r.Header.Set("Authorization", "Bearer "+ada)
	r.Header.Set("Content-Type", "application/json")
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	return answer{w, t}
}

func (a answer) document() map[string]any {
	a.t.Helper()
	var document map[string]any
	if err := json.Unmarshal(a.Body.Bytes(), &document); err != nil {
		a.t.Fatalf("%v: %s", err, a.Body)
	}
	return document
}

func (a answer) expectJSON(status int, want string) {
	a.t.Helper()
	var wanted any
	if err := json.Unmarshal([]byte(want), &wanted); err != nil {
		a.t.Fatal(err)
	}
	if a.Code != status || !reflect.DeepEqual(any(a.document()), wanted) {
		a.t.Errorf("%d %s", a.Code, a.Body)
	}
}

// expectProblem checks status and type, and that errors names "in field" of each fault.
func (a answer) expectProblem(status int, slug string, faults ...string) {
	a.t.Helper()
	document := a.document()
	if a.Code != status || document["type"] != "urn:triptych:problem:"+slug ||
		a.Header().Get("Content-Type") != "application/problem+json" {
		a.t.Errorf("%d %s, not %d %s", a.Code, a.Body, status, slug)
	}
	var found []string
	errs, _ := document["errors"].([]any)
	for _, fault := range errs {
		fault := fault.(map[string]any)
		found = append(found, fmt.Sprintf("%s %s", fault["in"], fault["field"]))
	}
	if !reflect.DeepEqual(found, faults) {
		a.t.Errorf("faults %q, not %q", found, faults)
	}
}

func TestACart(t *testing.T) {
	s := open(t)
	s.ask(t, "GET", "/api/v1/cart", "").
		expectJSON(200, `{"items": [], "total": {"amount": 0, "currency": "EUR"}}`)
	put := s.ask(t, "PUT", "/api/v1/cart/items/7", `{"quantity": 3}`)
	const want = `{
		"items": [{
			"product_id": 7, "name": "Salt & <Pepper>", "quantity": 3,
			"unit_price": {"amount": 250, "currency": "EUR"},
			"line_total": {"amount": 750, "currency": "EUR"}
		}],
		"total": {"amount": 750, "currency": "EUR"}
	}`
	put.expectJSON(200, want)
	got := s.ask(t, "GET", "/api/v1/cart", "")
	got.expectJSON(200, want)
	for _, a := range []answer{put, got} {
		if a.Header().Get("Cache-Control") != "no-store" ||
			a.Header().Get("Content-Type") != "application/json" ||
			a.Header().Get("Content-Length") != fmt.Sprint(a.Body.Len()) ||
			a.Header().Get("ETag") != put.Header().Get("ETag") || len(a.Header().Get("ETag")) != 18 {
			t.Errorf("%v", a.Header())
		}
	}
	for _, path := range []string{"/api/v1/cart/items/7", "/api/v1/cart"} {
		if gone := s.ask(t, "DELETE", path, ""); gone.Code != 204 || gone.Body.Len() > 0 {
			t.Errorf("%d %s", gone.Code, gone.Body)
		}
	}
	if etag := s.ask(t, "GET", "/api/v1/cart", "").Header().Get("ETag"); etag != `"0"` {
		t.Error(etag)
	}
}

func TestSomeoneElsesCart(t *testing.T) {
	s := open(t)
	s.ask(t, "PUT", "/api/v1/cart/items/7", `{"quantity": 3}`)
	s.ask(t, "GET", "/api/v1/cart", "", "Authorization: Bearer "+order).
		expectJSON(200, `{"items": [], "total": {"amount": 0, "currency": "EUR"}}`)
}

func TestRules(t *testing.T) {
	s := open(t)
	s.ask(t, "PUT", "/api/v1/cart/items/1001", `{"quantity": 1}`).expectProblem(404, "product-not-found")
	for _, request := range [][3]string{
		{"PUT", "/api/v1/cart/items/1", `{"quantity": 1}`},
		{"DELETE", "/api/v1/cart/items/1", ""},
		{"DELETE", "/api/v1/cart", ""},
	} {
		s.ask(t, request[0], request[1], request[2], `If-Match: "stale"`).expectProblem(412, "cart-changed")
		s.ask(t, request[0], request[1], request[2], `If-Match: stale`).
			expectProblem(422, "validation", "header If-Match")
	}
	for id := range cart.MaxLines {
		s.ask(t, "PUT", fmt.Sprintf("/api/v1/cart/items/%d", id+1), `{"quantity": 1}`)
	}
	s.ask(t, "PUT", "/api/v1/cart/items/51", `{"quantity": 1}`).expectProblem(409, "cart-full")
}

func TestEveryFaultIsNamed(t *testing.T) {
	open(t).ask(t, "PUT", "/api/v1/cart/items/x", `{"quantity": 0, "price": 1}`, "If-Match: stale").
		expectProblem(422, "validation",
			"path product_id", "header If-Match", "body quantity", "body price")
}

func TestOrderOfChecks(t *testing.T) {
	s := open(t)
	large := strings.Repeat(" ", 70_000)
	s.ask(t, "POST", "/nothing", large).expectProblem(413, "body-too-large")
	s.ask(t, "POST", "/nothing", "{", "Authorization: x").expectProblem(404, "not-found")
	s.ask(t, "POST", "/api/v1/cart", "{", "Authorization: x").expectProblem(405, "method-not-allowed")
	s.ask(t, "PUT", "/api/v1/cart/items/x", "{", "Authorization: x", "Content-Type: x").
		expectProblem(401, "authentication-required")
	s.ask(t, "PUT", "/api/v1/cart/items/x", "{", "Content-Type: x").
		expectProblem(415, "unsupported-media-type")
	s.ask(t, "PUT", "/api/v1/cart/items/x", "{", "If-Match: x").expectProblem(400, "malformed-json")
	s.ask(t, "PUT", "/api/v1/cart/items/x", "").
		expectProblem(422, "validation", "path product_id", "body ")
}

func TestTokens(t *testing.T) {
	s := open(t)
	for header, challenge := range map[string]string{
		"":                    `Bearer realm="triptych"`,
		"Bearer":              `Bearer realm="triptych"`,
		"Basic " + ada:        `Bearer realm="triptych"`,
		"Bearer, " + ada:      `Bearer realm="triptych"`,
		"Bearer nonsense":     `Bearer realm="triptych", error="invalid_token"`,
		"Bearer " + ada + "x": `Bearer realm="triptych", error="invalid_token"`,
	} {
		refused := s.ask(t, "GET", "/api/v1/cart", "", "Authorization: "+header)
		refused.expectProblem(401, "authentication-required")
		if got := refused.Header().Get("WWW-Authenticate"); got != challenge {
			t.Errorf("%q: %s", header, got)
		}
	}
	for _, header := range []string{"bearer " + ada, "BEARER  " + ada} {
		if a := s.ask(t, "GET", "/api/v1/cart", "", "Authorization: "+header); a.Code != 200 {
			t.Errorf("%q: %d", header, a.Code)
		}
	}
}

func TestInternalCart(t *testing.T) {
	s := open(t)
	path := "/internal/v1/carts/" + ada
	s.ask(t, "GET", path, "").expectJSON(200, `{"version": "0", "lines": []}`)
	version := ""
	for _, id := range []string{"10", "9"} {
		put := s.ask(t, "PUT", "/api/v1/cart/items/"+id, `{"quantity": 3}`)
		version = strings.Trim(put.Header().Get("ETag"), `"`)
	}
	s.ask(t, "GET", path, "", "Authorization: none is needed").expectJSON(200, `{
		"version": "`+version+`",
		"lines": [{"product_id": 9, "quantity": 3}, {"product_id": 10, "quantity": 3}]
	}`)
	s.ask(t, "GET", "/internal/v1/carts/ada", "").expectProblem(422, "validation", "path user_id")
}

func TestPurchases(t *testing.T) {
	s := open(t)
	s.ask(t, "PUT", "/api/v1/cart/items/9", `{"quantity": 3}`)
	path := "/internal/v1/carts/" + ada + "/purchases/" + order
	for range 2 {
		bought := s.ask(t, "PUT", path, `{"lines": [{"product_id": 9, "quantity": 1}]}`)
		if bought.Code != 204 || bought.Body.Len() > 0 {
			t.Fatalf("%d %s", bought.Code, bought.Body)
		}
		lines := s.ask(t, "GET", "/internal/v1/carts/"+ada, "").document()["lines"]
		if got := lines.([]any)[0].(map[string]any)["quantity"]; got != 2.0 {
			t.Errorf("left: %v", got)
		}
	}
	s.ask(t, "PUT", "/internal/v1/carts/ada/purchases/1", `{"lines": [{"product_id": 0}], "a": 1}`).
		expectProblem(422, "validation", "path user_id", "path order_id",
			"body lines.0.product_id", "body lines.0.quantity", "body a")
	s.ask(t, "PUT", path, `{"lines": []}`).expectProblem(422, "validation", "body lines")
}

func TestUntilStartUpIsDone(t *testing.T) {
	s := open(t)
	s.missing = "auth service"
	s.ask(t, "GET", "/health/live", "").expectJSON(200, `{"status": "live"}`)
	ready := s.ask(t, "GET", "/health/ready", "")
	ready.expectProblem(503, "not-ready")
	if want := map[string]any{"cart_store": "unknown", "keys": "unknown"}; !reflect.DeepEqual(
		ready.document()["checks"], any(want)) {
		t.Errorf("%s", ready.Body)
	}
	for _, path := range []string{"/api/v1/cart", "/internal/v1/carts/" + ada} {
		a := s.ask(t, "GET", path, "", "Authorization: x")
		a.expectProblem(503, "dependency-unavailable")
		if a.document()["dependency"] != "auth service" || a.Header().Get("Retry-After") != "1" {
			t.Errorf("%v %s", a.Header(), a.Body)
		}
	}
	s.ask(t, "GET", "/nothing", "").expectProblem(404, "not-found")
}

func TestReady(t *testing.T) {
	s := open(t)
	ready := s.ask(t, "GET", "/health/ready", "")
	ready.expectJSON(200, `{"status": "ready", "checks": {"cart_store": "up", "keys": "up"}}`)
	if ready.Header().Get("Cache-Control") != "no-store" {
		t.Error(ready.Header())
	}
	s.valkey.Close()
	ready = s.ask(t, "GET", "/health/ready", "")
	ready.expectProblem(503, "not-ready")
	if want := map[string]any{"cart_store": "down", "keys": "up"}; !reflect.DeepEqual(
		ready.document()["checks"], any(want)) {
		t.Errorf("%s", ready.Body)
	}
}

func TestDependenciesThatDoNotAnswer(t *testing.T) {
	s := open(t)
	s.ask(t, "PUT", "/api/v1/cart/items/9", `{"quantity": 3}`)
	expectAway := func(what, method, path, body string) {
		t.Helper()
		a := s.ask(t, method, path, body)
		a.expectProblem(503, "dependency-unavailable")
		if a.document()["dependency"] != what || a.Header().Get("Retry-After") != "1" {
			t.Errorf("%v %s", a.Header(), a.Body)
		}
	}
	s.withoutGoods = &dependency.Unavailable{Name: "products service", Err: errors.New("secret")}
	expectAway("products service", "GET", "/api/v1/cart", "")
	expectAway("products service", "PUT", "/api/v1/cart/items/9", `{"quantity": 3}`)
	s.valkey.Close()
	expectAway("cart store", "GET", "/api/v1/cart", "")
	expectAway("cart store", "PUT", "/api/v1/cart/items/9", `{"quantity": 3}`)
	expectAway("cart store", "DELETE", "/api/v1/cart", "")
}

func TestAnErrorOfOurOwnIsA500WithoutItsReason(t *testing.T) {
	s := open(t)
	s.withoutGoods = errors.New("secret")
	a := s.ask(t, "PUT", "/api/v1/cart/items/9", `{"quantity": 3}`)
	a.expectProblem(500, "internal")
	if strings.Contains(a.Body.String(), "secret") {
		t.Errorf("%s", a.Body)
	}
}
