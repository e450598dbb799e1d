"""The shop's parts as objects of a Kubernetes cluster."""
