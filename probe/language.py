"""The language that table and report are in: English, or what `es.toml` makes of it.

Every text is written in English where it is used; ``t`` returns it in the language that is spoken.
What a deployment itself said (errors, logs, evidence) stays as it was said.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib import resources
from typing import Final

from probe.errors import UsageProblem

LANGUAGES: Final = ("en", "es")
_spoken: ContextVar[str] = ContextVar("language", default="en")


@cache
def words(language: str) -> Mapping[str, str]:
    """Return what each English text is in another language."""
    if language == "en":
        return {}
    text = (resources.files("probe") / f"{language}.toml").read_text(encoding="utf-8")
    found: dict[str, str] = tomllib.loads(text)
    return found


def known(language: str) -> str:
    """Return the language, or raise UsageProblem naming those there are."""
    if language not in LANGUAGES:
        raise UsageProblem(f"unknown language {language!r}: known are {', '.join(LANGUAGES)}")
    return language


@contextmanager
def spoken(language: str) -> Iterator[None]:
    """Speak a language within the block; raise UsageProblem for one that nobody speaks."""
    token = _spoken.set(known(language))
    try:
        yield
    finally:
        _spoken.reset(token)


def current() -> str:
    """Return the code of the language that is spoken."""
    return _spoken.get()


def t(text: str) -> str:
    """Return a text in the language that is spoken."""
    return words(_spoken.get()).get(text, text)
