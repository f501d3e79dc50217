"""The fuzzers' common part: many made-up inputs, each of which must be taken or be refused in one line.

A fuzzer is a function of a random generator and an empty folder. It makes an input there, and returns a function that lets the
package read it as a command would, and that checks what was accepted. `run_cases` holds that function to the rules: status
0 or 2, one printable line and no traceback, at most 5 seconds of computing and 1 GB of memory.
"""

from __future__ import annotations

import contextlib
import io
import os
import random
import resource
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import pytest

from tune_mlp.console.terminal import guarded

Check = Callable[[], None]
Case = Callable[[random.Random, Path], Callable[[], Check | None]]
"""A fuzzer makes an input in an empty folder, and returns a function that reads the input as one command would, whose time is
measured. That function may return another one, which checks what was read, and whose time isn't measured."""
SEED = int(os.environ.get("TUNE_MLP_FUZZ_SEED", "20260101"))
"""Another seed makes other cases; a failure names the seed and the case's number."""
SECONDS = 5.0
KILOBYTES = 1_000_000
HANGS = 60
"""Seconds by the clock after which a case counts as hanging; other processes may slow it down a lot."""

CASES = pytest.mark.parametrize(
    "cases", [200, pytest.param(10_000, marks=[pytest.mark.slow, pytest.mark.timeout(7200)])]
)
"""A small form for every day and a large one among the slow tests."""

ODD_TEXT = [
    *(
        "",
        " ",
        "\t",
        "\n",
        "\r\n",
        "\x00",
        "\x1b[31m",
        "\x7f",
        "\x85",
        "\u200b",
        "\u202e",
        "\u2028",
        "\ufeff",
        "\ud800",
    ),
    *("é", "e\u0301", "ß", "漢字", "😀", "null", "true", "~", "nan", "inf", "-0", "1e999", "0x1f", "=1+1", "%s", "{}"),
    *("../x", "/dev/zero", "a" * 5000, "'", '"', "#", ":", ": ", "- ", "&a", "*a", "!!int 1", "? ", "@", "`", "\\"),
]
ODD_NUMBERS = [
    *(0, 1, -1, 2, 3, 7, 100, 101, 2**31, 2**53, 2**63 - 1, 2**63, -(2**63), 10**21, 10**99),
    *(0.0, -0.0, 0.5, 1.0, 1.5, -1.5, 1e-300, 5e-324, 1e-40, 1e-8, 1e39, 1e308, float("inf"), float("nan")),
]


def run_cases(fuzzer: Case, cases: int, folder: Path) -> Counter[int]:
    """Run a fuzzer so many times and return how often each exit status came; a broken rule fails the test."""
    statuses: Counter[int] = Counter()
    for number in range(cases):
        place = folder / "case"
        place.mkdir(parents=True)
        before = _kilobytes()
        read = fuzzer(random.Random(f"{SEED} {number}"), place)
        with _no_longer_than(HANGS), _untraced():
            began = time.process_time()
            status, said, check = _ended(read)
            seconds = time.process_time() - began
            if check is not None:
                status, said, _ = _ended(check)
        broken = [
            *([f"status {status}"] if status not in (0, 2) else []),
            *([f"{len(said.splitlines())} lines"] if len(said.splitlines()) != (1 if status else 0) else []),
            *(["a line that isn't printable"] if not said.removesuffix("\n").isprintable() else []),
            *([f"{len(said)} characters"] if len(said) > 2100 else []),
            *([f"{seconds:.1f} s"] if seconds > SECONDS else []),
            *([f"{(_kilobytes() - before) / 1000:.0f} MB"] if _kilobytes() - before > KILOBYTES else []),
        ]
        assert not broken, f"seed {SEED}, case {number}: {', '.join(broken)}: {said!r}; its files are in {place}"
        statuses[status] += 1
        shutil.rmtree(place)
    return statuses


def _ended(read: Callable[[], Check | None]) -> tuple[int, str, Check | None]:
    """Return the exit status that a command would have, the line that it would print, and what checks what was read."""
    failed: list[AssertionError] = []
    checks: list[Check | None] = [None]

    def job() -> None:
        try:
            checks.append(read())
        except AssertionError as error:  # the test's, or an assertion of ours that an input can break
            failed.append(error)

    with contextlib.redirect_stderr(io.StringIO()) as said:
        status = guarded(job)
    if failed:
        raise failed[0]
    return status, said.getvalue(), checks[-1]


def _kilobytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@contextlib.contextmanager
def _untraced() -> Iterator[None]:
    """Stop the measurement of coverage: it takes three times the seconds of what is measured."""
    tracer = sys.gettrace()
    sys.settrace(None)
    try:
        yield
    finally:
        sys.settrace(tracer)


@contextlib.contextmanager
def _no_longer_than(seconds: float) -> Iterator[None]:
    def late(number: int, frame: FrameType | None) -> None:
        raise AssertionError(f"hangs for {seconds} seconds")

    before = signal.signal(signal.SIGALRM, late)
    timer, _ = signal.setitimer(signal.ITIMER_REAL, seconds)  # pytest-timeout's own, which is set again below
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, timer)
        signal.signal(signal.SIGALRM, before)


def put_no_regular_file(rng: random.Random, path: Path) -> bool:
    """Rarely put a pipe or a link, such as to a device, at the path; True if that was done."""
    kind = rng.random()
    if kind < 0.02:
        os.mkfifo(path)
    elif kind < 0.04:
        path.symlink_to(rng.choice(["/dev/zero", "/proc/self/status", "nowhere", path.name, "."]))
    return kind < 0.04


def damaged(rng: random.Random, content: bytes) -> bytes:
    """Bytes with some cut out, overwritten, repeated, swapped or put in between."""
    for _ in range(rng.randint(1, 4)):
        content = _damaged_once(rng, content)
    return content


def _damaged_once(rng: random.Random, content: bytes) -> bytes:
    at, other = rng.randint(0, len(content)), rng.randint(0, len(content))
    to = min(len(content), at + rng.choice([1, 1, 2, 8, 100]))
    before, part, after = content[:at], content[at:to], content[to:]
    match rng.randrange(6):
        case 0:
            return before + after
        case 1:
            return before
        case 2:
            return before + rng.randbytes(len(part)) + after
        case 3:
            return before + part * rng.randint(2, 50) + after
        case 4:
            return content[:other] + part + content[other:]
        case _:
            return before + rng.choice(ODD_TEXT).encode("utf-8", "surrogatepass") + part + after
