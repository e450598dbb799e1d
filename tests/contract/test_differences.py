"""The shapes against each other: the same requests, good and bad, get the same answers.

Compared are status, headers, the type, status, `errors[].in` and `errors[].field` of problems, and
every other value of a body, but for what is made up anew each time (ids, tokens, times), texts for
people, and the stock, which other tests change.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
import schemathesis

from .harness.bad_requests import CHECKOUT_BODIES, MEDIA_TYPES, NOT_JSON, OTHER_JSON, REGISTRATIONS
from .harness.client import CARD, PASSWORD, Customer
from .harness.contract import METHODS, Operation, load_contract
from .harness.fuzz import schema
from .harness.jwt import decode_part, forgeries
from .harness.payment_gateway import Mode
from .harness.shop import LocalShop, wait_for

pytestmark = pytest.mark.local

Answers = Iterator[httpx.Response]
Case = Callable[[Customer, LocalShop], Answers]

OPERATIONS = [o for o in load_contract().operations if o.path != "/metrics"]
#: Lengths and framing are the transport's; so is what the connection is kept for.
TRANSPORT = {
    "accept-ranges",
    "alt-svc",
    "connection",
    "content-length",
    "keep-alive",
    "transfer-encoding",
    "x-instance-id",  # whose it is; the frontend's files have none
}
VOLATILE = {"date", "etag", "last-modified", "x-request-id"}
TEXTS = {"title", "detail", "message"}
ODD_VALUES: tuple[object, ...] = (None, 1, [], {}, True, "")
SEARCHES = (
    "walnut headphones", '"walnut headphones"', "tent or kettle", "kettle -steel", "the", "", "  ",
    "qqqzzz", "'; --", "%", "🦄", "a:*", "KETTLE", "x" * 100, "x" * 101,
)  # fmt: skip
NUMBERS = (
    "0", "1", "-1", "01", "1.0", "1e0", "+1", " 1", "1 ", "", "x", "%00", "%2e", "100", "101",
    "2147483647", "2147483648", "9223372036854775808", "\u0661", "1_0", "0x1", "null",
)  # fmt: skip
QUERIES = (
    "page=1&page=2", "page=x&page=2", "q=a&q=b", "page", "page=1;page_size=2", "&&", "PAGE=x",
    "page=%31", "q=%ff", "q=%zz", "q=a+b", "q=a%00b", "unknown=1",
)  # fmt: skip
NOWHERE = (
    "/api", "/api/v1/", "/api/v1/products/", "/api/v1/cart/", "/api/v1/orders/",
    "/api/v1/checkout/", "/api/v1/auth", "/api/v1/auth/", "/api/v1/auth/login/",
    "/api/v1/cart/items", "/api/v1/cart/items/", "/api/v1/cart/items/1/2", "/health",
    "/health/live/", "/health/ready/", "/.well-known", "/.well-known/x", "/nothing",
    "/API/v1/products", "/api/v1/products/1/2", "/api//v1/products", "/%61pi/v1/products",
    "/api/v1%2fproducts", "/api/v1/products%2f1", "/favicon.ico", "/robots.txt",
)  # fmt: skip
NUMERALS = ("1e0", "1.0", "01", "-0", "+1", "NaN", "Infinity", "1_0", "0x1", "1e400", "9" * 400)
#: Good bodies, written in ways that are JSON or nearly so. Lone surrogates are JSON.
SPELLINGS: tuple[Callable[[str], bytes], ...] = (
    lambda text: text.encode(),
    lambda text: b"\xef\xbb\xbf" + text.encode(),
    lambda text: text.encode("utf-16"),
    lambda text: text.encode("utf-16-le"),
    lambda text: text.encode("utf-32"),
    lambda text: f"\t\r\n {text} \n".encode(),
    lambda text: f"\u00a0{text}".encode(),
    lambda text: f"{text}x".encode(),
    lambda text: f"{text}\x00".encode(),
    lambda text: f"{text} // {text}".encode(),
    lambda text: text.replace("}", ",}").encode(),
    lambda text: text.replace("}", ', "more": 1}').encode(),
    lambda text: text.replace("}", ', "more": NaN}').encode(),
    lambda text: text.replace("}", ', "\\ud800": "\\udc00\\ud800"}').encode(),
    lambda text: text.replace("}", ', "__proto__": {}, "constructor": 1}').encode(),
    lambda text: text.replace("}", f", {text.strip('{}')}}}").encode(),
    lambda text: text.replace('"', "'").encode(),
    lambda text: text.replace(": ", ":\x0b").encode(),
    lambda text: text.replace("a", "\\u0061").encode(),
    lambda text: text.replace("{", '{"": [[[[{}]]]],').encode(),
    lambda text: text.replace("}", ', "a": "\x01"}').encode(),
    lambda text: text.replace("}", ', "a": "\\x"}').encode(),
)
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


def _value(value: Any, name: str = "") -> Any:
    """Return a JSON value without what differs from one run to the next."""
    if name == "checks":
        return sorted(set(value.values()))  # which there are is the shape's business
    if isinstance(value, dict):
        return {key: _value(member, key) for key, member in value.items() if key not in TEXTS}
    if isinstance(value, list):
        items = [_value(item) for item in value]
        return sorted(items, key=json.dumps) if name == "errors" else items
    if not isinstance(value, str):
        return "(stock)" if name == "stock" else value
    if name == "access_token":
        return [decode_part(value, 0) | {"kid": ""}, sorted(decode_part(value, 1))]
    if name in ("refresh_token", "payment_reference", "kid", "x", "y"):
        return f"({name})"
    return TIME.sub("(time)", UUID.sub("(uuid)", value))


def _answer(response: httpx.Response) -> dict[str, Any]:
    """Return what has to be the same."""
    headers = {
        name: "(any)" if name in VOLATILE else UUID.sub("(uuid)", value)
        for name, value in response.headers.items()
        if name not in TRANSPORT
    }
    if response.status_code == 429:
        headers["retry-after"] = "(what is left of the window)"
    if response.content and response.headers["content-type"].partition(";")[0].endswith("json"):
        body = _value(response.json())
    else:
        body = response.text
    request = response.request
    path = UUID.sub("(uuid)", str(request.url.raw_path, "ascii"))
    return {
        "request": f"{request.method} {path} {request.content[:80]!r}",
        "status": response.status_code,
        "headers": headers,
        "body": body,
    }


def _replayed(shop: LocalShop, case: Case, customer: Customer) -> list[dict[str, Any]]:
    return [_answer(response) for response in case(customer, shop)]


def _path(operation: Operation) -> str:
    path = operation.path.replace("{product_id}", "7")
    return path.replace("{order_id}", "00000000-0000-4000-8000-000000000000")


def _send(customer: Customer, method: str, path: str, **options: Any) -> httpx.Response:
    """Send with a name of the request's own, and in a form that is easy to compare."""
    headers = {"x-request-id": "same", "accept-encoding": "identity", **options.pop("headers", {})}
    return customer.send(method, path, headers=headers, **options)


# --- Cases without a past: one customer does them all -------------------------------------------


def _methods(customer: Customer, _: LocalShop) -> Answers:
    for path in dict.fromkeys(_path(operation) for operation in OPERATIONS):
        for method in (*METHODS, "propfind"):
            if load_contract().operation(method, path) is None and method not in ("head", "trace"):
                yield _send(customer, method.upper(), path)


def _without_token(customer: Customer, _: LocalShop) -> Answers:
    for operation in OPERATIONS:
        if "security" in operation.document:
            for value in (None, "", "Bearer", "Basic eDp5", "Bearer a b", "bearer x"):
                yield _send(
                    customer,
                    operation.method.upper(),
                    _path(operation),
                    headers={"authorization": value},
                )


def _forged(customer: Customer, _: LocalShop) -> Answers:
    keys = customer.get("/.well-known/jwks.json").json()
    for token in forgeries(customer.tokens["access_token"], keys).values():
        for path in ("/api/v1/cart", "/api/v1/orders"):
            yield _send(customer, "GET", path, headers={"authorization": f"Bearer {token}"})


def _bodies(customer: Customer, _: LocalShop) -> Answers:
    for operation in OPERATIONS:
        if "requestBody" not in operation.document:
            continue
        method, path = operation.method.upper(), _path(operation)
        headers = {"content-type": "application/json", "idempotency-key": "k"}
        example = json.dumps(
            operation.document["requestBody"]["content"]["application/json"].get("example")
            or {"refresh_token": "x" * 43}
        )
        bodies = [spell(example) for spell in SPELLINGS]
        for content in (*bodies, *NOT_JSON.values(), *OTHER_JSON, b" " * 70_000, b""):
            yield _send(customer, method, path, content=content, headers=headers)
        for media_type in MEDIA_TYPES:
            yield _send(
                customer,
                method,
                path,
                content=b"{}",
                headers={**headers, "content-type": media_type},
            )
        yield _send(customer, method, path, headers=headers)


def _registrations(customer: Customer, _: LocalShop) -> Answers:
    good = {"email": "ada@example.test", "password": "long enough", "name": "A"}
    bodies = [*REGISTRATIONS, {}, {"email": 1, "password": [], "name": None, "more": 1}]
    bodies += [{key: value for key, value in good.items() if key != name} for name in good]
    bodies += [{**good, name: value} for name in good for value in ODD_VALUES]
    for path in ("register", "login"):
        for body in bodies:
            content = json.dumps(body).encode()
            yield _send(
                customer,
                "POST",
                f"/api/v1/auth/{path}",
                content=content,
                headers={"content-type": "application/json"},
            )


def _sessions_out_of_form(customer: Customer, _: LocalShop) -> Answers:
    for path in ("refresh", "logout"):
        for token in (None, 7, "", "short", "x" * 43, "x" * 44, "ä" * 43, "x" * 42 + "\n"):
            yield _send(customer, "POST", f"/api/v1/auth/{path}", json={"refresh_token": token})


def _searches(customer: Customer, _: LocalShop) -> Answers:
    for q in SEARCHES:
        for page in ("1", "2", "500"):
            params = {"q": q, "page": page, "page_size": "7"}
            yield _send(customer, "GET", "/api/v1/products", params=params)


def _numbers(customer: Customer, _: LocalShop) -> Answers:
    for value in NUMBERS:
        for name in ("page", "page_size"):
            for path in ("/api/v1/products", "/api/v1/orders"):
                yield _send(customer, "GET", f"{path}?{name}={value}")
        yield _send(customer, "GET", f"/api/v1/products/{value}x")
        if value.strip():
            yield _send(customer, "GET", f"/api/v1/products/{value}")
            yield _send(customer, "DELETE", f"/api/v1/cart/items/{value}")
            yield _send(customer, "PUT", f"/api/v1/cart/items/{value}", json={"quantity": 0})
            yield _send(customer, "GET", f"/api/v1/orders/{value}")
    for query in QUERIES:
        yield _send(customer, "GET", f"/api/v1/products?{query}")


def _several_faults(customer: Customer, _: LocalShop) -> Answers:
    """Send what is wrong in several ways: which one is told, and which of them together."""
    bodies = (b"{", b"{}", b'{"quantity": 0, "more": 1}', b" " * 70_000)
    for content in bodies:
        for item in ("0", "7"):
            for headers in (
                {"content-type": "application/json"},
                {"content-type": "application/json", "if-match": "bad"},
                {"content-type": "application/json", "authorization": None},
                {"content-type": "text/plain"},
                {"content-type": "text/plain", "authorization": "Bearer x"},
            ):
                yield _send(
                    customer, "PUT", f"/api/v1/cart/items/{item}", content=content, headers=headers
                )
        for headers in (
            {"content-type": "application/json", "idempotency-key": "a b"},
            {"content-type": "application/json"},
            {"content-type": "text/plain", "idempotency-key": "a b"},
        ):
            yield _send(customer, "POST", "/api/v1/checkout", content=content, headers=headers)
    yield _send(customer, "DELETE", "/api/v1/cart/items/0", headers={"if-match": "bad"})
    yield _send(customer, "PATCH", "/api/v1/cart", content=b" " * 70_000)
    yield _send(customer, "POST", "/nothing", content=b" " * 70_000)
    yield _send(customer, "GET", "/api/v1/products?page=0&page_size=0&q=%00")


def _checkouts_out_of_form(customer: Customer, _: LocalShop) -> Answers:
    for body in CHECKOUT_BODIES:
        headers = {"idempotency-key": "k"}
        yield _send(customer, "POST", "/api/v1/checkout", json=body, headers=headers)
    for key in (None, "", "a b", "x" * 129, "x" * 128, "ключ".encode(), "a;b"):
        yield _send(
            customer,
            "POST",
            "/api/v1/checkout",
            json={"payment_method": CARD},
            headers={"idempotency-key": key},
        )


def _paths(customer: Customer, _: LocalShop) -> Answers:
    for path in NOWHERE:
        yield _send(customer, "GET", path)
        yield _send(customer, "POST", path)


def _request_ids(customer: Customer, _: LocalShop) -> Answers:
    for name in ("x", "a.b_c-d", "y" * 64):
        for path in ("/api/v1/products/1", "/api/v1/cart", "/api/v1/orders", "/nothing"):
            response = _send(customer, "GET", path, headers={"x-request-id": name})
            assert response.headers["x-request-id"] == name
            yield response


def _pages(customer: Customer, _: LocalShop) -> Answers:
    for path in (
        "/",
        "/products/1",
        "/cart",
        "/login",
        "/orders/1",
        "/favicon.svg",
        "/assets/none.js",
    ):
        headers = {"accept-encoding": "identity", "x-request-id": "same"}
        yield customer.page(path, headers=headers)
        yield customer.page(path, headers={**headers, "if-none-match": '"x"'})


# --- Cases with a past: a new customer each ------------------------------------------------------


def _an_account(customer: Customer, _: LocalShop) -> Answers:
    yield customer.register()
    yield customer.register()
    yield customer.log_in("wrong password")
    yield customer.log_in()
    body = {"refresh_token": customer.tokens["refresh_token"]}
    yield _send(customer, "POST", "/api/v1/auth/refresh", json=body)
    yield _send(customer, "POST", "/api/v1/auth/refresh", json=body)
    yield _send(customer, "POST", "/api/v1/auth/logout", json=body)
    for number, name in enumerate(("Ada Lovelace", " spaced ", "Zoë 🦄", "x" * 100, '<b>"&\\')):
        email = f"{number}-{customer.email}".replace("example", "EXAMPLE")
        account = {"email": email, "password": PASSWORD, "name": name}
        response = _send(customer, "POST", "/api/v1/auth/register", json=account)
        assert response.json()["email"] == email.lower()
        yield response


def _guessing(customer: Customer, _: LocalShop) -> Answers:
    for _attempt in range(12):
        yield customer.log_in("wrong password")
    yield customer.log_in()


def _a_cart(customer: Customer, _: LocalShop) -> Answers:
    yield _send(customer, "GET", "/api/v1/cart")
    for quantity in (1, 99, 100, 0, -1, 1.0, 1.5, "1", 10**30, 1e300, *ODD_VALUES):
        yield _send(customer, "PUT", "/api/v1/cart/items/7", json={"quantity": quantity})
    for numeral in NUMERALS:
        content = f'{{"quantity": {numeral}}}'.encode()
        headers = {"content-type": "application/json"}
        yield _send(customer, "PUT", "/api/v1/cart/items/8", content=content, headers=headers)
    etag = _send(customer, "GET", "/api/v1/cart").headers["etag"]
    for value in (etag, etag, "*", 'W/"x"', '"x"', "x", "", '"a", "b"', f"{etag}, {etag}"):
        headers = {"if-match": value}
        yield _send(customer, "PUT", "/api/v1/cart/items/9", json={"quantity": 2}, headers=headers)
        yield _send(customer, "DELETE", "/api/v1/cart/items/9", headers=headers)
    yield _send(customer, "PUT", "/api/v1/cart/items/123456", json={"quantity": 2})
    yield _send(customer, "DELETE", "/api/v1/cart/items/123456")
    yield _send(customer, "GET", "/api/v1/cart")
    yield _send(customer, "DELETE", "/api/v1/cart", headers={"if-match": '"x"'})
    yield _send(customer, "DELETE", "/api/v1/cart")
    yield _send(customer, "GET", "/api/v1/cart")


def _a_full_cart(customer: Customer, _: LocalShop) -> Answers:
    customer.fill_cart({product_id: 1 for product_id in range(1, 51)})
    yield _send(customer, "PUT", "/api/v1/cart/items/51", json={"quantity": 1})
    yield _send(customer, "PUT", "/api/v1/cart/items/123456", json={"quantity": 1})
    yield _send(customer, "GET", "/api/v1/cart")


def _purchases(customer: Customer, shop: LocalShop) -> Answers:
    yield customer.check_out("empty")
    customer.fill_cart({60: 2, 61: 1})
    first = customer.check_out("first")
    yield first
    yield customer.check_out("first")
    yield customer.check_out("first", card="pm_card_mastercard")
    yield _send(customer, "GET", first.headers["location"])
    yield _send(
        customer,
        "GET",
        first.headers["location"].upper().replace("/API/V1/ORDERS", "/api/v1/orders"),
    )
    customer.fill_cart({62: 3})
    with shop.payments.behaving(Mode.DECLINING):
        yield customer.check_out("declined")
    yield customer.check_out("declined")
    for mode in (Mode.DOWN, Mode.FAILING, Mode.LOSING_ANSWERS):
        customer.fill_cart({63: 1})
        with shop.payments.behaving(mode):
            yield customer.check_out(mode.name)
        wait_for("the end", lambda: customer.orders()[0]["status"] == "paid")
    customer.fill_cart({9: 1, 20_000 - 10_000: 99})
    yield customer.check_out("stock")
    for page in ("1", "2"):
        params = {"page": page, "page_size": "2"}
        yield _send(customer, "GET", "/api/v1/orders", params=params)
    yield _send(customer, "GET", f"/api/v1/orders/{uuid4()}")


WITHOUT_A_PAST = {
    case.__name__.strip("_"): case
    for case in (
        _methods, _without_token, _forged, _bodies, _registrations, _sessions_out_of_form,
        _searches, _numbers, _several_faults, _checkouts_out_of_form, _paths, _request_ids, _pages,
    )
}  # fmt: skip
WITH_A_PAST = {
    case.__name__.strip("_"): case
    for case in (_an_account, _guessing, _a_cart, _a_full_cart, _purchases)
}


@pytest.fixture(scope="module")
def customers(counterparts: tuple[LocalShop, ...]) -> Iterator[list[Customer]]:
    """Return one customer of each shape's shop, with the same address."""
    made = [Customer(shop.target) for shop in counterparts]
    for customer in made:
        customer.email = made[0].email
        customer.enroll()
    yield made
    for customer in made:
        customer.close()


def _compare(one: list[dict[str, Any]], other: list[dict[str, Any]]) -> None:
    assert len(one) == len(other) > 0
    different = [(a, b) for a, b in zip(one, other, strict=True) if _only(a, b) or _only(b, a)]
    lines = [f"{a['request']}\n{_only(a, b)}\n{_only(b, a)}" for a, b in different]
    assert not different, f"{len(different)} of {len(one)} answers differ\n" + "\n".join(lines)


def _only(answer: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Return the parts of an answer in which it differs from another one."""
    parts = {key: answer[key] for key in ("status", "body") if answer[key] != other[key]}
    headers = set(answer["headers"].items()) - set(other["headers"].items())
    return {**parts, **({"headers": headers} if headers else {})}


@pytest.mark.parametrize("case", WITHOUT_A_PAST.values(), ids=WITHOUT_A_PAST.keys())
def test_the_same_answers(
    counterparts: tuple[LocalShop, ...], customers: list[Customer], case: Case
) -> None:
    pairs = zip(counterparts, customers, strict=True)
    _compare(*(_replayed(shop, case, customer) for shop, customer in pairs))


@pytest.mark.parametrize("case", WITH_A_PAST.values(), ids=WITH_A_PAST.keys())
def test_the_same_story(counterparts: tuple[LocalShop, ...], case: Case) -> None:
    told = []
    email = f"customer-{uuid4().hex[:12]}@example.test"
    for shop in counterparts:
        with Customer(shop.target) as customer:
            customer.email = email
            if case is not _an_account:
                customer.enroll()
            told.append(_replayed(shop, case, customer))
    _compare(*told)


@schema.parametrize()
def test_the_same_answers_to_made_up_requests(
    case: schemathesis.Case[Any], counterparts: tuple[LocalShop, ...], customers: list[Customer]
) -> None:
    _compare(*([_answer(_made_up(case, customer))] for customer in customers))


def _made_up(case: schemathesis.Case[Any], customer: Customer) -> httpx.Response:
    target = customer.target
    answer = case.call(
        base_url=target.base_url,
        verify=str(target.ca_file),
        headers={
            "Authorization": f"Bearer {customer.tokens['access_token']}",
            "Accept-Encoding": "identity",
            "X-Request-ID": "same",
        },
    )
    return httpx.Response(
        answer.status_code,
        headers=[(name, value) for name, values in answer.headers.items() for value in values],
        content=answer.content,
        request=httpx.Request(case.method, str(answer.request.url), content=answer.request.body),
    )
