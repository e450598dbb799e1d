package tokens

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
)

var (
	quiet = slog.New(slog.DiscardHandler)
	user  = uuid.MustParse("0f6b3f0e-3c1c-4f6e-9a53-5e0c7c3f6a51")
)

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// authService publishes keys by id, or fails.
type authService struct {
	keys    map[string]*ecdsa.PrivateKey
	failing bool
	fetches int
}

func (a *authService) fetch(context.Context) ([]byte, error) {
	a.fetches++
	if a.failing {
		return nil, errors.New("away")
	}
	set := map[string][]map[string]string{"keys": {
		{"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "not ours"},
	}}
	for id, key := range a.keys {
		point, _ := key.PublicKey.ECDH()
		coordinates := point.Bytes()[1:]
		set["keys"] = append(set["keys"], map[string]string{
			"kty": "EC", "crv": "P-256", "kid": id, "alg": "ES256", "use": "sig",
			"x": base64.RawURLEncoding.EncodeToString(coordinates[:32]),
			"y": base64.RawURLEncoding.EncodeToString(coordinates[32:]),
		})
	}
	return json.Marshal(set)
}

// newVerifier returns a verifier whose keys are those of a new service with a key named "k1".
func newVerifier(t *testing.T) (*Verifier, *authService) {
	t.Helper()
	auth := &authService{keys: map[string]*ecdsa.PrivateKey{"k1": newKey(t)}}
	keys := NewKeys(auth.fetch, quiet)
	verifier := NewVerifier(keys, "triptych", "triptych-shop")
	if err := keys.Refresh(context.Background()); err != nil {
		t.Fatal(err)
	}
	return verifier, auth
}

func claims(changes map[string]any) jwt.MapClaims {
	now := time.Now().Unix()
	all := jwt.MapClaims{
		"iss": "triptych", "aud": "triptych-shop", "sub": user.String(),
		"iat": now, "exp": now + 900, "jti": "7",
	}
	for name, value := range changes {
		if value == nil {
			delete(all, name)
		} else {
			all[name] = value
		}
	}
	return all
}

func sign(t *testing.T, key *ecdsa.PrivateKey, header map[string]any, claims jwt.MapClaims) string {
	t.Helper()
	token := jwt.NewWithClaims(jwt.SigningMethodES256, claims)
	maps.Copy(token.Header, header)
	signed, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func encode(data string) string { return base64.RawURLEncoding.EncodeToString([]byte(data)) }

func TestAGoodToken(t *testing.T) {
	verifier, auth := newVerifier(t)
	token := sign(t, auth.keys["k1"], map[string]any{"kid": "k1"}, claims(nil))
	for range 2 {
		if got, err := verifier.Verify(context.Background(), token); err != nil || got != user {
			t.Errorf("%s, %v", got, err)
		}
	}
	if auth.fetches != 1 {
		t.Errorf("%d fetches", auth.fetches)
	}
}

func TestForgeries(t *testing.T) {
	verifier, auth := newVerifier(t)
	stranger := newKey(t)
	k1 := map[string]any{"kid": "k1"}
	good := sign(t, auth.keys["k1"], k1, claims(nil))
	parts := strings.Split(good, ".")
	later, _ := json.Marshal(claims(map[string]any{"exp": time.Now().Unix() + 86_400}))
	hs256 := encode(`{"alg":"HS256","typ":"JWT","kid":"k1"}`) + "." + parts[1]
	published, _ := auth.fetch(context.Background())
	mac := hmac.New(sha256.New, published)
	mac.Write([]byte(hs256))

	for how, token := range map[string]string{
		"alg none":               encode(`{"alg":"none","kid":"k1"}`) + "." + parts[1] + ".",
		"alg None":               encode(`{"alg":"None","kid":"k1"}`) + "." + parts[1] + ".",
		"alg ES384":              encode(`{"alg":"ES384","kid":"k1"}`) + "." + parts[1] + "." + parts[2],
		"HS256, the public key":  hs256 + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil)),
		"wrong key":              sign(t, stranger, k1, claims(nil)),
		"key of its own":         sign(t, stranger, map[string]any{"jwk": map[string]any{}}, claims(nil)),
		"no key id":              sign(t, auth.keys["k1"], nil, claims(nil)),
		"key id of another type": sign(t, auth.keys["k1"], map[string]any{"kid": 1}, claims(nil)),
		"unknown key id":         sign(t, stranger, map[string]any{"kid": "k2"}, claims(nil)),
		"claims changed":         parts[0] + "." + encode(string(later)) + "." + parts[2],
		"signature cut":          good[:len(good)-4],
		"signature of zeros":     parts[0] + "." + parts[1] + "." + encode(string(make([]byte, 64))),
		"no signature":           parts[0] + "." + parts[1] + ".",
		"two parts":              parts[0] + "." + parts[1],
		"padded":                 good + "==",
		"garbage":                "not-a-token",
		"empty parts":            "..",
		"empty":                  "",
	} {
		if got, err := verifier.Verify(context.Background(), token); err == nil {
			t.Errorf("%s: taken for %s", how, got)
		}
	}
	if _, err := verifier.Verify(context.Background(), good); err != nil {
		t.Errorf("the good one they were made from: %v", err)
	}
}

func TestClaimsAreCheckedEvenWithTheRightKey(t *testing.T) {
	verifier, auth := newVerifier(t)
	now := time.Now().Unix()
	for _, change := range []map[string]any{
		{"exp": now - 1}, {"exp": nil}, {"exp": "soon"},
		{"iss": "someone-else"}, {"iss": nil},
		{"aud": "another-shop"}, {"aud": nil}, {"aud": []string{}},
		{"sub": nil}, {"sub": "not-a-uuid"}, {"sub": 7},
		{"nbf": now + 3600}, {"iat": now + 3600}, {"iat": nil},
	} {
		token := sign(t, auth.keys["k1"], map[string]any{"kid": "k1"}, claims(change))
		if _, err := verifier.Verify(context.Background(), token); err == nil {
			t.Errorf("%v is good enough", change)
		}
	}
	several := claims(map[string]any{"aud": []string{"another-shop", "triptych-shop"}})
	token := sign(t, auth.keys["k1"], map[string]any{"kid": "k1"}, several)
	if _, err := verifier.Verify(context.Background(), token); err != nil {
		t.Errorf("one of several audiences: %v", err)
	}
}

func TestARememberedTokenExpires(t *testing.T) {
	verifier, auth := newVerifier(t)
	token := sign(t, auth.keys["k1"], map[string]any{"kid": "k1"}, claims(nil))
	if _, err := verifier.Verify(context.Background(), token); err != nil {
		t.Fatal(err)
	}
	verifier.now = func() time.Time { return time.Now().Add(901 * time.Second) }
	if _, err := verifier.Verify(context.Background(), token); err == nil {
		t.Error("still good")
	}
}

func TestARememberedTokenDiesWithItsKey(t *testing.T) {
	verifier, auth := newVerifier(t)
	token := sign(t, auth.keys["k1"], map[string]any{"kid": "k1"}, claims(nil))
	if _, err := verifier.Verify(context.Background(), token); err != nil {
		t.Fatal(err)
	}
	auth.keys = map[string]*ecdsa.PrivateKey{"k1": newKey(t)}
	if err := verifier.keys.Refresh(context.Background()); err != nil {
		t.Fatal(err)
	}
	if _, err := verifier.Verify(context.Background(), token); err == nil {
		t.Error("still good")
	}
}

func TestANewKeyIsFetchedAtOnceButNotForEverybody(t *testing.T) {
	verifier, auth := newVerifier(t)
	auth.keys["k2"] = newKey(t)
	token := sign(t, auth.keys["k2"], map[string]any{"kid": "k2"}, claims(nil))
	if _, err := verifier.Verify(context.Background(), token); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		stranger := sign(t, newKey(t), map[string]any{"kid": "k3"}, claims(nil))
		if _, err := verifier.Verify(context.Background(), stranger); err == nil {
			t.Fatal("unknown key id")
		}
	}
	if auth.fetches != 2 {
		t.Errorf("%d fetches", auth.fetches)
	}
	verifier.keys.lookedForAt = time.Now().Add(-unknownKeyInterval)
	auth.keys["k3"] = newKey(t)
	token = sign(t, auth.keys["k3"], map[string]any{"kid": "k3"}, claims(nil))
	if _, err := verifier.Verify(context.Background(), token); err != nil {
		t.Errorf("10 s later: %v", err)
	}
}

func TestAFailingRefreshKeepsTheKeys(t *testing.T) {
	verifier, auth := newVerifier(t)
	auth.failing = true
	if err := verifier.keys.Refresh(context.Background()); err == nil {
		t.Fatal("the failure is not told")
	}
	token := sign(t, auth.keys["k1"], map[string]any{"kid": "k1"}, claims(nil))
	if _, err := verifier.Verify(context.Background(), token); err != nil {
		t.Error(err)
	}
}

func TestFetched(t *testing.T) {
	auth := &authService{failing: true}
	keys := NewKeys(auth.fetch, quiet)
	if err := keys.Refresh(context.Background()); err == nil || keys.Fetched() {
		t.Error("fetched nothing")
	}
	auth.failing = false
	if err := keys.Refresh(context.Background()); err == nil || keys.Fetched() {
		t.Error("a set without a key for ES256 is none")
	}
	auth.keys = map[string]*ecdsa.PrivateKey{"k1": newKey(t)}
	if err := keys.Refresh(context.Background()); err != nil || !keys.Fetched() {
		t.Error(err)
	}
}

func TestKeySetsOutOfForm(t *testing.T) {
	const coordinate = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	for _, document := range []string{
		`<html>`, `[]`, `{}`, `{"keys": []}`, `{"keys": 1}`,
		`{"keys": [{"kty": "EC", "crv": "P-384", "kid": "k"}]}`,
		`{"keys": [{"kty": "EC", "crv": "P-256", "kid": "k", "use": "enc"}]}`,
		`{"keys": [{"kty": "EC", "crv": "P-256", "kid": "k", "x": "AA", "y": "AA"}]}`,
		`{"keys": [{"kty": "EC", "crv": "P-256", "kid": "k", "x": "` + coordinate + `", "y": "` + coordinate + `"}]}`,
	} {
		if keys, err := parseKeySet([]byte(document)); err == nil {
			t.Errorf("%s: %v", document, keys)
		}
	}
}

func TestTheMemoryIsBoundedAndKeepsWhatIsUsed(t *testing.T) {
	seen := newMemory()
	key := func(i int) digest { return digest{byte(i), byte(i >> 8), byte(i >> 16)} }
	seen.put(key(0), session{user: user}, 0)
	for i := 1; i <= 5*maxRemembered; i++ {
		seen.put(key(i), session{}, 0)
		if found, ok := seen.get(key(0)); !ok || found.user != user {
			t.Fatalf("forgotten after %d others, though used all the time", i)
		}
	}
	if size := len(seen.young) + len(seen.old); size > 2*maxRemembered {
		t.Errorf("%d remembered", size)
	}
	if _, ok := seen.get(key(1)); ok {
		t.Error("the first of them is still there")
	}
}
