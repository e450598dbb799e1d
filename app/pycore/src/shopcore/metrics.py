"""Prometheus metrics, labelled by route template so that paths cannot multiply series."""

from functools import cache

from prometheus_client import Counter, Histogram

REQUESTS = Counter(
    "http_requests_total", "Requests answered.", labelnames=("method", "route", "status")
)
DURATION = Histogram(
    "http_request_duration_seconds",
    "Time from the request's first byte to the response's last.",
    labelnames=("method", "route"),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
)


def count_request(method: str, route: str, status: int, elapsed_s: float) -> None:
    """Count an answered request. Methods, routes and statuses are few."""
    requests, duration = _of(method, route, status)
    requests.inc()
    duration.observe(elapsed_s)


@cache
def _of(method: str, route: str, status: int) -> tuple[Counter, Histogram]:
    return REQUESTS.labels(method, route, str(status)), DURATION.labels(method, route)
