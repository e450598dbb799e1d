"""What a browser loads when it opens the storefront for the first time, and how much that is."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Final
from urllib.parse import urljoin, urlsplit

import httpx

from probe.errors import ProbeError
from probe.transaction import unchecked_context

#: Static imports of a script, as people or bundlers write them. What is imported by a call comes
#: later, if at all.
_IMPORT: Final = re.compile(
    r"""(?:^|[;\s}])(?:import|export)\s*(?:[\w$*{][^"'();]*?from)?\s*["']([^"']+)["']"""
)
_CSS_URL: Final = re.compile(r"""url\(\s*["']?([^"')]+)["']?\s*\)""")
_LINKS: Final = ("stylesheet", "modulepreload", "preload", "icon")


class _References(HTMLParser):
    """Collects what a page has a browser load at once."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in ("script", "img") and given.get("src"):
            self.found.append(str(given["src"]))
        wanted = set((given.get("rel") or "").split()) & set(_LINKS)
        if tag == "link" and wanted and given.get("href"):
            self.found.append(str(given["href"]))


def references(kind: str, text: str) -> list[str]:
    """Return what a document of this media type has a browser load at once."""
    if "html" in kind:
        parser = _References()
        parser.feed(text)
        return parser.found
    if "javascript" in kind:
        return _IMPORT.findall(text)
    return _CSS_URL.findall(text) if "css" in kind else []


@dataclass(frozen=True)
class FirstLoad:
    """Bytes of the bodies as they travelled, by path."""

    bodies: dict[str, int] = field(default_factory=dict)

    @property
    def size_bytes(self) -> int:
        """Return what all of them take together."""
        return sum(self.bodies.values())


def first_load(url: str, *, transport: httpx.BaseTransport | None = None) -> FirstLoad:
    """Load the page with all that it needs; raise ProbeError if a part can't be had."""
    bodies: dict[str, int] = {}
    todo = [urljoin(url, "/")]
    with httpx.Client(
        verify=unchecked_context(), trust_env=False, timeout=30, transport=transport
    ) as client:
        while todo:
            address = todo.pop(0)
            path = urlsplit(address).path
            if path in bodies:
                continue
            # gzip alone, which every browser takes: what compresses better only makes it less.
            with client.stream("GET", address, headers={"Accept-Encoding": "gzip"}) as answer:
                if answer.status_code != 200:
                    raise ProbeError(f"{path}: status {answer.status_code}")
                text = "".join(answer.iter_text())
                bodies[path] = answer.num_bytes_downloaded
            kind = answer.headers.get("content-type", "")
            linked = (urljoin(address, found) for found in references(kind, text))
            todo += [there for there in linked if there.startswith(urljoin(url, "/"))]
    return FirstLoad(bodies)
