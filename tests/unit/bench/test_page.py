"""A first load, as a browser has it."""

from __future__ import annotations

import gzip

import httpx
import pytest

from bench import (
    page,
)
from probe.errors import ProbeError

PAGE = """<!doctype html><link rel="icon" href="/favicon.svg"><link rel=stylesheet href="/a.css">
<link rel="modulepreload" href="/assets/b.js"><link rel="canonical" href="/elsewhere">
<script type="module" src="/assets/a.js"></script><img src="data:image/gif;base64,AA">"""
FILES = {
    "/": ("text/html", PAGE),
    "/favicon.svg": ("image/svg+xml", "<svg/>"),
    "/a.css": ("text/css", "@font-face{src:url(/f.woff2)}.x{background:url(data:image/png,A)}"),
    "/f.woff2": ("font/woff2", "f" * 300),
    "/assets/a.js": (
        "text/javascript",
        'import{a as b}from"./b.js";import"./c.js";const l=()=>import("./later.js");'
        'var s="import x from y";',
    ),
    "/assets/b.js": ("text/javascript", 'export{d}from"./d.js";export const e=1;'),
    "/assets/c.js": ("text/javascript", "c()"),
    "/assets/d.js": ("text/javascript", "d();" * 100),
}


def test_a_first_load_is_the_page_with_its_module_graph() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        kind, text = FILES[request.url.path]
        body = gzip.compress(text.encode())
        headers = {"content-type": kind, "content-encoding": "gzip"}
        return httpx.Response(200, headers=headers, stream=httpx.ByteStream(body))

    loaded = page.first_load("https://shop.test", transport=httpx.MockTransport(answer))
    assert set(loaded.bodies) == set(FILES)
    assert loaded.size_bytes == sum(len(gzip.compress(t.encode())) for _, t in FILES.values())


def test_a_part_that_is_missing_is_named() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/":
            return httpx.Response(200, html='<script src="/gone.js"></script>')
        return httpx.Response(404)

    with pytest.raises(ProbeError, match=r"/gone\.js: status 404"):
        page.first_load("https://shop.test", transport=httpx.MockTransport(answer))
