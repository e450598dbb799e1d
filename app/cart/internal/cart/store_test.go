package cart

import (
	"context"
	"errors"
	"net"
	"reflect"
	"regexp"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"triptych/cart/internal/dependency"
)

var (
	ctx   = context.Background()
	user  = uuid.MustParse("0f6b3f0e-3c1c-4f6e-9a53-5e0c7c3f6a51")
	order = uuid.MustParse("7c9e6679-7425-40de-944b-e07fc1f90ae7")
)

const ttl = time.Hour

// newStore returns a store with a Valkey of its own.
func newStore(t *testing.T) (*Store, *miniredis.Miniredis) {
	t.Helper()
	server := miniredis.RunT(t)
	return storeAt(t, server.Addr(), time.Minute), server
}

func storeAt(t *testing.T, address string, timeout time.Duration) *Store {
	t.Helper()
	store := NewStore(&redis.Options{Addr: address}, timeout, ttl)
	t.Cleanup(func() { _ = store.Close() })
	return store
}

func fill(t *testing.T, store *Store, lines ...Line) Stored {
	t.Helper()
	var cart Stored
	for _, line := range lines {
		var err error
		if cart, err = store.Put(ctx, user, line, ""); err != nil {
			t.Fatal(err)
		}
	}
	return cart
}

func read(t *testing.T, store *Store) Stored {
	t.Helper()
	cart, err := store.Read(ctx, user)
	if err != nil {
		t.Fatal(err)
	}
	return cart
}

func expectLines(t *testing.T, store *Store, want ...Line) {
	t.Helper()
	if got := read(t, store).Lines; !reflect.DeepEqual(got, append([]Line{}, want...)) {
		t.Errorf("holds %v, not %v", got, want)
	}
}

func TestNoCartIsAnEmptyOne(t *testing.T) {
	store, _ := newStore(t)
	if cart := read(t, store); cart.Version != "0" || cart.Lines == nil || len(cart.Lines) > 0 {
		t.Errorf("%+v", cart)
	}
}

func TestPut(t *testing.T) {
	store, server := newStore(t)
	fill(t, store, Line{9, 1}, Line{10, 4}, Line{9, 2})
	returned := fill(t, store, Line{4, 3})
	expectLines(t, store, Line{4, 3}, Line{9, 2}, Line{10, 4}) // as numbers, not as text
	if kept := read(t, store); !reflect.DeepEqual(returned, kept) {
		t.Errorf("returned %v, kept %v", returned, kept)
	}
	if !regexp.MustCompile(`^[0-9a-f]{16}$`).MatchString(returned.Version) {
		t.Errorf("version %q", returned.Version)
	}
	if got := server.TTL("cart:" + user.String()); got != ttl {
		t.Errorf("is kept %s", got)
	}
}

func TestCartsArePrivate(t *testing.T) {
	store, _ := newStore(t)
	fill(t, store, Line{1, 1})
	if cart, err := store.Read(ctx, uuid.New()); err != nil || len(cart.Lines) > 0 {
		t.Errorf("%v, %v", cart, err)
	}
}

func TestRemove(t *testing.T) {
	store, server := newStore(t)
	before := fill(t, store, Line{1, 1}, Line{2, 2})
	for range 2 {
		if err := store.Remove(ctx, user, 1, ""); err != nil {
			t.Fatal(err)
		}
	}
	expectLines(t, store, Line{2, 2})
	if read(t, store).Version == before.Version {
		t.Error("the version is the same")
	}
	if err := store.Remove(ctx, user, 2, ""); err != nil || server.Exists("cart:"+user.String()) {
		t.Errorf("an empty cart is kept; %v", err)
	}
}

func TestRemovingNothingKeepsTheVersion(t *testing.T) {
	store, _ := newStore(t)
	before := fill(t, store, Line{1, 1})
	if err := store.Remove(ctx, user, 2, ""); err != nil || read(t, store).Version != before.Version {
		t.Errorf("%v, %v", read(t, store), err)
	}
}

func TestClear(t *testing.T) {
	store, _ := newStore(t)
	fill(t, store, Line{1, 1}, Line{2, 2})
	for range 2 {
		if err := store.Clear(ctx, user, ""); err != nil {
			t.Fatal(err)
		}
		expectLines(t, store)
	}
}

func TestACartHoldsFiftyProducts(t *testing.T) {
	store, _ := newStore(t)
	for id := 1; id <= MaxLines; id++ {
		fill(t, store, Line{id, 1})
	}
	if _, err := store.Put(ctx, user, Line{MaxLines + 1, 1}, ""); !errors.Is(err, ErrFull) {
		t.Error(err)
	}
	fill(t, store, Line{MaxLines, 99})
	if got := len(read(t, store).Lines); got != MaxLines {
		t.Errorf("holds %d", got)
	}
}

func TestChangesThatInsistOnAVersion(t *testing.T) {
	store, _ := newStore(t)
	if _, err := store.Put(ctx, user, Line{1, 1}, emptyVersion); err != nil {
		t.Errorf("an empty cart has version 0: %v", err)
	}
	seen := read(t, store).Version
	after, err := store.Put(ctx, user, Line{2, 1}, seen)
	if err != nil || after.Version == seen {
		t.Fatalf("%v, %v", after, err)
	}
	_, put := store.Put(ctx, user, Line{3, 1}, seen)
	for what, err := range map[string]error{
		"put":    put,
		"remove": store.Remove(ctx, user, 1, seen),
		"clear":  store.Clear(ctx, user, seen),
	} {
		if !errors.Is(err, ErrChanged) {
			t.Errorf("%s: %v", what, err)
		}
	}
	expectLines(t, store, Line{1, 1}, Line{2, 1})
	if err := store.Remove(ctx, user, 1, after.Version); err != nil {
		t.Error(err)
	}
	if err := store.Clear(ctx, user, read(t, store).Version); err != nil {
		t.Error(err)
	}
	expectLines(t, store)
}

func TestAPurchaseLeavesTheCartOnce(t *testing.T) {
	store, server := newStore(t)
	before := fill(t, store, Line{1, 5}, Line{2, 1}, Line{3, 1})
	bought := []Line{{1, 2}, {2, 1}, {3, 9}, {4, 1}} // more than there is: changed meanwhile
	for range 3 {
		if err := store.Subtract(ctx, user, order, bought); err != nil {
			t.Fatal(err)
		}
		expectLines(t, store, Line{1, 3})
	}
	if read(t, store).Version == before.Version {
		t.Error("the version is the same")
	}
	if err := store.Subtract(ctx, user, uuid.New(), []Line{{1, 3}}); err != nil {
		t.Fatal(err)
	}
	if server.Exists("cart:" + user.String()) {
		t.Error("an empty cart is kept")
	}
	if got := server.TTL("purchase:" + order.String()); got != purchaseMemory {
		t.Errorf("the purchase is remembered %s", got)
	}
}

func TestAPurchaseFromACartThatIsGone(t *testing.T) {
	store, _ := newStore(t)
	if err := store.Subtract(ctx, user, order, []Line{{1, 2}}); err != nil {
		t.Fatal(err)
	}
	fill(t, store, Line{1, 2})
	if err := store.Subtract(ctx, user, order, []Line{{1, 2}}); err != nil {
		t.Fatal(err)
	}
	expectLines(t, store, Line{1, 2}) // put there after the purchase
}

func expectOutage(t *testing.T, err error) {
	t.Helper()
	var away *dependency.Unavailable
	if !errors.As(err, &away) || away.Name != "cart store" {
		t.Errorf("no outage: %v", err)
	}
}

func TestAnOutage(t *testing.T) {
	store, server := newStore(t)
	cart := fill(t, store, Line{1, 1})
	server.Close()
	expectOutage(t, store.Ping(ctx))
	_, err := store.Read(ctx, user)
	expectOutage(t, err)
	_, err = store.Put(ctx, user, Line{1, 1}, cart.Version)
	expectOutage(t, err)
	expectOutage(t, store.Subtract(ctx, user, order, []Line{{1, 1}}))

	// Together more failures than the pool has places: go-redis would stop dialling.
	for range 40 {
		if err := store.client.Ping(ctx).Err(); err == nil || !notSent(err) {
			t.Fatalf("not recognised as a server that is not there: %v", err)
		}
	}
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Put(ctx, user, Line{1, 2}, cart.Version); err != nil {
		t.Errorf("the first call afterwards: %v", err)
	}
}

func TestAStoreThatHangs(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0") // accepts, and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	store := storeAt(t, listener.Addr().String(), 30*time.Millisecond)
	_, err = store.Read(ctx, user)
	expectOutage(t, err)
}

func TestWhatAServerSaysInTroubleIsAnOutage(t *testing.T) {
	store, server := newStore(t)
	for _, says := range []string{"LOADING dataset in memory", "OOM command not allowed", "MISCONF"} {
		server.SetError(says)
		expectOutage(t, store.Ping(ctx))
	}
	server.SetError("WRONGTYPE it is our fault")
	var away *dependency.Unavailable
	if err := store.Ping(ctx); err == nil || errors.As(err, &away) {
		t.Errorf("our own fault: %v", err)
	}
}

// cutAfter is a server in front of another that cuts each of its first connections when it has
// passed on the greeting and a call, so that the call's answer is lost.
func cutAfter(t *testing.T, address string, connections int) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", address)
			if err != nil {
				return
			}
			lose := connections > 0
			connections--
			go relay(client, server, lose)
		}
	}()
	return listener.Addr().String()
}

func relay(client, server net.Conn, lose bool) {
	defer client.Close()
	defer server.Close()
	buffer := make([]byte, 1<<16)
	for calls := 0; ; calls++ {
		for _, way := range [][2]net.Conn{{client, server}, {server, client}} {
			n, err := way[0].Read(buffer)
			if err != nil || lose && calls > 0 && way[0] == server {
				return
			}
			if _, err := way[1].Write(buffer[:n]); err != nil {
				return
			}
		}
	}
}

func TestCallsWhoseAnswerIsLostAreRepeatedIfThatIsSafe(t *testing.T) {
	store, server := newStore(t)
	cart := fill(t, store, Line{1, 5})
	// Known scripts take one call, not two.
	for _, script := range []*redis.Script{putScript, subtractScript} {
		if err := script.Load(ctx, store.client).Err(); err != nil {
			t.Fatal(err)
		}
	}

	once := storeAt(t, cutAfter(t, server.Addr(), 1), time.Minute)
	if got, err := once.Read(ctx, user); err != nil || !reflect.DeepEqual(got, cart) {
		t.Errorf("read: %v, %v", got, err)
	}
	once = storeAt(t, cutAfter(t, server.Addr(), 1), time.Minute)
	if err := once.Subtract(ctx, user, order, []Line{{1, 2}}); err != nil {
		t.Errorf("subtract: %v", err)
	}
	expectLines(t, store, Line{1, 3})

	// Repeated, this one would find the version that it made itself.
	once = storeAt(t, cutAfter(t, server.Addr(), 1), time.Minute)
	_, err := once.Put(ctx, user, Line{1, 9}, read(t, store).Version)
	expectOutage(t, err)
	expectLines(t, store, Line{1, 9})
}
