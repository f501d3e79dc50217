"""A finding: one line that says what was found and what to do about it, and helpers that word it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from tune_mlp.doctor.facts import ClusterFacts, Machine, Node
from tune_mlp.errors import ResourceError
from tune_mlp.study.settings import Resources
from tune_mlp.tuning.cluster import Cluster

Level = Literal["ok", "note", "problem"]
RAYS_LIMIT = 0.95
"""Ray ends workers when more of a machine's memory is used, and stops writing when more of its disk is used."""
UNITS = {1e9: "GB", 1e6: "MB"}
NAMED = 6
"""The largest number of nodes that one line names."""


@dataclass(frozen=True)
class Finding:
    """What a check found; `node` is empty if it concerns all nodes or the driver."""

    subject: str
    node: str
    level: Level
    what: str
    remedy: str = ""


def graded(note: bool, problem: bool) -> Level:
    """Return `problem` or `note`, whichever is worse and true, else `ok`."""
    return "problem" if problem else "note" if note else "ok"


def by_machine(facts: ClusterFacts) -> list[list[tuple[Node, Machine]]]:
    """Group the nodes that answered by machine: nodes of one machine share its cores and its memory."""
    found: dict[tuple[str, str], list[tuple[Node, Machine]]] = {}
    for node, machine in facts.answered:
        found.setdefault(machine.system, []).append((node, machine))
    return list(found.values())


def fitting(nodes: Iterable[Node], resources: Resources) -> int:
    """Return how many trials these nodes can run at once."""
    try:
        return Cluster(tuple(dict(node.resources) for node in nodes)).slots(resources, None)
    except ResourceError:
        return 0


def named(names: list[str], facts: ClusterFacts) -> str:
    """Return the names of nodes in one text; empty if all nodes are meant."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return "" if len(names) == len(facts.nodes) else ", ".join(names[:NAMED]) + more


def everywhere(facts: ClusterFacts) -> str:
    return "this machine" if len(facts.nodes) == 1 else f"all {len(facts.nodes)} nodes"


def size(number: float) -> str:
    unit, word = next(((unit, word) for unit, word in UNITS.items() if number >= unit), (1e3, "kB"))
    return f"{number / unit:.{1 if word == 'GB' else 0}f} {word}"


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms" if seconds < 0.1 else f"{seconds:.1f} s"
