package main

import (
	"flag"
	"io"
	"slices"
	"strings"
	"testing"
	"time"
)

func parsed(namespace string, args ...string) (settings, error) {
	flags := flag.NewFlagSet("ingress", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	return parse(flags, args, namespace)
}

func TestDefaults(t *testing.T) {
	set, err := parsed("triptych-ingress")
	if err != nil {
		t.Fatal(err)
	}
	if set.httpsAddress != ":8443" || set.httpAddress != ":8080" || set.opsAddress != ":8081" ||
		set.redirectPort != 443 || set.drainDelay != 3*time.Second || set.gracePeriod != 20*time.Second ||
		set.publisher.Service.String() != "triptych-ingress/ingress" {
		t.Errorf("%+v", set)
	}
	if set, _ := parsed(""); set.publisher.Service.Name != "" {
		t.Errorf("outside of a cluster it publishes %v", set.publisher.Service)
	}
}

func TestPublish(t *testing.T) {
	set, err := parsed("ns", "-publish-address", "192.0.2.1, shop.example,", "-publish-service", "a/b")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(set.publisher.Addresses, []string{"192.0.2.1", "shop.example"}) ||
		set.publisher.Service.String() != "a/b" {
		t.Errorf("%+v", set.publisher)
	}
}

func TestBadFlags(t *testing.T) {
	for _, args := range []string{
		"-redirect-port=0", "-redirect-port=65536", "-grace-period=0s", "-drain-delay=-1s",
		"-publish-service=name", "-publish-service=/name", "-log-level=LOUD", "-no-such-flag", "argument",
	} {
		if _, err := parsed("ns", strings.Fields(args)...); err == nil {
			t.Errorf("%s is accepted", args)
		}
	}
}
