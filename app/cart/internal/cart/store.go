// Package cart is the shop's carts: one for each user, kept in Valkey, priced by the products
// service whenever one is looked at.
package cart

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"triptych/cart/internal/dependency"
)

const (
	// StoreName says in words what does not answer when the store is away.
	StoreName = "cart store"
	// MaxLines is how many different products a cart holds.
	MaxLines = 50
	// MaxQuantity is how many of each.
	MaxQuantity = 99

	emptyVersion = "0"
	// A purchase is repeated for as long as its order is not settled: seconds, or until payments
	// is back.
	purchaseMemory = 24 * time.Hour
)

var (
	// ErrChanged says that a cart does not have the version that a change insists on.
	ErrChanged = errors.New("the cart has another version")
	// ErrFull says that a cart holds MaxLines products already.
	ErrFull = errors.New("the cart is full")
)

// Line is one product in a cart.
type Line struct {
	ProductID int `json:"product_id"`
	Quantity  int `json:"quantity"`
}

// Stored is a cart as the store has it: lines in the order of ids, and the version that they
// belong to. Versions are random, not counted: a cart that was emptied and filled again never
// has an old one.
type Stored struct {
	Version string `json:"version"`
	Lines   []Line `json:"lines"`
}

// Store keeps carts in Valkey.
type Store struct {
	client      *redis.Client
	server      *dependency.Dependency
	pingTimeout time.Duration
	ttl         time.Duration
}

// NewStore returns a store; it connects when it is first used. Each operation takes at most
// timeout, and a cart that nobody changes is gone after ttl.
func NewStore(server *redis.Options, timeout, ttl time.Duration) *Store {
	options := *server
	options.Protocol = 2 // answers only: nothing to be told unasked
	options.DisableIdentity = true
	options.MaintNotificationsConfig = &maintnotifications.Config{
		Mode: maintnotifications.ModeDisabled,
	}
	options.PoolSize = dependency.MaxCalls + 1 // and one for health checks
	options.PoolTimeout = timeout
	options.DialTimeout = timeout
	options.ReadTimeout = timeout
	options.WriteTimeout = timeout
	options.ContextTimeoutEnabled = true
	options.ReadBufferSize = 4096
	options.WriteBufferSize = 4096
	options.MaxRetries = -1 // which calls can be repeated is known here, not there
	options.DialerRetries = 1
	options.Dialer = lateDialer(redis.NewDialer(&options))
	return &Store{
		client:      redis.NewClient(&options),
		server:      dependency.New(StoreName, timeout),
		pingTimeout: min(timeout, time.Second),
		ttl:         ttl,
	}
}

// Close closes all connections.
func (s *Store) Close() error { return s.client.Close() }

// Ping asks the store for an answer, for which it waits a second at most.
func (s *Store) Ping(ctx context.Context) error {
	ping := func(ctx context.Context) error { return s.client.Ping(ctx).Err() }
	return s.named(dependency.Try(ctx, s.pingTimeout, isOutage, ping))
}

// Read returns the user's cart; an empty one if there is none.
func (s *Store) Read(ctx context.Context, user uuid.UUID) (Stored, error) {
	var fields map[string]string
	err := s.call(ctx, isOutage, func(ctx context.Context) error {
		var err error
		fields, err = s.client.HGetAll(ctx, cartKey(user)).Result()
		return err
	})
	if err != nil {
		return Stored{}, err
	}
	return parseCart(maps.All(fields))
}

// Put sets a product's quantity, if the cart has the version expected or expected is empty, and
// returns the cart. Its errors are ErrChanged and ErrFull.
func (s *Store) Put(
	ctx context.Context, user uuid.UUID, line Line, expected string,
) (Stored, error) {
	reply, err := s.change(ctx, putScript, user, expected,
		line.ProductID, line.Quantity, MaxLines)
	if err != nil {
		return Stored{}, err
	}
	fields, _ := reply[1].([]any)
	return parseCart(pairs(fields))
}

// Remove takes a product out; one that is not there is no error. See Put for expected.
func (s *Store) Remove(ctx context.Context, user uuid.UUID, productID int, expected string) error {
	_, err := s.change(ctx, removeScript, user, expected, productID)
	return err
}

// Clear empties the cart. See Put for expected.
func (s *Store) Clear(ctx context.Context, user uuid.UUID, expected string) error {
	_, err := s.change(ctx, clearScript, user, expected)
	return err
}

// Subtract takes what an order bought out of the cart, once per order, and leaves what was added
// meanwhile.
func (s *Store) Subtract(ctx context.Context, user, order uuid.UUID, bought []Line) error {
	arguments := []any{"", newVersion(), seconds(s.ttl), seconds(purchaseMemory)}
	for _, line := range bought {
		arguments = append(arguments, line.ProductID, line.Quantity)
	}
	keys := []string{cartKey(user), "purchase:" + order.String()}
	_, err := s.run(ctx, isOutage, subtractScript, keys, arguments)
	return err
}

func (s *Store) change(
	ctx context.Context, script *redis.Script, user uuid.UUID, expected string, more ...any,
) ([]any, error) {
	repeatable := isOutage
	if expected != "" {
		// Done already, but with the answer lost, it would look as if someone else had been
		// faster.
		repeatable = notSent
	}
	arguments := append([]any{expected, newVersion(), seconds(s.ttl)}, more...)
	return s.run(ctx, repeatable, script, []string{cartKey(user)}, arguments)
}

func (s *Store) run(
	ctx context.Context,
	repeatable func(error) bool,
	script *redis.Script,
	keys []string,
	arguments []any,
) ([]any, error) {
	var reply []any
	err := s.call(ctx, repeatable, func(ctx context.Context) error {
		var err error
		reply, err = script.Run(ctx, s.client, keys, arguments...).Slice()
		return err
	})
	if err != nil {
		return nil, err
	}
	switch reply[0] {
	case int64(versionDiffers):
		return nil, ErrChanged
	case int64(full):
		return nil, ErrFull
	}
	return reply, nil
}

// call asks the store, twice if repeatable approves of the error. An outage is a
// *dependency.Unavailable.
func (s *Store) call(
	ctx context.Context, repeatable func(error) bool, ask func(context.Context) error,
) error {
	return s.named(s.server.Call(ctx, repeatable, ask))
}

// named gives an outage the store's name, if it does not have it.
func (s *Store) named(err error) error {
	var named *dependency.Unavailable
	if err == nil || errors.As(err, &named) || !isOutage(err) {
		return err
	}
	return s.server.Unavailable(err)
}

// isOutage says whether the error means that the store is away, rather than that we are wrong.
func isOutage(err error) bool {
	var reply redis.Error
	if !errors.As(err, &reply) {
		return true
	}
	// What it says while it starts, runs someone's endless script, has no memory or disk left, or
	// is no primary.
	for _, prefix := range []string{"LOADING", "BUSY", "OOM", "MISCONF", "READONLY"} {
		if strings.HasPrefix(reply.Error(), prefix) {
			return true
		}
	}
	return false
}

// notSent says whether the server has certainly not seen the call.
func notSent(err error) bool {
	var failure *net.OpError
	return errors.As(err, &failure) && failure.Op == "dial"
}

func parseCart(fields iter.Seq2[string, string]) (Stored, error) {
	cart := Stored{Version: emptyVersion, Lines: []Line{}}
	for name, value := range fields {
		if name == "version" {
			cart.Version = value
			continue
		}
		id, err := strconv.Atoi(name)
		if err != nil {
			return Stored{}, fmt.Errorf("stored cart: %w", err)
		}
		quantity, err := strconv.Atoi(value)
		if err != nil {
			return Stored{}, fmt.Errorf("stored cart: %w", err)
		}
		cart.Lines = append(cart.Lines, Line{id, quantity})
	}
	slices.SortFunc(cart.Lines, func(a, b Line) int { return a.ProductID - b.ProductID })
	return cart, nil
}

// pairs returns the fields of a hash as a script returns them: names and values by turns.
func pairs(flat []any) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for pair := range slices.Chunk(flat, 2) {
			name, _ := pair[0].(string)
			value, _ := pair[1].(string)
			if !yield(name, value) {
				return
			}
		}
	}
}

func cartKey(user uuid.UUID) string { return "cart:" + user.String() }

func newVersion() string {
	var random [8]byte
	_, _ = rand.Read(random[:]) // never fails
	return hex.EncodeToString(random[:])
}

func seconds(d time.Duration) int64 { return int64(d / time.Second) }
