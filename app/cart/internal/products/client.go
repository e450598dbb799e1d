// Package products asks the products service.
package products

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"triptych/cart/internal/services"
)

// MaxIDs is how many products one call can ask for.
const MaxIDs = 50

// Money is an amount in the currency's minor unit.
type Money struct {
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`
}

// Product is what a cart has to know of a product.
type Product struct {
	ID    int    `json:"id"`
	Name  string `json:"name"`
	Price Money  `json:"price"`
}

// Client reads the catalogue.
type Client struct{ service *services.Client }

// NewClient returns a client for the products service at base; timeout holds for each call.
func NewClient(base string, timeout time.Duration, transport http.RoundTripper) *Client {
	return &Client{services.NewClient("products service", base, timeout, transport)}
}

// Find returns those of the products that exist, by id. It costs one call.
func (c *Client) Find(ctx context.Context, ids []int) (map[int]Product, error) {
	var list strings.Builder
	for i, id := range ids {
		if i > 0 {
			list.WriteByte(',')
		}
		list.WriteString(strconv.Itoa(id))
	}
	document, err := c.service.Get(ctx, "/internal/v1/products?ids="+list.String())
	if err != nil {
		return nil, err
	}
	var answer struct {
		Items []Product `json:"items"`
	}
	if err := json.Unmarshal(document, &answer); err != nil {
		return nil, fmt.Errorf("products service: %w", err)
	}
	found := make(map[int]Product, len(answer.Items))
	for _, product := range answer.Items {
		found[product.ID] = product
	}
	return found, nil
}
