"""Catalogue: listing, search, detail."""

from __future__ import annotations

import json

import pytest

from .harness.client import Customer, problem_slug
from .harness.shop import LocalShop

PATH = "/api/v1/products"


def test_the_catalogue_has_ten_thousand_products(visitor: Customer) -> None:
    first = visitor.get(PATH).json()
    assert first["total"] == 10_000
    assert (first["page"], first["page_size"], len(first["items"])) == (1, 20, 20)


def test_pages_cover_the_catalogue_once(visitor: Customer) -> None:
    ids: list[int] = []
    for page in range(1, 101):
        items = visitor.get(PATH, params={"page": page, "page_size": 100}).json()["items"]
        ids += [item["id"] for item in items]
    assert ids == list(range(1, 10_001))


def test_a_page_beyond_the_last_is_empty(visitor: Customer) -> None:
    page = visitor.get(PATH, params={"page": 101, "page_size": 100}).json()
    assert (page["items"], page["total"]) == ([], 10_000)


def test_search_finds_every_word_in_any_form(visitor: Customer) -> None:
    page = visitor.get(PATH, params={"q": "walnuts headphone", "page_size": 100}).json()
    assert 0 < page["total"] < 500
    for item in page["items"]:
        text = f"{item['name']} {item['category']} {item['description']}".lower()
        assert "walnut" in text
        assert "headphone" in text


def test_search_pages_are_disjoint_and_complete(visitor: Customer) -> None:
    def ids(page: int, size: int) -> list[int]:
        found = visitor.get(PATH, params={"q": "tent", "page": page, "page_size": size}).json()
        return [item["id"] for item in found["items"]]

    assert ids(1, 10) + ids(2, 10) == ids(1, 20)


def test_a_match_in_the_name_comes_first(visitor: Customer) -> None:
    items = visitor.get(PATH, params={"q": "kettle"}).json()["items"]
    assert all("Kettle" in item["name"] for item in items)


@pytest.mark.parametrize("q", ["", "   "])
def test_a_blank_query_lists_all(visitor: Customer, q: str) -> None:
    assert visitor.get(PATH, params={"q": q}).json()["total"] == 10_000


@pytest.mark.parametrize(
    "q", ["qqqzzz", "the", "'; DROP TABLE products; --", "% _ \\", "<->", "a & | ! (", "🦄", "a:*"]
)
def test_odd_queries_are_only_queries(visitor: Customer, q: str) -> None:
    assert visitor.get(PATH, params={"q": q}).status_code == 200


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"page": "0"}, "page"),
        ({"page": "-1"}, "page"),
        ({"page": "1.0"}, "page"),
        ({"page": "1_0"}, "page"),
        ({"page": "+1"}, "page"),
        ({"page": "\u0661"}, "page"),
        ({"page": ""}, "page"),
        ({"page": "99999999999999999999"}, "page"),
        ({"page_size": "101"}, "page_size"),
        ({"page_size": "0"}, "page_size"),
        ({"page_size": "many"}, "page_size"),
        ({"q": "x" * 101}, "q"),
        ({"q": "a\x00b"}, "q"),
    ],
    ids=str,
)
def test_bad_parameters_are_named(visitor: Customer, params: dict[str, str], field: str) -> None:
    response = visitor.get(PATH, params=params)
    assert response.status_code == 422
    fault = response.json()["errors"][0]
    assert (fault["in"], fault["field"]) == ("query", field)


def test_detail_equals_the_listing(visitor: Customer) -> None:
    listed = visitor.get(PATH, params={"page": 3, "page_size": 1}).json()["items"][0]
    assert visitor.get(f"{PATH}/{listed['id']}").json() == listed


@pytest.mark.parametrize("product_id", [10_001, 2**31 - 1])
def test_no_such_product(visitor: Customer, product_id: int) -> None:
    response = visitor.get(f"{PATH}/{product_id}")
    assert (response.status_code, problem_slug(response)) == (404, "product-not-found")


@pytest.mark.parametrize("product_id", ["0", "-1", "2147483648", "abc", "1.5", "%00", "1e3"])
def test_ids_out_of_form(visitor: Customer, product_id: str) -> None:
    response = visitor.get(f"{PATH}/{product_id}")
    assert response.status_code == 422
    assert response.json()["errors"][0]["in"] == "path"


@pytest.mark.local
def test_search_uses_the_index(local_shop: LocalShop) -> None:
    plan = local_shop.psql(
        "EXPLAIN (FORMAT JSON) SELECT id FROM products"
        " WHERE search @@ websearch_to_tsquery('english', 'walnut headphones')"
        " ORDER BY ts_rank(search, websearch_to_tsquery('english', 'walnut headphones')) DESC, id"
        " LIMIT 20",
        module="products",
    )
    assert "ix_products_search" in json.dumps(json.loads(plan))
    assert "Seq Scan" not in plan


@pytest.mark.local
def test_the_listing_reads_no_more_than_its_page(local_shop: LocalShop) -> None:
    plan = local_shop.psql(
        "EXPLAIN (FORMAT JSON) SELECT id, name FROM products ORDER BY id LIMIT 20",
        module="products",
    )
    assert "pk_products" in plan
