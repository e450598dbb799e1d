"""The storefront: the frontend's built files, for the paths that the frontend knows.

They are few and small, so they are read once, at start. What the frontend's own server answers in
the other shape, this answers too.
"""

import hashlib
import mimetypes
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from shopcore.problems import Problem, ProblemType, problem_response
from shopcore.settings import SettingsError

#: The page's paths, in the contract's notation; one page draws them all.
PAGES = (
    "/",
    "/products/{product_id}",
    "/cart",
    "/login",
    "/register",
    "/checkout",
    "/orders",
    "/orders/{order_id}",
)
_PAGES = tuple((re.compile(re.sub(r"\{\w+\}", "[^/]+", page)), page) for page in PAGES)
#: Ends of the names of compressed copies beside a file, and their content codings, best first.
_CODINGS = {".br": "br", ".gz": "gzip"}

_PAGE_CACHE = "no-cache"
_ASSET_CACHE = "public, max-age=31536000, immutable"  # named after their contents
_ICON_CACHE = "public, max-age=86400"


@dataclass(frozen=True, slots=True)
class _File:
    """A file with its compressed copies; `route` stands for its path in logs and metrics."""

    route: str
    media_type: str
    cache_control: str
    tag: str
    bodies: Mapping[str, bytes]  # by content coding; the file itself by ""

    @classmethod
    def read(cls, path: Path, route: str, cache_control: str) -> "_File":
        plain = path.read_bytes()
        bodies = {
            coding: copy.read_bytes()
            for end, coding in _CODINGS.items()
            if (copy := path.with_name(path.name + end)).is_file()
        }
        media_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        tag = hashlib.sha256(plain).hexdigest()[:16]
        return cls(route, media_type, cache_control, tag, {**bodies, "": plain})


class Storefront:
    """Answers the storefront's paths and hands all others on."""

    def __init__(self, directory: Path, otherwise: ASGIApp) -> None:
        self._otherwise = otherwise
        try:
            self._page = _File.read(directory / "index.html", "", _PAGE_CACHE)
            self._files = {
                f"/assets/{path.relative_to(directory / 'assets').as_posix()}": _File.read(
                    path, "/assets/{file}", _ASSET_CACHE
                )
                for path in sorted((directory / "assets").rglob("*"))
                if path.is_file() and path.suffix not in _CODINGS
            }
            if (icon := directory / "favicon.svg").is_file():
                self._files["/favicon.svg"] = _File.read(icon, "/favicon.svg", _ICON_CACHE)
        except OSError as error:
            raise SettingsError(
                [f"STOREFRONT_DIR: cannot read {error.filename}: {error.strerror}"]
            ) from None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        path = scope["path"]
        if scope["type"] == "http" and (file := self._files.get(path)) is not None:
            route = file.route
        elif scope["type"] == "http" and (page := _page_of(path)) is not None:
            file, route = self._page, page
        else:
            await self._otherwise(scope, receive, send)
            return
        scope["route"] = SimpleNamespace(path=route)
        await _answer(file, Request(scope))(scope, receive, send)


def _page_of(path: str) -> str | None:
    return next((page for pattern, page in _PAGES if pattern.fullmatch(path)), None)


def _answer(file: _File, request: Request) -> Response:
    if request.method not in ("GET", "HEAD"):
        problem = Problem(
            ProblemType.METHOD_NOT_ALLOWED,
            "This path takes GET, HEAD.",
            headers={"Allow": "GET, HEAD"},
        )
        return problem_response(problem, request)
    accepted = _accepted(request.headers.get("accept-encoding", ""))
    coding = next((each for each in file.bodies if each in accepted), "")
    tag = f'"{file.tag}-{coding}"' if coding else f'"{file.tag}"'
    headers = {"Cache-Control": file.cache_control, "ETag": tag}
    if len(file.bodies) > 1:
        headers["Vary"] = "Accept-Encoding"
    if tag in re.findall(r'"[^"]*"', request.headers.get("if-none-match", "")):
        return Response(status_code=304, headers=headers)
    if coding:
        headers["Content-Encoding"] = coding
    return Response(file.bodies[coding], headers=headers, media_type=file.media_type)


def _accepted(header: str) -> set[str]:
    """Return the content codings that a client accepts by name."""
    found = set()
    for part in header.lower().split(","):
        name, _, weight = part.replace(" ", "").partition(";q=")
        if not re.fullmatch(r"0(\.0*)?", weight):
            found.add(name)
    return found
