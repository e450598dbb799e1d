from __future__ import annotations

import logging

import pytest

from shopcore.problems import dependency_unavailable
from shopcore.startup import Startup, StartupError, wait_until_up


async def test_waiting_ends_when_the_other_is_up(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    attempts = 0

    async def attempt() -> None:
        nonlocal attempts
        attempts += 1
        if attempts < 3:
            raise ConnectionRefusedError("refused")

    await wait_until_up("the store", attempt, timeout_s=30)
    assert attempts == 3
    assert [record.getMessage() for record in caplog.records] == [
        "waiting for the store",
        "the store is up",
    ]


async def test_waiting_in_vain_says_what_was_not_there_and_why() -> None:
    async def attempt() -> None:
        raise dependency_unavailable("store") from ConnectionRefusedError("refused\nby them")

    with pytest.raises(
        StartupError, match=r"^the store not up after 0.1 s: ConnectionRefusedError: refused$"
    ):
        await wait_until_up("the store", attempt, timeout_s=0.1)


@pytest.mark.parametrize("error", [None, StartupError("why"), ZeroDivisionError()])
async def test_a_startup_is_done_or_failed(error: Exception | None) -> None:
    async def prepare() -> None:
        if error is not None:
            raise error

    told: list[bool] = []
    startup = Startup(prepare=prepare)
    startup.on_failure = lambda: told.append(startup.failed)
    await startup.run()
    assert startup.done is (error is None)
    assert told == ([] if error is None else [True])
