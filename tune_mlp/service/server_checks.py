"""The checks of a running service, as `tune-mlp doctor --server` shows them: whether it answers, who one is there, and how it does."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from rich.console import Console

from tune_mlp.doctor.cluster_checks import NOTED_BYTES, NOTED_SECONDS, WRONG_BYTES, WRONG_SECONDS
from tune_mlp.doctor.doctor_view import conclude
from tune_mlp.doctor.facts import Clock
from tune_mlp.doctor.finding import Finding, graded, milliseconds, size
from tune_mlp.errors import TuneMlpError
from tune_mlp.service.client import Client
from tune_mlp.service.messages import Health, Me, ServiceFacts
from tune_mlp.version import __version__

ROUNDS = 4
"""How often the service's clock is read; the shortest round trip is the one that counts."""
IDLE_SECONDS = 30.0
"""A queue that wasn't looked at for longer stands still."""


@dataclass(frozen=True)
class ServiceView:
    """What a client learnt of a service."""

    url: str
    fault: str = ""
    """Why it can't be asked; empty where it answers."""
    health: Health | None = None
    me: Me | None = None
    unknown: str = ""
    """Why it doesn't say who the client is: a token that it doesn't know, or none."""
    clock: Clock | None = None


def check_server(client: Client, console: Console) -> None:
    """Check a service, and print the findings. If there are problems, raise an error that counts them."""
    conclude(console, diagnose_server(look_at(client)))


def look_at(client: Client) -> ServiceView:
    """Ask a service for all that the checks need."""
    best: tuple[float, Clock] | None = None
    health: Health | None = None
    try:
        for _ in range(ROUNDS):
            sent = time.time()
            health = client.health()
            took = time.time() - sent
            if health.facts is not None and (best is None or took < best[0]):
                best = took, Clock(health.facts.now - sent - took / 2, took / 2)
    except TuneMlpError as error:
        return ServiceView(client.url, fault=str(error))
    me, unknown = None, ""
    try:
        me = client.me()
    except TuneMlpError as error:
        unknown = str(error)
    return ServiceView(client.url, health=health, me=me, unknown=unknown, clock=best[1] if best else None)


def diagnose_server(view: ServiceView) -> list[Finding]:
    """Return all findings, subject by subject. A service that doesn't answer is one finding."""
    if view.fault or view.health is None:
        remedy = "start it with `tune-mlp serve`, or give another --server"
        return [Finding("service", "", "problem", view.fault, remedy)]
    findings = [_service(view, view.health), _token(view)]
    if view.clock is not None:
        findings.append(_clock(view.clock))
    if view.health.facts is not None:
        findings += [check(view.health.facts) for check in CHECKS]
    return findings


def _service(view: ServiceView, health: Health) -> Finding:
    if health.version != __version__:
        what = f"{view.url} answers, with tune_mlp {health.version} (here {__version__})"
        return Finding("service", "", "note", what, "install the same version on both sides")
    return Finding("service", "", "ok", f"{view.url} answers, with tune_mlp {health.version} as here")


def _token(view: ServiceView) -> Finding:
    if view.me is None:
        return Finding("token", "", "problem", view.unknown, "give yours with --token-file, or in $TUNE_MLP_TOKEN")
    return Finding("token", "", "ok", f"you are {view.me.name}{', an admin' if view.me.admin else ''}")


def _clock(clock: Clock) -> Finding:
    surely = abs(clock.ahead) - clock.give
    give = f"(± {milliseconds(clock.give)})"
    if surely <= NOTED_SECONDS:
        return Finding("clock", "", "ok", f"at most {milliseconds(abs(clock.ahead))} from this machine's {give}")
    side = "ahead of" if clock.ahead > 0 else "behind"
    what = f"{abs(clock.ahead):,.1f} s {side} this machine's {give}"
    return Finding(
        "clock", "", graded(True, surely > WRONG_SECONDS), what, "set it by the network: timedatectl set-ntp true"
    )


def _root(facts: ServiceFacts) -> Finding:
    if facts.unwritable:
        remedy = "mend it there: studies can neither be accepted nor run"
        return Finding("root", "", "problem", f"can't write to {facts.root}: {facts.unwritable}", remedy)
    return Finding("root", "", "ok", f"{facts.root} can be written")


def _disk(facts: ServiceFacts) -> Finding:
    what = f"{size(facts.free_bytes)} free on the disk of {facts.root}"
    if facts.free_bytes < NOTED_BYTES:
        return Finding("disk", "", graded(True, facts.free_bytes < WRONG_BYTES), what, "make room there")
    return Finding("disk", "", "ok", what)


def _queue(facts: ServiceFacts) -> Finding:
    stands = f"{facts.running} of at most {facts.concurrent} run, {facts.queued} wait"
    if facts.fault:
        return Finding(
            "queue", "", "problem", f"{facts.fault}; {stands}", "mend that; the service tries again by itself"
        )
    if facts.queue_seconds is None or facts.queue_seconds > IDLE_SECONDS:
        since = "" if facts.queue_seconds is None else f" for {facts.queue_seconds:,.0f} s"
        return Finding(
            "queue", "", "problem", f"nothing looked at it{since}; {stands}", "start the service anew: nothing is lost"
        )
    return Finding("queue", "", "ok", stands)


def _drivers(facts: ServiceFacts) -> Finding:
    if facts.unknown:
        study, why = next(iter(facts.unknown.items()))
        more = f" and {len(facts.unknown) - 1} more" if len(facts.unknown) > 1 else ""
        return Finding(
            "drivers",
            "",
            "problem",
            f"{study}{more} can't be asked about: {why}",
            "the service asks again by itself; what runs there goes on",
        )
    what = (
        "none, since no study runs" if not facts.running else f"found, one for each of {facts.running} running studies"
    )
    return Finding("drivers", "", "ok", what)


CHECKS: tuple[Callable[[ServiceFacts], Finding], ...] = (_root, _disk, _queue, _drivers)
"""The checks of what a service says of itself to somebody with a token."""
