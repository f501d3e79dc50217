"""Checks of each node: room for trials, cores, GPUs that PyTorch can use, memory, and compiled kernels."""

from __future__ import annotations

import math

from tune_mlp.console.formatting import count
from tune_mlp.doctor.facts import ClusterFacts
from tune_mlp.doctor.finding import NAMED, RAYS_LIMIT, Finding, by_machine, fitting, graded, named, size
from tune_mlp.errors import ResourceError
from tune_mlp.tuning.cluster import Cluster

TRIAL_BYTES = 400_000_000
"""The memory of a trial's process with PyTorch and MNIST loaded, as measured."""


def check_slots(subject: str, facts: ClusterFacts) -> list[Finding]:
    nodes = [node for node, _ in facts.answered]
    if not nodes:
        return []
    asked = f"--cpus {facts.resources.cpu:g} --gpus {facts.resources.gpu:g}"
    try:
        slots = Cluster(tuple(dict(node.resources) for node in nodes)).slots(facts.resources, None)
    except ResourceError as error:
        return [Finding(subject, "", "problem", str(error), "ask for less, or start Ray with more")]
    each = ", ".join(f"{node.name} {fitting([node], facts.resources)}" for node in nodes[:NAMED])
    more = ", ..." if len(nodes) > NAMED else ""
    where = f" ({each}{more})" if len(nodes) > 1 else ""
    return [Finding(subject, "", "ok", f"{asked}: {count(slots, 'trial')} at once{where}")]


def check_threads(subject: str, facts: ClusterFacts) -> list[Finding]:
    found, threads = [], facts.resources.threads
    for together in by_machine(facts):
        nodes, machine = [node for node, _ in together], together[0][1]
        name = named([node.name for node in nodes], facts)
        offered = sum(node.resources.get("CPU", 0.0) for node in nodes)
        running = threads * fitting(nodes, facts.resources)
        if offered > machine.cores:
            what = f"Ray offers {offered:g} CPUs where there are {machine.cores:g} cores: trials slow each other down"
            fewer = max(1, math.floor(machine.cores))
            more = " for all its nodes together" if len(nodes) > 1 else ""
            remedy = f"search with --concurrent {max(1, math.floor(machine.cores / threads))}"
            if facts.address is not None:
                remedy = f"ray start --num-cpus {fewer}{more}"
            found.append(Finding(subject, name, "note", what, remedy))
        elif running > machine.cores:
            what = f"{running} threads of trials at once on {machine.cores:g} cores: they slow each other down"
            found.append(Finding(subject, name, "note", what, "give --cpus 1"))
        for node, own in together:
            if own.omp not in ("", "1", str(threads)):
                what = (
                    f"OMP_NUM_THREADS={own.omp}: a trial keeps to {count(threads, 'thread')}, other libraries may not"
                )
                found.append(Finding(subject, node.name, "note", what, "unset it before Ray starts"))
    cores = sum(together[0][1].cores for together in by_machine(facts))
    offered = sum(node.resources.get("CPU", 0.0) for node, _ in facts.answered)
    what = f"{count(threads, 'thread')} a trial; Ray offers {offered:g} of {cores:g} cores"
    return found or ([Finding(subject, "", "ok", what)] if facts.answered else [])


def check_gpus(subject: str, facts: ClusterFacts) -> list[Finding]:
    found: list[Finding] = []
    for together in by_machine(facts):
        offered_there = sum(node.resources.get("GPU", 0.0) for node, _ in together)
        for node, machine in together:
            offered = node.resources.get("GPU", 0.0)
            if machine.cuda_devices < offered:
                what = f"Ray offers {offered:g} GPUs, and PyTorch can use {machine.cuda_devices}"
                remedy = "see `nvidia-smi` there: its driver may be missing, or older than PyTorch's CUDA"
                if machine.cuda_build is None:
                    what, remedy = (
                        f"Ray offers {offered:g} GPUs, and PyTorch doesn't answer",
                        "try `import torch` there",
                    )
                elif not machine.cuda_build:
                    what, remedy = f"{what}: it was built for CPUs", "install PyTorch's CUDA build there"
                found.append(Finding(subject, node.name, "problem", what, remedy))
            elif machine.gpus > offered_there:
                what = f"has {count(machine.gpus, 'GPU')}, of which Ray offers {offered_there:g}"
                remedy = f"see CUDA_VISIBLE_DEVICES, or ray start --num-gpus {machine.gpus}"
                found.append(Finding(subject, node.name, "note", what, remedy))
    total = sum(node.resources.get("GPU", 0.0) for node, _ in facts.answered)
    if found or not facts.answered or (facts.resources.gpu and not total):  # the check of slots reports that
        return found
    what = f"{count(round(total), 'GPU')}, and PyTorch can use them" if total else "none, and trials ask for none"
    return [Finding(subject, "", "ok", what)]


def check_memory(subject: str, facts: ClusterFacts) -> list[Finding]:
    found, known = [], []
    for together in by_machine(facts):
        nodes, machine = [node for node, _ in together], together[0][1]
        slots = fitting(nodes, facts.resources)
        if machine.available is None or machine.memory is None or not slots:
            continue
        free = max(0, machine.available - round((1 - RAYS_LIMIT) * machine.memory))
        trials = free // TRIAL_BYTES
        known.append(free)
        if trials < slots:
            room = f"room for {trials} of {count(slots, 'trial')} at once, {size(TRIAL_BYTES)} each"
            what = f"{size(free)} free below the {RAYS_LIMIT:.0%} at which Ray ends trials: {room}"
            remedy = f"end what else runs there, or search with --concurrent {max(1, trials)}"
            level = graded(True, trials == 0)
            found.append(Finding(subject, named([node.name for node in nodes], facts), level, what, remedy))
    for node, _ in facts.answered:
        store = node.resources.get("object_store_memory", 0.0)
        if facts.data.size > store > 0:
            what = (
                f"the data take {size(facts.data.size)}, Ray's object store holds {size(store)}: it will use the disk"
            )
            enough = math.ceil(2 * facts.data.size / 1e8) * 10**8
            remedy = f"ray start --object-store-memory {enough}"
            found.append(Finding(subject, node.name, "note", what, remedy))
    what = f"{size(min(known, default=0))} free at least, for trials of {size(TRIAL_BYTES)} each"
    return found or ([Finding(subject, "", "ok", what)] if known else [])


def check_kernels(subject: str, facts: ClusterFacts) -> list[Finding]:
    what = "not compiled yet: the first search compiles them once, in about 20 s"
    found = [
        Finding(subject, node.name, "note", what, "nothing to do")
        for node, machine in facts.answered
        if machine.compiled is False
    ]
    compiled = any(machine.compiled for _, machine in facts.answered)
    return found or ([Finding(subject, "", "ok", "compiled")] if compiled else [])
