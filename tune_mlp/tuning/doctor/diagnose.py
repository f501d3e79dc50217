"""All checks in the order in which they are read, and from facts to findings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tune_mlp.tuning.doctor import between, within
from tune_mlp.tuning.doctor.facts import Facts
from tune_mlp.tuning.doctor.finding import Finding, named

CHECKS: dict[str, Callable[[str, Facts], list[Finding]]] = {
    "nodes": between.check_nodes,
    "versions": between.check_versions,
    "token": between.check_token,
    "clock": between.check_clock,
    "storage": between.check_storage,
    "disk": between.check_disk,
    "data": between.check_data,
    "slots": within.check_slots,
    "threads": within.check_threads,
    "gpus": within.check_gpus,
    "memory": within.check_memory,
    "kernels": within.check_kernels,
}
"""By subject. Each says what is wrong, or in one line that nothing is, or nothing where it knows nothing."""


def diagnose(facts: Facts) -> list[Finding]:
    """All findings, subject by subject; what is so on several nodes is said once."""
    where: dict[Finding, list[str]] = {}
    for subject, check in CHECKS.items():
        for finding in check(subject, facts):
            where.setdefault(replace(finding, node=""), []).append(finding.node)
    return [replace(finding, node=named(names, facts) if all(names) else "") for finding, names in where.items()]
