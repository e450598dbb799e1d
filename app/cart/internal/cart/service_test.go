package cart

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"triptych/cart/internal/products"
)

// catalogue has the products 1 to 60, at a price of their id, and notes what it was asked for.
type catalogue struct {
	calls   [][]int
	missing int    // the id of one that is not there
	during  func() // what happens while it is asked
	err     error
}

func (c *catalogue) Find(_ context.Context, ids []int) (map[int]products.Product, error) {
	c.calls = append(c.calls, ids)
	if len(ids) > products.MaxIDs {
		return nil, fmt.Errorf("asked for %d products", len(ids))
	}
	if c.during != nil {
		c.during()
		c.during = nil
	}
	found := map[int]products.Product{}
	for _, id := range ids {
		if id <= 60 && id != c.missing {
			price := products.Money{Amount: int64(id), Currency: "EUR"}
			found[id] = products.Product{ID: id, Name: fmt.Sprint("Product ", id), Price: price}
		}
	}
	return found, c.err
}

func newService(t *testing.T) (*Service, *Store, *catalogue) {
	t.Helper()
	store, _ := newStore(t)
	stock := &catalogue{}
	return NewService(store, stock), store, stock
}

func TestAnEmptyCartCostsNoCall(t *testing.T) {
	service, _, stock := newService(t)
	got, err := service.Get(ctx, user)
	want := Priced{Version: "0", Items: []PricedLine{}, Total: products.Money{Currency: "EUR"}}
	if err != nil || !reflect.DeepEqual(got, want) || len(stock.calls) != 0 {
		t.Errorf("%+v, %v, %d calls", got, err, len(stock.calls))
	}
}

func TestGetPricesLines(t *testing.T) {
	service, store, stock := newService(t)
	kept := fill(t, store, Line{9, 2}, Line{4, 3})
	got, err := service.Get(ctx, user)
	if err != nil {
		t.Fatal(err)
	}
	eur := func(amount int64) products.Money { return products.Money{Amount: amount, Currency: "EUR"} }
	want := Priced{
		Version: kept.Version,
		Items: []PricedLine{
			{4, "Product 4", eur(4), 3, eur(12)},
			{9, "Product 9", eur(9), 2, eur(18)},
		},
		Total: eur(30),
	}
	if !reflect.DeepEqual(got, want) || len(stock.calls) != 1 {
		t.Errorf("%+v, %d calls", got, len(stock.calls))
	}
}

func TestAProductThatIsNoLongerThereIsLeftOut(t *testing.T) {
	service, store, stock := newService(t)
	fill(t, store, Line{1, 1}, Line{2, 1})
	stock.missing = 1
	got, err := service.Get(ctx, user)
	if err != nil || len(got.Items) != 1 || got.Total.Amount != 2 {
		t.Errorf("%+v, %v", got, err)
	}
	got, err = service.Put(ctx, user, Line{2, 2}, "")
	if err != nil || len(got.Items) != 1 || got.Total.Amount != 4 || len(stock.calls) != 2 {
		t.Errorf("%+v, %v, %d calls", got, err, len(stock.calls))
	}
}

func TestPutCostsOneCall(t *testing.T) {
	service, store, stock := newService(t)
	for id := 1; id <= MaxLines; id++ {
		got, err := service.Put(ctx, user, Line{id, 2}, "")
		if err != nil || len(got.Items) != id || len(stock.calls) != id {
			t.Fatalf("%d lines after %d calls, %v", len(got.Items), len(stock.calls), err)
		}
	}
	stock.calls = nil
	got, err := service.Put(ctx, user, Line{7, 1}, read(t, store).Version)
	if err != nil || got.Items[6].Quantity != 1 || len(stock.calls) != 1 {
		t.Errorf("%+v, %v, %d calls", got.Items[6], err, len(stock.calls))
	}
	if now, err := service.Get(ctx, user); err != nil || !reflect.DeepEqual(now, got) {
		t.Errorf("put returned another cart than there is; %v", err)
	}
	if _, err := service.Put(ctx, user, Line{51, 1}, ""); !errors.Is(err, ErrFull) {
		t.Error(err)
	}
}

func TestPutOfAProductThatIsNotThere(t *testing.T) {
	service, store, _ := newService(t)
	fill(t, store, Line{1, 1})
	// Whatever else is wrong with the change.
	for _, expected := range []string{"", "stale"} {
		if _, err := service.Put(ctx, user, Line{61, 1}, expected); !errors.Is(err, ErrNoProduct) {
			t.Error(err)
		}
	}
	expectLines(t, store, Line{1, 1})
}

func TestPutWhileSomethingElseIsAdded(t *testing.T) {
	service, store, stock := newService(t)
	stock.during = func() { fill(t, store, Line{5, 1}) }
	got, err := service.Put(ctx, user, Line{1, 1}, "")
	if err != nil || len(got.Items) != 2 || got.Total.Amount != 6 {
		t.Errorf("%+v, %v", got, err)
	}
	if want := [][]int{{1}, {1, 5}}; !slices.EqualFunc(stock.calls, want, slices.Equal) {
		t.Errorf("asked for %v", stock.calls)
	}
}

func TestPutWithoutTheCatalogue(t *testing.T) {
	service, store, stock := newService(t)
	stock.err = errors.New("away")
	if _, err := service.Put(ctx, user, Line{1, 1}, ""); !errors.Is(err, stock.err) {
		t.Error(err)
	}
	expectLines(t, store)
}
