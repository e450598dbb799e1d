// Package dependency is how the service asks others: so many at a time, within a deadline, twice
// at most, and with one kind of error when there is no answer.
package dependency

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// MaxCalls is how many calls of one dependency are under way at the same time.
const MaxCalls = 32

const pause = 50 * time.Millisecond

var errBusy = errors.New("too many calls at the same time")

// Unavailable is the error of a part of the shop that does not answer.
type Unavailable struct {
	Name string // in words, for the client
	Err  error
}

func (u *Unavailable) Error() string { return fmt.Sprintf("%s unavailable: %v", u.Name, u.Err) }

func (u *Unavailable) Unwrap() error { return u.Err }

// Dependency is a part of the shop that the service asks.
type Dependency struct {
	Name    string // in words
	timeout time.Duration
	turns   chan struct{}
}

// New returns a dependency whose calls take at most timeout, repetitions included.
func New(name string, timeout time.Duration) *Dependency {
	return &Dependency{name, timeout, make(chan struct{}, MaxCalls)}
}

// Unavailable gives the error of a call this dependency's name.
func (d *Dependency) Unavailable(err error) error { return &Unavailable{d.Name, err} }

// Call waits for its turn, runs ask, and runs it a second time after a pause if its error is one
// that repeatable approves of. Both tries share one deadline. The wait is not part of it: what is
// short in a burst is our own CPU time, and the dependency is not to blame for that.
func (d *Dependency) Call(
	ctx context.Context, repeatable func(error) bool, ask func(context.Context) error,
) error {
	select {
	case d.turns <- struct{}{}:
	case <-time.After(d.timeout):
		return d.Unavailable(errBusy)
	}
	defer func() { <-d.turns }()
	return Try(ctx, d.timeout, repeatable, ask)
}

// Try is a call out of turn, with a time-out of its own. The deadline is the only one: a caller
// who hangs up does not cut a change short that is half done.
func Try(
	ctx context.Context,
	timeout time.Duration,
	repeatable func(error) bool,
	ask func(context.Context) error,
) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	err := ask(ctx)
	if err == nil || !repeatable(err) {
		return err
	}
	select {
	case <-ctx.Done():
		return err
	case <-time.After(pause):
		return ask(ctx)
	}
}
