package cart

import (
	"context"
	"errors"
	"slices"

	"github.com/google/uuid"

	"triptych/cart/internal/products"
)

// Currency is that of every total.
const Currency = "EUR"

// ErrNoProduct says that there is no product of an id.
var ErrNoProduct = errors.New("there is no such product")

// Catalogue knows products.
type Catalogue interface {
	// Find returns those of the products that exist, by id; up to products.MaxIDs.
	Find(ctx context.Context, ids []int) (map[int]products.Product, error)
}

// Priced is a cart at today's prices.
type Priced struct {
	Version string         `json:"-"`
	Items   []PricedLine   `json:"items"`
	Total   products.Money `json:"total"`
}

// PricedLine is one product in a cart at today's price.
type PricedLine struct {
	ProductID int            `json:"product_id"`
	Name      string         `json:"name"`
	UnitPrice products.Money `json:"unit_price"`
	Quantity  int            `json:"quantity"`
	LineTotal products.Money `json:"line_total"`
}

// Service prices carts.
type Service struct {
	store     *Store
	catalogue Catalogue
}

// NewService returns a service.
func NewService(store *Store, catalogue Catalogue) *Service {
	return &Service{store, catalogue}
}

// Get returns the user's cart at today's prices.
func (s *Service) Get(ctx context.Context, user uuid.UUID) (Priced, error) {
	cart, err := s.store.Read(ctx, user)
	if err != nil {
		return Priced{}, err
	}
	return s.price(ctx, cart, nil, nil)
}

// Put sets a product's quantity and returns the cart at today's prices. Its errors are those of
// Store.Put, and ErrNoProduct.
func (s *Service) Put(
	ctx context.Context, user uuid.UUID, line Line, expected string,
) (Priced, error) {
	before, err := s.store.Read(ctx, user)
	if err != nil {
		return Priced{}, err
	}
	// The one call that says whether the product exists also brings the others' prices.
	asked := append([]int{line.ProductID}, without(before.Lines, line.ProductID)...)
	if len(asked) > products.MaxIDs {
		asked = asked[:1] // the cart is full; the change itself says so
	}
	known, err := s.catalogue.Find(ctx, asked)
	if err != nil {
		return Priced{}, err
	}
	if _, ok := known[line.ProductID]; !ok {
		return Priced{}, ErrNoProduct
	}
	after, err := s.store.Put(ctx, user, line, expected)
	if err != nil {
		return Priced{}, err
	}
	return s.price(ctx, after, asked, known)
}

func without(lines []Line, productID int) []int {
	ids := make([]int, 0, len(lines))
	for _, line := range lines {
		if line.ProductID != productID {
			ids = append(ids, line.ProductID)
		}
	}
	return ids
}

// price looks up the products of a cart's lines; one that is no longer there is left out.
func (s *Service) price(
	ctx context.Context, cart Stored, asked []int, known map[int]products.Product,
) (Priced, error) {
	ids := make([]int, 0, len(cart.Lines))
	for _, line := range cart.Lines {
		ids = append(ids, line.ProductID)
	}
	if !containsAll(asked, ids) {
		var err error
		if known, err = s.catalogue.Find(ctx, ids); err != nil {
			return Priced{}, err
		}
	}
	priced := Priced{
		Version: cart.Version,
		Items:   make([]PricedLine, 0, len(cart.Lines)),
		Total:   products.Money{Currency: Currency},
	}
	for _, line := range cart.Lines {
		product, ok := known[line.ProductID]
		if !ok {
			continue
		}
		total := product.Price
		total.Amount *= int64(line.Quantity)
		priced.Total.Amount += total.Amount
		priced.Items = append(priced.Items, PricedLine{
			ProductID: product.ID,
			Name:      product.Name,
			UnitPrice: product.Price,
			Quantity:  line.Quantity,
			LineTotal: total,
		})
	}
	return priced, nil
}

func containsAll(asked, ids []int) bool {
	for _, id := range ids {
		if !slices.Contains(asked, id) {
			return false
		}
	}
	return true
}
