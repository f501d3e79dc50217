"""The diagnosis: all checks in the order in which they are shown, applied to the facts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tune_mlp.doctor import cluster_checks, node_checks
from tune_mlp.doctor.facts import ClusterFacts
from tune_mlp.doctor.finding import Finding, named

CHECKS: dict[str, Callable[[str, ClusterFacts], list[Finding]]] = {
    "nodes": cluster_checks.check_nodes,
    "versions": cluster_checks.check_versions,
    "token": cluster_checks.check_token,
    "clock": cluster_checks.check_clock,
    "storage": cluster_checks.check_storage,
    "disk": cluster_checks.check_disk,
    "data": cluster_checks.check_data,
    "slots": node_checks.check_slots,
    "threads": node_checks.check_threads,
    "gpus": node_checks.check_gpus,
    "memory": node_checks.check_memory,
    "kernels": node_checks.check_kernels,
}
"""The checks by subject. A check returns what is wrong, or one finding that nothing is, or nothing if it knows nothing."""


def diagnose(facts: ClusterFacts) -> list[Finding]:
    """Return all findings, subject by subject; a finding that several nodes share is given once."""
    where: dict[Finding, list[str]] = {}
    for subject, check in CHECKS.items():
        for finding in check(subject, facts):
            where.setdefault(replace(finding, node=""), []).append(finding.node)
    return [replace(finding, node=named(names, facts) if all(names) else "") for finding, names in where.items()]
