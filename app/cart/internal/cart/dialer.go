package cart

import (
	"context"
	"fmt"
	"net"
	"time"
)

type dialer = func(ctx context.Context, network, address string) (net.Conn, error)

// lateDialer makes a connection that cannot be made fail when it is first used. Told at once,
// go-redis counts: after as many failures as its pool has places it makes no attempt for up to a
// second, and the first requests after an outage would still fail.
func lateDialer(dial dialer) dialer {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		connection, err := dial(ctx, network, address)
		if err != nil {
			// Wrapped, as go-redis peels one layer off what a fresh connection fails with.
			return unconnected{fmt.Errorf("cannot connect: %w", err)}, nil
		}
		return connection, nil
	}
}

// unconnected is a connection that was never made.
type unconnected struct{ err error }

func (u unconnected) Read([]byte) (int, error)       { return 0, u.err }
func (u unconnected) Write([]byte) (int, error)      { return 0, u.err }
func (unconnected) Close() error                     { return nil }
func (unconnected) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (unconnected) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (unconnected) SetDeadline(time.Time) error      { return nil }
func (unconnected) SetReadDeadline(time.Time) error  { return nil }
func (unconnected) SetWriteDeadline(time.Time) error { return nil }
