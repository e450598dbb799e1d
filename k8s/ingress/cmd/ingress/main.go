// Ingress controller: serves the Ingresses of a Kubernetes cluster by Caddy.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"triptych/ingress/internal/controller"
	"triptych/ingress/internal/ops"
	"triptych/ingress/internal/proxy"
)

// version is set by the build.
var version = "dev"

func main() {
	set, err := parse(flag.CommandLine, os.Args[1:], os.Getenv("POD_NAMESPACE"))
	if err != nil {
		fmt.Fprintln(os.Stderr, "ingress: "+err.Error())
		os.Exit(2)
	}
	log := slog.New(slog.NewJSONHandler(os.Stdout, &slog.HandlerOptions{Level: set.logLevel}))
	ctrl.SetLogger(logr.FromSlogHandler(log.Handler()).WithName("controller-runtime"))
	klog.SetSlogLogger(log.With("logger", "client-go"))

	stop, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	log.Info("starting", "version", version)
	if err := run(stop, set, log); err != nil {
		log.Error("cannot go on", "error", err.Error())
		os.Exit(1)
	}
	log.Info("stopped")
}

// run serves until stop ends, and then what is under way.
func run(stop context.Context, set settings, log *slog.Logger) error {
	served, err := proxy.Start(proxy.Options{
		HTTPSAddress: set.httpsAddress,
		HTTPAddress:  set.httpAddress,
		RedirectPort: set.redirectPort,
		GracePeriod:  set.gracePeriod,
		Log:          log,
		Metrics:      metrics.Registry,
	})
	if err != nil {
		return err
	}
	operations := ops.NewServer(set.opsAddress,
		func() bool { return served.Loaded() && stop.Err() == nil }, metrics.Registry)
	defer func() { _ = operations.Close() }()
	config, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("no access to a cluster: %w", err)
	}
	manager, err := controller.NewManager(config, controller.Options{
		Name:      set.controllerName,
		Target:    served,
		Publisher: set.publisher,
		Log:       log,
	})
	if err != nil {
		return err
	}

	// The cluster is watched until the last request has been answered.
	watching, end := context.WithCancel(context.Background())
	defer end()
	failed := make(chan error, 2)
	go func() { failed <- manager.Start(watching) }()
	go func() {
		if err := operations.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
			failed <- err
		}
	}()

	select {
	case err = <-failed:
		_ = served.Stop()
		return err
	case <-stop.Done():
	}
	log.Info("stopping", "drain_delay_s", set.drainDelay.Seconds(), "grace_period_s", set.gracePeriod.Seconds())
	served.Drain()
	select {
	case <-time.After(set.drainDelay):
	case err = <-failed:
	}
	return errors.Join(err, served.Stop())
}
