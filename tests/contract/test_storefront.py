"""The storefront: one page for every view, its files, and nothing else."""

from __future__ import annotations

import re
from urllib.parse import urljoin

import pytest

from .harness.client import Customer, problem_slug

VIEWS = [
    "/",
    "/products/7",
    "/cart",
    "/login",
    "/register",
    "/checkout",
    "/orders",
    "/orders/00000000-0000-4000-8000-000000000000",
]


def _files(page: str) -> list[str]:
    return [urljoin("/", path) for path in re.findall(r'(?:src|href)="([^":]+)"', page)]


@pytest.mark.parametrize("path", VIEWS)
def test_every_view_is_the_same_page(visitor: Customer, path: str) -> None:
    response = visitor.page(path)
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.text == visitor.page("/").text
    assert '<div id="root">' in response.text


def test_the_page_is_asked_for_each_time_and_then_known(visitor: Customer) -> None:
    first = visitor.page("/")
    assert first.headers["cache-control"] == "no-cache"
    known = visitor.page("/", headers={"if-none-match": first.headers["etag"]})
    assert known.status_code == 304


def test_files_with_a_hash_in_their_name_are_kept_for_good(visitor: Customer) -> None:
    assets = [path for path in _files(visitor.page("/").text) if path.startswith("/assets/")]
    assert {path.rpartition(".")[2] for path in assets} >= {"js", "css"}
    for path in assets:
        response = visitor.page(path)
        assert response.status_code == 200
        assert "immutable" in response.headers["cache-control"]
        kind = {"js": "text/javascript", "css": "text/css"}[path.rpartition(".")[2]]
        assert response.headers["content-type"].partition(";")[0] == kind


def test_everything_that_the_page_names_is_there(visitor: Customer) -> None:
    named = _files(visitor.page("/").text)
    assert "/favicon.svg" in named
    for path in named:
        assert visitor.page(path).status_code == 200


def test_files_come_compressed(visitor: Customer) -> None:
    script = next(path for path in _files(visitor.page("/").text) if path.endswith(".js"))
    response = visitor.page(script, headers={"accept-encoding": "gzip"})
    assert response.headers["content-encoding"] == "gzip"
    assert "accept-encoding" in response.headers["vary"].lower()


@pytest.mark.parametrize(
    "path",
    ["/assets/nothing.js", "/assets/", "/index.php", "/products", "/cart/1", "/login/again",
     "/assets/..%2findex.html", "/assets/%2e%2e/%2e%2e/etc/passwd", "/.git/config", "/Caddyfile"],
)  # fmt: skip
def test_what_is_not_there(visitor: Customer, path: str) -> None:
    response = visitor.page(path)
    assert (response.status_code, problem_slug(response)) == (404, "not-found")


def test_pages_may_run_their_own_scripts_only(visitor: Customer) -> None:
    headers = visitor.page("/").headers
    policy = dict(
        rule.strip().split(" ", 1) for rule in headers["content-security-policy"].split(";")
    )
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == "'self'"
    assert policy["connect-src"] == "'self'"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"


def test_answers_of_the_api_may_run_nothing(visitor: Customer) -> None:
    for path in ("/api/v1/products/1", "/api/v1/nothing"):
        policy = visitor.get(path).headers["content-security-policy"]
        assert policy == "default-src 'none'; frame-ancestors 'none'"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_pages_are_only_read(visitor: Customer, method: str) -> None:
    response = visitor.send(method, "/cart")
    assert (response.status_code, problem_slug(response)) == (405, "method-not-allowed")
    assert sorted(response.headers["allow"].split(", ")) == ["GET", "HEAD"]
