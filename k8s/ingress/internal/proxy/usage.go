package proxy

import (
	"context"
	"sync"
)

// usage counts who uses something, so that its end can wait for them.
type usage struct {
	mu      sync.Mutex
	users   int
	retired bool
	unused  chan struct{} // closed when retired and not used any more
}

func newUsage() *usage { return &usage{unused: make(chan struct{})} }

// acquire tells whether there is still something to use; done has to follow if so.
func (u *usage) acquire() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.retired {
		return false
	}
	u.users++
	return true
}

func (u *usage) done() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.users--
	if u.retired && u.users == 0 {
		close(u.unused)
	}
}

// retire lets in nobody new. The channel is closed when the last user is done.
func (u *usage) retire() <-chan struct{} {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.retired {
		u.retired = true
		if u.users == 0 {
			close(u.unused)
		}
	}
	return u.unused
}

// wait waits for a channel, or the context.
func wait(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
