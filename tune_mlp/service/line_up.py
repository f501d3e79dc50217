"""The order of the queue: who has least at work goes first, and of one user's jobs the oldest.

These are plain functions of what waits and what runs, so the same line gives the same order after a restart.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tune_mlp.service.options import ServiceOptions


class AtWork(NamedTuple):
    """What a user has at work: CPU cores, GPUs, studies."""

    cpus: float = 0.0
    gpus: float = 0.0
    studies: int = 0

    def and_one(self, place: Place) -> AtWork:
        return AtWork(self.cpus + place.cpus, self.gpus + place.gpus, self.studies + 1)


class Place(NamedTuple):
    """A job that waits or runs, and what it asks for."""

    job: int
    owner: str
    cpus: float
    gpus: float


class Lined(NamedTuple):
    """The line: what may begin now, and what waits, each with the reason."""

    ready: tuple[int, ...]
    """The jobs to begin, in order."""
    waiting: tuple[tuple[int, str], ...]
    """The jobs that go on waiting, in the order in which they would begin if nothing ended; a job's place is its position."""


def line_up(queued: Sequence[Place], running: Iterable[Place], options: ServiceOptions) -> Lined:
    """Order what waits. `queued` is in the order in which it was asked for."""
    shares: dict[str, AtWork] = defaultdict(AtWork)
    at_work = 0
    for place in running:
        shares[place.owner] = shares[place.owner].and_one(place)
        at_work += 1
    lines: dict[str, list[Place]] = defaultdict(list)
    arrived = {place.job: number for number, place in enumerate(queued)}
    for place in reversed(queued):
        lines[place.owner].append(place)  # the oldest is at the end
    ready: list[int] = []
    waiting: list[tuple[int, str]] = []
    held: set[str] = set()
    """The users whose first job waits: their others wait behind it."""
    pretended = dict(shares)
    while any(lines.values()):
        standing = {owner: pretended.get(owner, AtWork()) for owner, line in lines.items() if line}
        # Jobs that may begin come ahead of those that wait for a limit of their own user.
        owner = min(standing, key=lambda one: (one in held, *standing[one], arrived[lines[one][-1].job]))
        place = lines[owner].pop()
        why = _over_limit(place, shares[owner], options)
        if owner in held or why:
            held.add(owner)
            waiting.append((place.job, why or "waits behind another study of the same user"))
        elif at_work >= options.concurrent_studies:
            waiting.append((place.job, f"waits for one of the {options.concurrent_studies} studies that run at once"))
        else:
            ready.append(place.job)
            shares[owner] = shares[owner].and_one(place)
            at_work += 1
        pretended[owner] = pretended.get(owner, AtWork()).and_one(place)
    return Lined(tuple(ready), tuple(waiting))


def too_large(cpus: float, gpus: float, options: ServiceOptions) -> str:
    """Return why a study could never begin under the limits of one user, or an empty text."""
    for word, asked, limit in (("CPU cores", cpus, options.cpus_per_user), ("GPUs", gpus, options.gpus_per_user)):
        if limit is not None and asked > limit:
            return f"a user's studies may have {limit:g} {word} at once, and this one asks for {asked:g}; lower concurrent or resources"
    return ""


def _over_limit(place: Place, share: AtWork, options: ServiceOptions) -> str:
    limits = (
        (share.studies + 1, options.studies_per_user, "studies"),
        (share.cpus + place.cpus, options.cpus_per_user, "CPU cores"),
        (share.gpus + place.gpus, options.gpus_per_user, "GPUs"),
    )
    for asked, limit, word in limits:
        if limit is not None and asked > limit and share.studies:
            return f"waits for the limit of {limit:g} {word} at once of each user"
    if options.studies_per_user is not None and options.studies_per_user < 1:
        return "no user may run a study now"
    return ""
