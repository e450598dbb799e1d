// Package instanceid names this process among those that answer for the service.
package instanceid

import (
	"crypto/rand"
	"encoding/hex"
)

// Header carries the name on every answer.
const Header = "X-Instance-ID"

// Value is this process's name: another one with each start.
var Value = fresh()

func fresh() string {
	var name [16]byte
	_, _ = rand.Read(name[:]) // never fails
	return hex.EncodeToString(name[:])
}
