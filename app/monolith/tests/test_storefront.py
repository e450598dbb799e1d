from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from httpx import ASGITransport, AsyncClient
from starlette.applications import Starlette

from monolith.storefront import Storefront
from shopcore.settings import SettingsError

PAGE = b"<!doctype html><title>Shop</title>"
SCRIPT = b"document.title = 'Shop'"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_bytes(PAGE)
    (tmp_path / "favicon.svg").write_bytes(b"<svg/>")
    (tmp_path / "page-tag.caddy").write_bytes(b"not for customers")
    (tmp_path / "assets" / "index-B0Ole.js").write_bytes(SCRIPT)
    (tmp_path / "assets" / "index-B0Ole.js.br").write_bytes(b"brotli")
    (tmp_path / "assets" / "index-B0Ole.js.gz").write_bytes(b"gzip")
    return tmp_path


@pytest.fixture
async def client(directory: Path) -> AsyncIterator[AsyncClient]:
    transport = ASGITransport(Storefront(directory, Starlette().router.default))
    plain = {"accept-encoding": "identity"}
    async with AsyncClient(transport=transport, base_url="http://shop", headers=plain) as client:
        yield client


@pytest.mark.parametrize(
    "path",
    ["/", "/products/7", "/products/anything", "/cart", "/login", "/register", "/checkout",
     "/orders", "/orders/0b5c"],
)  # fmt: skip
async def test_every_page_is_the_one_page(client: AsyncClient, path: str) -> None:
    response = await client.get(path)
    assert response.status_code == 200
    assert response.content == PAGE
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    "path",
    ["/products", "/products/", "/products/1/2", "/cart/", "/index.html", "/page-tag.caddy",
     "/assets/", "/assets/none.js", "/assets/index-B0Ole.js.br", "/assets/../index.html",
     "/assets/%2e%2e/index.html", "/favicon.ico"],
)  # fmt: skip
async def test_other_paths_are_handed_on(client: AsyncClient, path: str) -> None:
    assert (await client.get(path)).status_code == 404
    assert (await client.post(path)).status_code == 404


async def test_files_are_there_for_good(client: AsyncClient) -> None:
    script = await client.get("/assets/index-B0Ole.js")
    assert script.content == SCRIPT
    assert script.headers["content-type"] == "text/javascript; charset=utf-8"
    assert script.headers["cache-control"] == "public, max-age=31536000, immutable"
    icon = await client.get("/favicon.svg")
    assert icon.headers["content-type"] == "image/svg+xml"


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("br, gzip", "br"),
        ("gzip;q=1.0, br;q=0.5", "br"),
        ("gzip, deflate, br;q=0", "gzip"),
        ("GZIP", "gzip"),
        ("deflate", None),
        ("br;q=0.0, gzip; q=0", None),
        ("", None),
    ],
)
async def test_compressed_copies_go_to_those_who_accept_them(
    client: AsyncClient, accepted: str, coding: str | None
) -> None:
    path = "/assets/index-B0Ole.js"
    async with client.stream("GET", path, headers={"accept-encoding": accepted}) as response:
        body = b"".join([chunk async for chunk in response.aiter_raw()])
    assert response.headers.get("content-encoding") == coding
    assert body == {"br": b"brotli", "gzip": b"gzip", None: SCRIPT}[coding]
    assert response.headers["vary"] == "Accept-Encoding"
    assert "vary" not in (await client.get("/")).headers


async def test_what_the_client_has_is_not_sent_again(client: AsyncClient) -> None:
    path = "/assets/index-B0Ole.js"
    tags = {
        accepted: (await client.head(path, headers={"accept-encoding": accepted})).headers["etag"]
        for accepted in ("br", "gzip", "identity")
    }
    assert len(set(tags.values())) == 3
    for offered in (tags["br"], f'"other", W/{tags["br"]}'):
        again = await client.get(path, headers={"accept-encoding": "br", "if-none-match": offered})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == tags["br"]
        assert "content-encoding" not in again.headers
    other = await client.get(path, headers={"if-none-match": tags["br"]})
    assert other.status_code == 200


async def test_other_methods_are_refused(client: AsyncClient) -> None:
    for path in ("/cart", "/assets/index-B0Ole.js", "/favicon.svg"):
        response = await client.post(path)
        assert response.status_code == 405
        assert response.headers["allow"] == "GET, HEAD"
        assert response.json()["type"] == "urn:triptych:problem:method-not-allowed"


def test_a_directory_without_a_page_is_a_bad_setting(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"STOREFRONT_DIR: cannot read .*index\.html: No such"):
        Storefront(tmp_path, Starlette().router.default)
