// Package instanceid names this process among those that answer for the service.
package instanceid

import "triptych/cart/internal/requestid"

// Header carries the name on every answer.
const Header = "X-Instance-ID"

// Value is this process's name: another one with each start.
var Value = requestid.Fresh()
