// Command bench is what the service is held against: GET /api/v1/cart and nothing else around it,
// the same reading from Valkey and the same call of the products service on a bare net/http
// handler. The token is not checked, only read.
package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"triptych/cart/internal/settings"
)

type (
	money struct {
		Amount   int64  `json:"amount"`
		Currency string `json:"currency"`
	}
	product struct {
		ID    int    `json:"id"`
		Name  string `json:"name"`
		Price money  `json:"price"`
	}
	line struct {
		ProductID int    `json:"product_id"`
		Name      string `json:"name"`
		UnitPrice money  `json:"unit_price"`
		Quantity  int    `json:"quantity"`
		LineTotal money  `json:"line_total"`
	}
	cart struct {
		Items []line `json:"items"`
		Total money  `json:"total"`
	}
)

func main() {
	configured, err := settings.FromEnv(os.Getenv)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	}
	valkey := redis.NewClient(configured.Valkey)
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 32
	client := &http.Client{Transport: transport}

	http.HandleFunc("GET /health/live", func(http.ResponseWriter, *http.Request) {})
	http.HandleFunc("GET /health/ready", func(http.ResponseWriter, *http.Request) {})
	http.HandleFunc("GET /api/v1/cart", func(w http.ResponseWriter, r *http.Request) {
		priced, version, err := read(r, valkey, client, configured.ProductsURL)
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("ETag", `"`+version+`"`)
		_ = json.NewEncoder(w).Encode(priced)
	})
	address := net.JoinHostPort(configured.ListenHost, strconv.Itoa(configured.ListenPort))
	fmt.Fprintln(os.Stderr, "bench:", http.ListenAndServe(address, nil))
	os.Exit(1)
}

func read(r *http.Request, valkey *redis.Client, client *http.Client, base string) (
	priced cart, version string, err error,
) {
	user, err := subject(r.Header.Get("Authorization"))
	if err != nil {
		return priced, "", err
	}
	fields, err := valkey.HGetAll(r.Context(), "cart:"+user).Result()
	if err != nil {
		return priced, "", err
	}
	version = "0"
	if stored, ok := fields["version"]; ok {
		version = stored
		delete(fields, "version")
	}
	priced = cart{Items: []line{}, Total: money{Currency: "EUR"}}
	if len(fields) == 0 {
		return priced, version, nil
	}
	ids := make([]string, 0, len(fields))
	for id := range fields {
		ids = append(ids, id)
	}
	response, err := client.Get(base + "/internal/v1/products?ids=" + strings.Join(ids, ","))
	if err != nil {
		return priced, "", err
	}
	defer response.Body.Close()
	var found struct {
		Items []product `json:"items"`
	}
	if err := json.NewDecoder(response.Body).Decode(&found); err != nil {
		return priced, "", err
	}
	slices.SortFunc(found.Items, func(a, b product) int { return a.ID - b.ID })
	for _, p := range found.Items {
		quantity, _ := strconv.Atoi(fields[strconv.Itoa(p.ID)])
		total := money{p.Price.Amount * int64(quantity), p.Price.Currency}
		priced.Items = append(priced.Items, line{p.ID, p.Name, p.Price, quantity, total})
		priced.Total.Amount += total.Amount
	}
	return priced, version, nil
}

// subject reads a token's user from its claims.
func subject(authorization string) (string, error) {
	parts := strings.Split(authorization, ".")
	if len(parts) != 3 {
		return "", fmt.Errorf("no token")
	}
	document, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return "", err
	}
	var claims struct {
		Subject string `json:"sub"`
	}
	err = json.Unmarshal(document, &claims)
	return claims.Subject, err
}
