package tokens

import (
	"context"
	"crypto/ecdsa"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

const (
	refreshInterval = 5 * time.Minute
	// Anybody can send unknown key ids; the auth service should not suffer for it.
	unknownKeyInterval = 10 * time.Second
)

// Fetch gets the key set document from the auth service.
type Fetch func(context.Context) ([]byte, error)

// Keys are the auth service's public keys. A refresh that fails keeps those that there are.
type Keys struct {
	fetch   Fetch
	log     *slog.Logger
	current atomic.Pointer[keySet] // nil until the first fetch
	changed func()                 // called when a refresh brought other keys

	mu          sync.Mutex // held while an unknown key id is looked for
	lookedForAt time.Time
}

// NewKeys returns an empty set of keys.
func NewKeys(fetch Fetch, log *slog.Logger) *Keys {
	return &Keys{fetch: fetch, log: log, changed: func() {}}
}

// Fetched says whether a key set was fetched once.
func (k *Keys) Fetched() bool { return k.current.Load() != nil }

// Refresh fetches the keys.
func (k *Keys) Refresh(ctx context.Context) error {
	document, err := k.fetch(ctx)
	if err != nil {
		return err
	}
	fresh, err := parseKeySet(document)
	if err != nil {
		return err
	}
	old := k.current.Swap(&fresh)
	if old != nil && !equal(*old, fresh) {
		k.log.InfoContext(ctx, "the auth service has other keys now")
		k.changed()
	}
	return nil
}

// RefreshRegularly does so every five minutes until ctx is done.
func (k *Keys) RefreshRegularly(ctx context.Context) {
	ticker := time.NewTicker(refreshInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			k.refreshOrWarn(ctx)
		}
	}
}

func (k *Keys) refreshOrWarn(ctx context.Context) {
	if err := k.Refresh(ctx); err != nil {
		k.log.WarnContext(ctx, "keys not refreshed", "reason", err.Error())
	}
}

// find returns the key of an id, after a refresh if it is not known.
func (k *Keys) find(ctx context.Context, id string) (*ecdsa.PublicKey, bool) {
	if key, ok := k.known(id); ok {
		return key, true
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	// Another request may have looked for it while this one waited.
	if key, ok := k.known(id); ok {
		return key, true
	}
	if now := time.Now(); now.Sub(k.lookedForAt) >= unknownKeyInterval {
		k.lookedForAt = now
		k.refreshOrWarn(ctx)
	}
	return k.known(id)
}

func (k *Keys) known(id string) (*ecdsa.PublicKey, bool) {
	set := k.current.Load()
	if set == nil {
		return nil, false
	}
	key, ok := (*set)[id]
	return key, ok
}

func equal(a, b keySet) bool {
	if len(a) != len(b) {
		return false
	}
	for id, key := range a {
		if other, ok := b[id]; !ok || !key.Equal(other) {
			return false
		}
	}
	return true
}
