"""Requests that are refused, each for one reason."""

from __future__ import annotations

from .client import CARD

CHECKOUT_BODIES: list[object] = [
    {}, {"payment_method": 7}, {"payment_method": "card"}, {"payment_method": "pm_" + "x" * 65},
    {"payment_method": None}, [], "pm_card_visa", {"payment_method": CARD, "total": 1},
]  # fmt: skip
NOT_JSON = {
    "empty object cut": b"{",
    "trailing comma": b'{"quantity": 1,}',
    "single quotes": b"{'quantity': 1}",
    "not UTF-8": b'{"quantity": "\xff\xfe"}',
    "two documents": b"{} {}",
    "deep nesting": b"[" * 60_000,
    "bare word": b"quantity",
    "huge number": b"[" + b"9" * 60_000 + b"]",
    "NUL": b"\x00",
}
OTHER_JSON = [b"[]", b"7", b'"text"', b"null", b"{}", b'{"a": 1}', b"true"]
MEDIA_TYPES = [
    None, "text/plain", "application/x-www-form-urlencoded", "application/xml",
    "application/json; charset=latin-1", "application/problem+json", "json", "",
]  # fmt: skip
REGISTRATIONS: list[dict[str, object]] = [
    {"email": "no-at-sign", "password": "long enough", "name": "A"},
    {"email": "a@b", "password": "long enough", "name": "A"},
    {"email": "a b@c.de", "password": "long enough", "name": "A"},
    {"email": "x" * 250 + "@c.de", "password": "long enough", "name": "A"},
    {"email": "nul\x00@c.de", "password": "long enough", "name": "A"},
    {"email": "lone\ud800@c.de", "password": "long enough", "name": "A"},
    {"email": "a@c.de", "password": "short", "name": "A"},
    {"email": "a@c.de", "password": "x" * 129, "name": "A"},
    {"email": "a@c.de", "password": 12345678, "name": "A"},
    {"email": "a@c.de", "password": "long enough", "name": ""},
    {"email": "a@c.de", "password": "long enough", "name": "x" * 101},
    {"email": "a@c.de", "password": "long enough", "name": "line\nbreak"},
    {"email": "a@c.de", "password": "long enough", "name": "A", "admin": True},
]
