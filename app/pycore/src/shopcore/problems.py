"""Problem details (RFC 9457): the one shape of every error that leaves the service."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from shopcore.context import request_id

URN_PREFIX = "urn:triptych:problem:"
MEDIA_TYPE = "application/problem+json"


class ProblemType(Enum):
    """Every kind of problem: slug of its type URI, title, HTTP status.

    As in the contract, and then those that services tell only each other.
    """

    MALFORMED_JSON = ("malformed-json", "The body is not valid JSON", 400)
    AUTHENTICATION_REQUIRED = ("authentication-required", "A valid access token is required", 401)
    INVALID_CREDENTIALS = ("invalid-credentials", "E-mail address or password is wrong", 401)
    INVALID_REFRESH_TOKEN = ("invalid-refresh-token", "The refresh token is not valid", 401)
    PAYMENT_DECLINED = ("payment-declined", "The payment was declined", 402)
    NOT_FOUND = ("not-found", "There is nothing at this path", 404)
    PRODUCT_NOT_FOUND = ("product-not-found", "There is no such product", 404)
    ORDER_NOT_FOUND = ("order-not-found", "There is no such order", 404)
    METHOD_NOT_ALLOWED = ("method-not-allowed", "The method is not allowed here", 405)
    EMAIL_TAKEN = ("email-taken", "The e-mail address is already registered", 409)
    CART_EMPTY = ("cart-empty", "The cart is empty", 409)
    CART_FULL = ("cart-full", "The cart holds as many different products as it can", 409)
    OUT_OF_STOCK = ("out-of-stock", "Not enough in stock", 409)
    CHECKOUT_IN_PROGRESS = ("checkout-in-progress", "This checkout is still being worked on", 409)
    CART_CHANGED = ("cart-changed", "The cart has changed since it was read", 412)
    BODY_TOO_LARGE = ("body-too-large", "The body is too large", 413)
    UNSUPPORTED_MEDIA_TYPE = ("unsupported-media-type", "The body has to be JSON", 415)
    VALIDATION = ("validation", "The request does not fit the contract", 422)
    IDEMPOTENCY_KEY_REUSED = ("idempotency-key-reused", "The key belongs to another checkout", 422)
    TOO_MANY_ATTEMPTS = ("too-many-attempts", "Too many failed attempts", 429)
    INTERNAL = ("internal", "Something went wrong on our side", 500)
    PAYMENT_GATEWAY_ERROR = ("payment-gateway-error", "The payment gateway failed", 502)
    DEPENDENCY_UNAVAILABLE = ("dependency-unavailable", "A part of the shop is unavailable", 503)
    NOT_READY = ("not-ready", "The service is not ready", 503)
    PAYMENT_GATEWAY_UNAVAILABLE = (
        "payment-gateway-unavailable",
        "The payment gateway cannot be reached",
        503,
    )
    PAYMENT_GATEWAY_TIMEOUT = ("payment-gateway-timeout", "The payment gateway did not answer", 504)
    RESERVATION_RELEASED = ("reservation-released", "The reservation was released", 409)

    def __init__(self, slug: str, title: str, status: int) -> None:
        self.slug = slug
        self.title = title
        self.status = status

    @property
    def uri(self) -> str:
        """The stable `type` URI."""
        return URN_PREFIX + self.slug


#: Problems that the contract does not know: they are met in `/internal/` alone.
INTERNAL_API = frozenset({ProblemType.RESERVATION_RELEASED})


@dataclass(frozen=True, slots=True)
class FieldError:
    """One fault of the request: where (`body`, `query`, `path`, `header`), which field, what."""

    location: str
    field: str
    message: str


class Problem(Exception):
    """Raise it anywhere; the client gets it as problem details."""

    def __init__(
        self,
        kind: ProblemType,
        detail: str,
        *,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
        **extensions: Any,
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.errors = tuple(errors)
        self.headers = dict(headers or {})
        self.extensions = extensions


def dependency_unavailable(dependency: str) -> Problem:
    """Return the 503 for a part that does not answer; the client may try again in a second."""
    return Problem(
        ProblemType.DEPENDENCY_UNAVAILABLE,
        f"The {dependency} does not answer at present; try again shortly.",
        headers={"Retry-After": "1"},
        dependency=dependency,
    )


def problem_body(problem: Problem, instance: str) -> bytes:
    """Return the JSON document for a problem met at the path `instance`."""
    document: dict[str, Any] = {
        "type": problem.kind.uri,
        "title": problem.kind.title,
        "status": problem.kind.status,
        "detail": problem.detail,
        "instance": instance,
        "request_id": request_id.get() or "",
    }
    if problem.errors:
        document["errors"] = [
            {"in": fault.location, "field": fault.field, "message": fault.message}
            for fault in problem.errors
        ]
    document.update(problem.extensions)
    # ASCII output: a lone surrogate from the client cannot break the encoding.
    return json.dumps(document, ensure_ascii=True, default=str).encode()


def problem_response(problem: Problem, request: Request) -> Response:
    """Return the HTTP response for a problem."""
    raw_path = request.scope.get("raw_path") or request.scope["path"].encode("utf-8", "replace")
    instance = raw_path.split(b"?", 1)[0].decode("ascii", "replace")
    return Response(
        problem_body(problem, instance),
        status_code=problem.kind.status,
        media_type=MEDIA_TYPE,
        headers=problem.headers,
    )
