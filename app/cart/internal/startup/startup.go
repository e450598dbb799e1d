// Package startup waits in the background for what the service needs, while it answers already.
//
// It polls every 50 ms, so that readiness says when the parts came up, not when we looked.
package startup

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync/atomic"
	"time"

	"triptych/cart/internal/dependency"
)

const pollInterval = 50 * time.Millisecond

// Need is a part of the shop that has to be there before the service can serve.
type Need struct {
	Name string // in words, such as "cart store"
	Try  func(context.Context) error
}

// Startup is the state of a start-up.
type Startup struct {
	needs   []Need
	met     []atomic.Bool
	timeout time.Duration
	log     *slog.Logger
}

// New returns a start-up that has not begun; it fails after timeout.
func New(needs []Need, timeout time.Duration, log *slog.Logger) *Startup {
	return &Startup{needs, make([]atomic.Bool, len(needs)), timeout, log}
}

// Missing returns the name of a need that is not met yet; empty if start-up is done.
func (s *Startup) Missing() string {
	for i := range s.met {
		if !s.met[i].Load() {
			return s.needs[i].Name
		}
	}
	return ""
}

// Run waits until every need is met. Its error says in one sentence which one was not in time; it
// is nil if ctx ended first.
func (s *Startup) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	started := time.Now()
	results := make(chan error)
	for i := range s.needs {
		go func() { results <- s.await(ctx, i, started.Add(s.timeout)) }()
	}
	var first error
	for range s.needs {
		if err := <-results; err != nil && first == nil {
			first = err
			cancel() // the others need not be waited for
		}
	}
	if first == nil && s.Missing() == "" {
		elapsed := math.Round(time.Since(started).Seconds()*1000) / 1000
		s.log.Info("ready", "startup_s", elapsed)
	}
	return first
}

func (s *Startup) await(ctx context.Context, i int, deadline time.Time) error {
	need := s.needs[i]
	for waiting := false; ; waiting = true {
		err := need.Try(ctx)
		var away *dependency.Unavailable
		if errors.As(err, &away) {
			err = away.Err // the name is said already
		}
		switch {
		case err == nil:
			s.met[i].Store(true)
			if waiting {
				s.log.Info("the " + need.Name + " is up")
			}
			return nil
		case ctx.Err() != nil:
			return nil
		case !time.Now().Before(deadline):
			return fmt.Errorf("the %s not up after %g s: %w", need.Name, s.timeout.Seconds(), err)
		case !waiting:
			s.log.Info("waiting for the "+need.Name, "reason", err.Error())
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pollInterval):
		}
	}
}
