package tokens

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
)

// keySet holds public keys by their ids.
type keySet map[string]*ecdsa.PublicKey

// parseKeySet reads a JSON Web Key Set (RFC 7517). Keys that are not for ES256 are left out; a set
// without any other is an error.
func parseKeySet(document []byte) (keySet, error) {
	var set struct {
		Keys []struct {
			Type  string `json:"kty"`
			Curve string `json:"crv"`
			Use   string `json:"use"`
			ID    string `json:"kid"`
			X     string `json:"x"`
			Y     string `json:"y"`
		} `json:"keys"`
	}
	if err := json.Unmarshal(document, &set); err != nil {
		return nil, fmt.Errorf("not a key set: %w", err)
	}
	keys := keySet{}
	for _, key := range set.Keys {
		if key.Type != "EC" || key.Curve != "P-256" || (key.Use != "" && key.Use != "sig") {
			continue
		}
		public, err := parseKey(key.X, key.Y)
		if err != nil {
			return nil, fmt.Errorf("key %q: %w", key.ID, err)
		}
		keys[key.ID] = public
	}
	if len(keys) == 0 {
		return nil, errors.New("the key set has no key for ES256")
	}
	return keys, nil
}

func parseKey(x, y string) (*ecdsa.PublicKey, error) {
	point := []byte{4} // uncompressed
	for _, coordinate := range []string{x, y} {
		decoded, err := base64.RawURLEncoding.DecodeString(coordinate)
		if err != nil || len(decoded) != 32 {
			return nil, errors.New("a coordinate is not 32 bytes in base64url")
		}
		point = append(point, decoded...)
	}
	if _, err := ecdh.P256().NewPublicKey(point); err != nil {
		return nil, errors.New("not a point on P-256")
	}
	return &ecdsa.PublicKey{
		Curve: elliptic.P256(),
		X:     new(big.Int).SetBytes(point[1:33]),
		Y:     new(big.Int).SetBytes(point[33:]),
	}, nil
}
