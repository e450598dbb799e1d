// Package tokens checks access tokens: JWTs that the auth service signs with ES256, the only
// algorithm that is ever accepted.
package tokens

import (
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
)

// Verifier checks tokens. It remembers good ones: a customer sends the same token many times,
// and the signature is most of the work of a request.
type Verifier struct {
	keys   *Keys
	parser *jwt.Parser
	seen   *memory
	now    func() time.Time
}

// NewVerifier returns a verifier for tokens of this issuer and audience.
func NewVerifier(keys *Keys, issuer, audience string) *Verifier {
	v := &Verifier{keys: keys, seen: newMemory(), now: time.Now}
	v.parser = jwt.NewParser(
		jwt.WithValidMethods([]string{jwt.SigningMethodES256.Alg()}),
		jwt.WithIssuer(issuer),
		jwt.WithAudience(audience),
		jwt.WithExpirationRequired(),
		jwt.WithIssuedAt(),
		jwt.WithStrictDecoding(),
		jwt.WithTimeFunc(func() time.Time { return v.now() }),
	)
	keys.changed = v.seen.forget // a key that was withdrawn is good for nothing
	return v
}

// Verify returns the user that a token stands for; an error if anything about it is wrong.
func (v *Verifier) Verify(ctx context.Context, token string) (uuid.UUID, error) {
	digest := sha256.Sum256([]byte(token))
	if known, ok := v.seen.get(digest); ok && v.now().Before(known.expires) {
		return known.user, nil
	}
	generation := v.seen.generation()
	var claims jwt.RegisteredClaims
	_, err := v.parser.ParseWithClaims(token, &claims, func(t *jwt.Token) (any, error) {
		return v.key(ctx, t)
	})
	if err != nil {
		return uuid.Nil, err
	}
	if claims.IssuedAt == nil {
		return uuid.Nil, errors.New("no time of issue")
	}
	user, err := uuid.Parse(claims.Subject)
	if err != nil {
		return uuid.Nil, fmt.Errorf("subject: %w", err)
	}
	v.seen.put(digest, session{user, claims.ExpiresAt.Time}, generation)
	return user, nil
}

func (v *Verifier) key(ctx context.Context, token *jwt.Token) (*ecdsa.PublicKey, error) {
	id, ok := token.Header["kid"].(string)
	if !ok {
		return nil, errors.New("no key id")
	}
	key, ok := v.keys.find(ctx, id)
	if !ok {
		return nil, errors.New("unknown key id")
	}
	return key, nil
}
