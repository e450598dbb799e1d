// Package requestid names requests, so that one can be followed through every service's log.
package requestid

import (
	"context"
	"crypto/rand"
	"encoding/hex"
)

// Header carries the id on requests and answers.
const Header = "X-Request-ID"

const maxLength = 64

type key struct{}

// Accept returns the caller's id if it is well formed, else a fresh one.
func Accept(offered string) string {
	if wellFormed(offered) {
		return offered
	}
	return Fresh()
}

// Fresh returns a new id.
func Fresh() string {
	var fresh [16]byte
	_, _ = rand.Read(fresh[:]) // never fails
	return hex.EncodeToString(fresh[:])
}

func wellFormed(id string) bool {
	if id == "" || len(id) > maxLength {
		return false
	}
	for i := range len(id) {
		switch c := id[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '.', c == '_', c == '-':
		default:
			return false
		}
	}
	return true
}

// NewContext returns a context that carries the id.
func NewContext(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, key{}, id)
}

// FromContext returns the id of the request that ctx belongs to; empty if it belongs to none.
func FromContext(ctx context.Context) string {
	id, _ := ctx.Value(key{}).(string)
	return id
}
