"""The shop's parts as Docker containers, networks and volumes."""
