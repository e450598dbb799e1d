// Command cart is the shop's cart service.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"strconv"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/net/netutil"

	"triptych/cart/internal/api"
	"triptych/cart/internal/cart"
	"triptych/cart/internal/logging"
	"triptych/cart/internal/products"
	"triptych/cart/internal/services"
	"triptych/cart/internal/settings"
	"triptych/cart/internal/startup"
	"triptych/cart/internal/tokens"
	"triptych/cart/internal/web"
)

// memoryLimit keeps the heap within the shop's budget for this service, 48 MiB; what the garbage
// collector does not count needs some of it. GOMEMLIMIT overrides it.
const memoryLimit = 32 << 20

// maxConnections bounds the memory that clients can take; more of them wait to be accepted.
const maxConnections = 256

func main() {
	configured, err := settings.FromEnv(os.Getenv)
	var faults *settings.Error
	if errors.As(err, &faults) {
		for _, line := range faults.Lines {
			fmt.Fprintln(os.Stderr, "cart: "+line)
		}
		os.Exit(2)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
	log := logging.New(os.Stdout, configured.LogLevel, configured.Release)
	stop, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	address := net.JoinHostPort(configured.ListenHost, strconv.Itoa(configured.ListenPort))
	listener, err := net.Listen("tcp", address)
	if err == nil {
		err = serve(stop, listener, configured, log)
	}
	if err != nil {
		logging.Named(log, "cart").Error(err.Error())
		os.Exit(1)
	}
}

// serve answers requests until stop ends, and then those that are under way. Its error says in
// one sentence why it could not.
func serve(
	stop context.Context, listener net.Listener, configured settings.Settings, log *slog.Logger,
) error {
	cartLog := logging.Named(log, "cart")
	redis.SetLogger(redisLog{logging.Named(log, "cart.redis")})

	store := cart.NewStore(configured.Valkey, configured.ValkeyTimeout, configured.CartTTL)
	defer store.Close()
	transport := services.NewTransport(configured.ServiceTimeout)
	catalogue := products.NewClient(configured.ProductsURL, configured.ServiceTimeout, transport)
	auth := services.NewClient("auth service", configured.AuthURL, configured.ServiceTimeout, transport)
	keys := tokens.NewKeys(func(ctx context.Context) ([]byte, error) {
		return auth.Get(ctx, "/.well-known/jwks.json")
	}, cartLog)
	starting := startup.New([]startup.Need{
		{Name: cart.StoreName, Try: store.Ping},
		{Name: auth.Name(), Try: keys.Refresh},
	}, configured.StartupTimeout, cartLog)
	metrics := web.NewMetrics()
	operations := &api.API{
		Store:   store,
		Carts:   cart.NewService(store, catalogue),
		Tokens:  tokens.NewVerifier(keys, configured.JWTIssuer, configured.JWTAudience),
		Keys:    keys,
		Startup: starting,
		Metrics: metrics.Handler(),
		Log:     cartLog,
	}
	server := &http.Server{
		Handler: web.Observe(operations.Routes(), metrics,
			logging.Named(log, "cart.access"), logging.Named(log, "cart.errors")),
		ReadTimeout:  10 * time.Second,
		WriteTimeout: 30 * time.Second,
		// Longer than the gateway keeps its connections.
		IdleTimeout:    2 * time.Minute,
		MaxHeaderBytes: 32 << 10,
		// "OPTIONS *" gets the answer of any path that is not there.
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     slog.NewLogLogger(logging.Named(log, "cart.http").Handler(), slog.LevelWarn),
	}

	background, cancel := context.WithCancel(context.Background())
	defer cancel()
	failed := make(chan error, 2)
	go func() {
		limited := netutil.LimitListener(listener, maxConnections)
		failed <- fmt.Errorf("cannot serve: %w", server.Serve(limited))
	}()
	go func() {
		if err := starting.Run(background); err != nil {
			failed <- fmt.Errorf("start-up failed: %w", err)
			return
		}
		keys.RefreshRegularly(background)
	}()

	var err error
	select {
	case err = <-failed:
	case <-stop.Done():
		cartLog.Info("stopping")
	}
	deadline, expire := context.WithTimeout(context.Background(), configured.ShutdownTimeout)
	defer expire()
	if server.Shutdown(deadline) != nil {
		cartLog.Warn("requests that were not done in time are cut off")
		_ = server.Close()
	}
	return err
}

// redisLog takes what go-redis would write to standard error.
type redisLog struct{ *slog.Logger }

func (l redisLog) Printf(ctx context.Context, format string, values ...any) {
	l.WarnContext(ctx, fmt.Sprintf(format, values...))
}
