"""What a cluster's replicas say of their requests."""

from __future__ import annotations

from probe.models.cluster import requests_of


def test_health_checks_are_no_requests() -> None:
    metrics = """
# TYPE http_requests_total counter
http_requests_total{method="GET",route="/api/v1/products",status="200"} 41.0
http_requests_total{method="GET",route="unmatched",status="404"} 1.0
http_requests_total{method="GET",route="/health/ready",status="200"} 900.0
http_requests_total{method="GET",route="/metrics",status="200"} 9.0
http_request_duration_seconds_bucket{le="1"} 7.0
"""
    assert requests_of(metrics) == 42
