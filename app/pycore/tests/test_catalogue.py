from __future__ import annotations

from time import process_time

from shopcatalogue.seed import COUNT, catalogue


def test_the_catalogue_is_the_same_every_time() -> None:
    assert list(catalogue()) == list(catalogue())


def test_the_catalogue_is_complete_and_plausible() -> None:
    rows = list(catalogue())
    assert [row[0] for row in rows] == list(range(1, COUNT + 1))
    assert len({row[1] for row in rows}) == len({row[2] for row in rows}) == COUNT
    assert all(row[5] > 0 and row[5] % 100 == 90 for row in rows)
    assert all(row[7] >= 0 for row in rows)
    assert 50 <= sum(row[7] == 0 for row in rows) <= 200
    assert all(row[7] == 1_000_000 for row in rows[:100])


def test_the_catalogue_is_quick_to_make() -> None:
    started = process_time()
    list(catalogue())
    assert process_time() - started < 1.0
