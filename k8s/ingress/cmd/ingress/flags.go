package main

import (
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"triptych/ingress/internal/controller"
)

// settings is all that can be set. The defaults are those of the manifest in k8s/addons.
type settings struct {
	httpsAddress, httpAddress, opsAddress string
	controllerName                        string
	publisher                             controller.Publisher
	redirectPort                          int
	drainDelay, gracePeriod               time.Duration
	logLevel                              slog.Level
}

// parse reads the command line. namespace is the controller's own one, if it runs in a cluster.
func parse(flags *flag.FlagSet, args []string, namespace string) (settings, error) {
	var s settings
	flags.StringVar(&s.httpsAddress, "https-address", ":8443", "address to serve HTTPS on")
	flags.StringVar(&s.httpAddress, "http-address", ":8080", "address to serve HTTP on")
	flags.StringVar(&s.opsAddress, "ops-address", ":8081", "address of /livez, /readyz and /metrics")
	flags.StringVar(&s.controllerName, "controller-name", "triptych.invalid/ingress",
		"spec.controller of the IngressClasses that are ours")
	flags.IntVar(&s.redirectPort, "redirect-port", 443, "port of HTTPS as clients see it")
	flags.DurationVar(&s.drainDelay, "drain-delay", 3*time.Second,
		"time from SIGTERM until the listeners close, in which others learn that this replica goes")
	flags.DurationVar(&s.gracePeriod, "grace-period", 20*time.Second,
		"time that requests have to end once the listeners are closed")
	flags.TextVar(&s.logLevel, "log-level", slog.LevelInfo, "DEBUG, INFO, WARN or ERROR")
	addresses := flags.String("publish-address", "",
		"addresses or host names for the status of Ingresses, with commas in between")
	service := flags.String("publish-service", "",
		"namespace/name of the Service whose addresses the status gets (default ingress in the own namespace)")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	if flags.NArg() > 0 {
		return s, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if s.redirectPort < 1 || s.redirectPort > 65535 {
		return s, errors.New("-redirect-port has to be from 1 to 65535")
	}
	if s.drainDelay < 0 || s.gracePeriod <= 0 {
		return s, errors.New("-drain-delay and -grace-period cannot be negative, nor the latter 0")
	}
	for address := range strings.SplitSeq(*addresses, ",") {
		if address = strings.TrimSpace(address); address != "" {
			s.publisher.Addresses = append(s.publisher.Addresses, address)
		}
	}
	switch {
	case *service != "":
		space, name, ok := strings.Cut(*service, "/")
		if !ok || space == "" || name == "" {
			return s, errors.New("-publish-service has to be namespace/name")
		}
		s.publisher.Service = types.NamespacedName{Namespace: space, Name: name}
	case namespace != "":
		s.publisher.Service = types.NamespacedName{Namespace: namespace, Name: "ingress"}
	}
	return s, nil
}
