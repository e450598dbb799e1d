// Package services calls the shop's other services.
package services

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"triptych/cart/internal/dependency"
	"triptych/cart/internal/requestid"
)

const maxAnswerBytes = 1 << 20

// NewTransport returns connections that are kept and shared; none is waited for longer than
// timeout. A dial outlives the request that it was for, and would keep one of the host's few
// connections for as long as the kernel tries: two minutes, where packets are dropped.
func NewTransport(timeout time.Duration) *http.Transport {
	return &http.Transport{
		DialContext:         (&net.Dialer{Timeout: timeout}).DialContext,
		MaxConnsPerHost:     dependency.MaxCalls,
		MaxIdleConnsPerHost: dependency.MaxCalls,
		// Shorter than the services keep theirs, so that they do not close one that is about to
		// be used.
		IdleConnTimeout:    25 * time.Second,
		DisableCompression: true,
	}
}

// Client asks one service.
type Client struct {
	service *dependency.Dependency
	base    string
	http    *http.Client
}

// NewClient returns a client for the service at the URL base; name says in words what it is, and
// timeout holds for a call with its repetition.
func NewClient(name, base string, timeout time.Duration, transport http.RoundTripper) *Client {
	return &Client{dependency.New(name, timeout), base, &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Name says in words which service it is.
func (c *Client) Name() string { return c.service.Name }

// Get returns the body of a 200 answer. A service that does not answer, or says itself that it
// cannot, is a *dependency.Unavailable.
func (c *Client) Get(ctx context.Context, target string) ([]byte, error) {
	var body []byte
	err := c.service.Call(ctx, isUnavailable, func(ctx context.Context) error {
		var err error
		body, err = c.get(ctx, target)
		return err
	})
	return body, err
}

func (c *Client) get(ctx context.Context, target string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+target, nil)
	if err != nil {
		return nil, err
	}
	if id := requestid.FromContext(ctx); id != "" {
		request.Header.Set(requestid.Header, id)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, c.service.Unavailable(err)
	}
	defer response.Body.Close()
	var body bytes.Buffer
	if response.ContentLength > 0 {
		body.Grow(int(min(response.ContentLength, maxAnswerBytes)) + bytes.MinRead)
	}
	if _, err := body.ReadFrom(io.LimitReader(response.Body, maxAnswerBytes)); err != nil {
		return nil, c.service.Unavailable(err)
	}
	switch status := response.StatusCode; {
	case status == http.StatusOK:
		return body.Bytes(), nil
	case status >= http.StatusInternalServerError:
		return nil, c.service.Unavailable(fmt.Errorf("status %d", status))
	default:
		return nil, fmt.Errorf("%s: status %d", c.service.Name, status)
	}
}

func isUnavailable(err error) bool {
	var unavailable *dependency.Unavailable
	return errors.As(err, &unavailable)
}
