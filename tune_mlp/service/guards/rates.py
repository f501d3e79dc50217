"""Rates: how many requests each user may make. A bucket holds so many requests and fills up again with time."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable

from starlette.types import ASGIApp, Receive, Scope, Send

from tune_mlp.service.app_options import Rate
from tune_mlp.service.guards.origin_guard import SAFE_METHODS
from tune_mlp.service.guards.refusal import refusal

MOST_BUCKETS = 10_000
"""The number of users and addresses that are remembered; the one that asked longest ago is forgotten first."""


class Buckets:
    """Counts requests by whoever sent them."""

    def __init__(self, rate: Rate, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """How many requests are left, and when that was so."""

    def take(self, whose: str) -> float:
        """Count a request; return 0, or the seconds to wait where there are none left."""
        now = self._clock()
        left = self._left_at(whose, now)
        wait = 0.0 if left >= 1 else (1 - left) / self._rate.each_second
        self._left[whose] = (left - 1 if wait == 0 else left), now
        self._left.move_to_end(whose)
        if len(self._left) > MOST_BUCKETS:
            self._left.popitem(last=False)
        return wait

    def _left_at(self, whose: str, now: float) -> float:
        left, then = self._left.get(whose, (float(self._rate.burst), now))
        return min(float(self._rate.burst), left + (now - then) * self._rate.each_second)


class RateGuard:
    """Lets each user's requests through at the rates of the service."""

    def __init__(self, app: ASGIApp, reads: Rate, changes: Rate) -> None:
        self._app = app
        self._reads, self._changes = Buckets(reads), Buckets(changes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "http":
            buckets = self._reads if scope["method"] in SAFE_METHODS else self._changes
            if wait := buckets.take(whose(scope)):
                await too_many(wait)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def whose(scope: Scope) -> str:
    """Return the name that a request is counted by: its user, or its address where nobody knows whose it is."""
    user = scope.get("state", {}).get("user")
    return f"user {user.name}" if user is not None else address_of(scope)


def address_of(scope: Scope) -> str:
    """Return the address that a request comes from."""
    client = scope.get("client")
    return f"address {client[0]}" if client else "nowhere"


def too_many(wait: float) -> ASGIApp:
    """Return the answer to one request too many."""
    seconds = math.ceil(wait)
    return refusal(429, f"too many requests; try again in {seconds} s", {"Retry-After": str(seconds)})
