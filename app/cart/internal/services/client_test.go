package services

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"triptych/cart/internal/dependency"
	"triptych/cart/internal/requestid"
)

// serve answers the n-th call (from 1) by answer and returns a client and the number of calls.
func serve(
	t *testing.T, timeout time.Duration, answer func(n int32, w http.ResponseWriter, r *http.Request),
) (*Client, *atomic.Int32) {
	t.Helper()
	var calls atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer(calls.Add(1), w, r)
	}))
	t.Cleanup(server.Close)
	transport := NewTransport(timeout)
	t.Cleanup(transport.CloseIdleConnections)
	return NewClient("test service", server.URL, timeout, transport), &calls
}

func TestGet(t *testing.T) {
	client, calls := serve(t, time.Minute, func(_ int32, w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.URL.RequestURI()+" for "+r.Header.Get("X-Request-ID"))
	})
	body, err := client.Get(requestid.NewContext(context.Background(), "abc"), "/a?b=1,2")
	if err != nil || string(body) != "/a?b=1,2 for abc" || calls.Load() != 1 {
		t.Errorf("%q, %v, %d calls", body, err, calls.Load())
	}
}

func TestAServiceThatFailsOnceIsAskedAgain(t *testing.T) {
	client, calls := serve(t, time.Minute, func(n int32, w http.ResponseWriter, _ *http.Request) {
		if n == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "good")
	})
	body, err := client.Get(context.Background(), "/")
	if err != nil || string(body) != "good" || calls.Load() != 2 {
		t.Errorf("%q, %v, %d calls", body, err, calls.Load())
	}
}

func TestAServiceThatKeepsFailing(t *testing.T) {
	client, calls := serve(t, time.Minute, func(_ int32, _ http.ResponseWriter, _ *http.Request) {
		panic(http.ErrAbortHandler) // no answer at all
	})
	_, err := client.Get(context.Background(), "/")
	var away *dependency.Unavailable
	if !errors.As(err, &away) || away.Name != "test service" || calls.Load() != 2 {
		t.Errorf("%v, %d calls", err, calls.Load())
	}
}

func TestAServiceThatHangs(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	client, _ := serve(t, 20*time.Millisecond, func(_ int32, _ http.ResponseWriter, _ *http.Request) {
		<-release
	})
	_, err := client.Get(context.Background(), "/")
	var away *dependency.Unavailable
	if !errors.As(err, &away) || !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

// silent returns an address that takes no more connections and refuses none.
func silent(t *testing.T) string {
	t.Helper()
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(socket) })
	if err := syscall.Bind(socket, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(socket, 0); err != nil {
		t.Fatal(err)
	}
	bound, err := syscall.Getsockname(socket)
	if err != nil {
		t.Fatal(err)
	}
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(bound.(*syscall.SockaddrInet4).Port))
	for {
		waiting, err := net.DialTimeout("tcp", address, 200*time.Millisecond)
		if err != nil {
			return address
		}
		t.Cleanup(func() { _ = waiting.Close() })
	}
}

func TestADialDoesNotOutliveItsRequest(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, err := NewTransport(20*time.Millisecond).DialContext(ctx, "tcp", silent(t))
	var late net.Error
	if !errors.As(err, &late) || !late.Timeout() || ctx.Err() != nil {
		t.Errorf("%v; the caller's own end: %v", err, ctx.Err())
	}
}

func TestARefusalIsOurDefect(t *testing.T) {
	for _, status := range []int{http.StatusFound, http.StatusNotFound, http.StatusUnprocessableEntity} {
		client, calls := serve(t, time.Minute, func(_ int32, w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(status)
		})
		_, err := client.Get(context.Background(), "/")
		var away *dependency.Unavailable
		if err == nil || errors.As(err, &away) || calls.Load() != 1 {
			t.Errorf("%d: %v, %d calls", status, err, calls.Load())
		}
	}
}
