package proxy

import (
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// coolDown is how long an endpoint that could not be connected to is passed over, as long as there
// are others. It covers the time until the cluster itself has noticed.
const coolDown = 3 * time.Second

// endpoints is the source of a backend's upstreams. Caddy asks it ahead of each attempt, so a
// change counts from the next attempt on and nothing has to be loaded anew.
type endpoints struct {
	addresses atomic.Pointer[addresses]
	turn      atomic.Uint64
	mu        sync.Mutex
	cooling   map[string]time.Time // until when
}

// addresses are those that take turns, and those that are asked where none of these takes a request.
type addresses struct{ ready, leaving []string }

func newEndpoints(ready, leaving []string) *endpoints {
	e := &endpoints{cooling: map[string]time.Time{}}
	e.addresses.Store(&addresses{ready, leaving})
	return e
}

// update replaces the addresses.
func (e *endpoints) update(ready, leaving []string) {
	before := e.addresses.Swap(&addresses{ready, leaving})
	if slices.Equal(before.ready, ready) {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	clear(e.cooling) // An address may be another pod's by now.
}

func (e *endpoints) empty() bool { return len(e.addresses.Load().ready) == 0 }

// attempts is what one request has tried so far, the last one last.
type attempts struct{ tried []string }

// GetUpstreams implements reverseproxy.UpstreamSource: it returns the one endpoint to try next.
func (e *endpoints) GetUpstreams(r *http.Request) ([]*reverseproxy.Upstream, error) {
	made := attemptsOf(r)
	if len(made.tried) > 0 {
		// It is asked again only if there was no connection.
		e.cool(made.tried[len(made.tried)-1])
	}
	chosen, ok := e.next(made.tried)
	if !ok {
		return nil, nil
	}
	made.tried = append(made.tried, chosen)
	return []*reverseproxy.Upstream{{Dial: chosen}}, nil
}

// next returns the endpoint whose turn it is, of those that are the best to be had.
func (e *endpoints) next(tried []string) (string, bool) {
	known := e.addresses.Load()
	count := uint64(len(known.ready))
	if count == 0 {
		return "", false
	}
	turn := e.turn.Add(1)
	inTurn := slices.Concat(known.ready[turn%count:], known.ready[:turn%count], known.leaving)
	untried := ""
	for _, candidate := range inTurn {
		switch {
		case slices.Contains(tried, candidate):
		case !e.isCooling(candidate):
			return candidate, true
		case untried == "":
			untried = candidate
		}
	}
	if untried != "" {
		return untried, true
	}
	return inTurn[0], true
}

func (e *endpoints) cool(address string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.cooling[address] = time.Now().Add(coolDown)
}

func (e *endpoints) isCooling(address string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	until, ok := e.cooling[address]
	if ok && time.Now().After(until) {
		delete(e.cooling, address)
		return false
	}
	return ok
}
