package startup

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

var quiet = slog.New(slog.DiscardHandler)

func TestDoneWhenEveryNeedIsMet(t *testing.T) {
	var tries atomic.Int32
	var starting *Startup
	starting = New([]Need{
		{"first", func(context.Context) error { return nil }},
		{"second", func(context.Context) error {
			if starting.Missing() == "" {
				t.Error("done too early")
			}
			if tries.Add(1) < 3 {
				return errors.New("away")
			}
			return nil
		}},
	}, time.Minute, quiet)
	if got := starting.Missing(); got != "first" {
		t.Errorf("missing at first: %q", got)
	}
	if err := starting.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	if got := starting.Missing(); got != "" || tries.Load() != 3 {
		t.Errorf("missing at last: %q, after %d tries", got, tries.Load())
	}
}

func TestGivesUpWithOneSentence(t *testing.T) {
	starting := New([]Need{
		{"first", func(context.Context) error { return nil }},
		{"second", func(context.Context) error { return errors.New("connection refused") }},
	}, time.Millisecond, quiet)
	err := starting.Run(context.Background())
	if err == nil || err.Error() != "the second not up after 0.001 s: connection refused" {
		t.Error(err)
	}
	if starting.Missing() != "second" {
		t.Error(starting.Missing())
	}
}

func TestStoppedMeanwhile(t *testing.T) {
	ctx, stop := context.WithCancel(context.Background())
	starting := New([]Need{{"only", func(context.Context) error {
		stop()
		return errors.New("away")
	}}}, time.Minute, quiet)
	if err := starting.Run(ctx); err != nil || starting.Missing() != "only" {
		t.Errorf("%v, missing %q", err, starting.Missing())
	}
}

func TestWaitingIsLoggedOnce(t *testing.T) {
	var log strings.Builder
	tries := 0
	starting := New([]Need{{"cart store", func(context.Context) error {
		if tries++; tries < 4 {
			return errors.New("away")
		}
		return nil
	}}}, time.Minute, slog.New(slog.NewTextHandler(&log, nil)))
	if err := starting.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{`"waiting for the cart store"`, `"the cart store is up"`, "msg=ready"} {
		if strings.Count(log.String(), line) != 1 {
			t.Errorf("%s: %s", line, log.String())
		}
	}
}
