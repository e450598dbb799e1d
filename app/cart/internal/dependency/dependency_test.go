package dependency

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"
)

var errAway = errors.New("away")

func yes(error) bool { return true }
func no(error) bool  { return false }

func TestASecondTry(t *testing.T) {
	for name, test := range map[string]struct {
		repeatable func(error) bool
		failures   int
		calls      int
		err        error
	}{
		"good at once":     {yes, 0, 1, nil},
		"good then":        {yes, 1, 2, nil},
		"bad twice":        {yes, 5, 2, errAway},
		"not to be tried":  {no, 1, 1, errAway},
		"good, unrepeated": {no, 0, 1, nil},
	} {
		t.Run(name, func(t *testing.T) {
			calls := 0
			err := New("x", time.Minute).Call(context.Background(), test.repeatable,
				func(context.Context) error {
					calls++
					if calls <= test.failures {
						return errAway
					}
					return nil
				})
			if calls != test.calls || !errors.Is(err, test.err) {
				t.Errorf("%d calls, %v", calls, err)
			}
		})
	}
}

func TestOneDeadlineForBoth(t *testing.T) {
	calls := 0
	err := New("x", time.Millisecond).Call(context.Background(), yes, func(ctx context.Context) error {
		calls++
		<-ctx.Done()
		return ctx.Err()
	})
	if calls != 1 || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%d calls, %v", calls, err)
	}
}

func TestACallerWhoHangsUpCutsNothingShort(t *testing.T) {
	ctx, hangUp := context.WithCancel(context.Background())
	hangUp()
	err := New("x", time.Minute).Call(ctx, no, func(ctx context.Context) error { return ctx.Err() })
	if err != nil {
		t.Error(err)
	}
}

func TestCallsTakeTurns(t *testing.T) {
	busy := New("store", 20*time.Millisecond)
	begun, release := make(chan struct{}), make(chan struct{})
	var calls sync.WaitGroup
	for range MaxCalls {
		calls.Add(1)
		go func() {
			defer calls.Done()
			_ = busy.Call(context.Background(), no, func(context.Context) error {
				begun <- struct{}{}
				<-release
				return nil
			})
		}()
	}
	for range MaxCalls {
		<-begun
	}
	nothing := func(context.Context) error { return nil }
	var away *Unavailable
	if err := busy.Call(context.Background(), no, nothing); !errors.As(err, &away) || away.Name != "store" {
		t.Errorf("while all turns are taken: %v", err)
	}
	close(release)
	calls.Wait()
	if err := busy.Call(context.Background(), no, nothing); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}
