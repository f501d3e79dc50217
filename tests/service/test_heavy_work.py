"""Heavy work is done once for all who ask for the same, is remembered, and is refused where too much of it waits."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable

import pytest

from tune_mlp.errors import RunError
from tune_mlp.service.faults import TooMany
from tune_mlp.service.heavy_work import HeavyWork


def run(job: Callable[[HeavyWork], Awaitable[None]], **limits: int) -> None:
    async def go() -> None:
        heavy = HeavyWork(**limits)
        try:
            await job(heavy)
        finally:
            heavy.close()

    asyncio.run(go())


def test_the_same_work_is_done_once_and_remembered() -> None:
    done: list[int] = []
    gate = threading.Event()

    def work() -> int:
        gate.wait(10)
        done.append(1)
        return len(done)

    async def job(heavy: HeavyWork) -> None:
        asked = [asyncio.ensure_future(heavy.once("a", work)) for _ in range(5)]
        await asyncio.sleep(0)
        gate.set()
        assert await asyncio.gather(*asked) == [1] * 5
        assert await heavy.once("a", work) == 1
        assert await heavy.once("b", work) == 2
        assert await heavy.each_time(work) == 3

    run(job)


def test_one_who_goes_away_doesn_t_end_the_work_of_the_others() -> None:
    gate = threading.Event()

    async def job(heavy: HeavyWork) -> None:
        first, second = (asyncio.ensure_future(heavy.once("a", lambda: gate.wait(10))) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        gate.set()
        assert await second
        assert first.cancelled()

    run(job)


def test_a_fault_is_told_and_not_remembered() -> None:
    answers = iter([RunError("damaged"), None])

    def work() -> str:
        if error := next(answers):
            raise error
        return "found"

    async def job(heavy: HeavyWork) -> None:
        with pytest.raises(RunError):
            await heavy.once("a", work)
        assert await heavy.once("a", work) == "found"

    run(job)


def test_too_much_waiting_work_is_refused() -> None:
    gate = threading.Event()

    async def job(heavy: HeavyWork) -> None:
        waiting = [asyncio.ensure_future(heavy.once(key, lambda: gate.wait(10))) for key in "ab"]
        await asyncio.sleep(0)
        with pytest.raises(TooMany):
            await heavy.once("c", gate.is_set)
        gate.set()
        assert await asyncio.gather(*waiting) == [True, True]
        assert await heavy.once("c", gate.is_set)

    run(job, threads=1, most_waiting=2)


def test_what_was_asked_for_longest_ago_is_forgotten_first() -> None:
    done: list[str] = []

    async def job(heavy: HeavyWork) -> None:
        for key in "abacab":
            await heavy.once(key, lambda key=key: done.append(key))
        assert done == ["a", "b", "c", "b"]

    run(job, most_kept=2)


def test_only_so_many_bytes_are_remembered() -> None:
    done: list[str] = []

    def work(key: str) -> bytes:
        done.append(key)
        return b"x" * 40

    async def job(heavy: HeavyWork) -> None:
        for key in "abcab":
            await heavy.once(key, lambda key=key: work(key))
        assert done == ["a", "b", "c", "a", "b"]
        await heavy.once("b", lambda: work("b"))
        assert len(done) == 5

    run(job, most_bytes=100)
