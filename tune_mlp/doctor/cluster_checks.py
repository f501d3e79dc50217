"""Checks that concern the cluster as a whole: answers, versions, token, clocks, the folder for runs, disks and data."""

from __future__ import annotations

from tune_mlp.console.formatting import count
from tune_mlp.data.mnist import FOLDERS
from tune_mlp.doctor.facts import ClusterFacts
from tune_mlp.doctor.finding import RAYS_LIMIT, Finding, Level, everywhere, graded, milliseconds, size

NOTED_SECONDS, WRONG_SECONDS = 1.0, 30.0
NOTED_BYTES, WRONG_BYTES = 2e9, 200e6
RAYS_FILES = "of Ray's own files"


def check_nodes(subject: str, facts: ClusterFacts) -> list[Finding]:
    if facts.fault:
        return [Finding(subject, "", "problem", facts.fault, _way_in(facts))]
    found = [
        Finding(subject, node.name, "problem", node.silence, "see whether it hangs or is cut off; start its Ray again")
        for node in facts.nodes
        if not node.machine
    ]
    if facts.gone:
        what = f"{count(facts.gone, 'node')} left this Ray since it was started"
        found.append(Finding(subject, "", "note", what, "if that wasn't meant, start Ray there again"))
    where = "a Ray started for this" if facts.address is None else f"Ray at {facts.address}"
    answered = f"{len(facts.answered)} of {count(len(facts.nodes), 'node')} answered"
    return found or [Finding(subject, "", "ok", f"{where}: {answered}")]


def _way_in(facts: ClusterFacts) -> str:
    driver = facts.driver
    if facts.address is None:
        return "try `ray start --head --block`, which says more, and end it with Ctrl-C"
    if "Version mismatch" in facts.fault:
        return "use the cluster's versions of Python and Ray here"
    if "no answer" in facts.fault:
        return "see whether its head hangs; start it again"
    if "token" not in facts.fault.lower():
        return "see that it runs, and that address and port are its"
    if not driver.token:
        return "export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=FILE, with a copy of the cluster's token in FILE"
    if driver.token_bits is None:
        return f"copy the cluster's token to {driver.token_file}, or name its file in RAY_AUTH_TOKEN_PATH"
    return f"copy the cluster's token to {driver.token_file}"


def check_versions(subject: str, facts: ClusterFacts) -> list[Finding]:
    here, found = facts.driver, []
    for node, machine in facts.answered:
        if machine.unimported:
            what = f"tune_mlp can't be imported: {machine.unimported}"
            found.append(
                Finding(subject, node.name, "problem", what, "install it into the Python that starts Ray there")
            )
        differing = [
            f"{name} {version} (here {here.versions[name]})"
            for name, version in machine.versions.items()
            if version.partition("+")[0] != here.versions[name].partition("+")[0]  # the rest is CUDA's
        ]
        if machine.package and machine.package != here.package:
            differing.append(f"tune_mlp {machine.package} (here {here.package})")
        elif machine.package and machine.sources != here.sources:
            differing.append(f"tune_mlp {machine.package}, the same version from other sources")
        if differing:
            remedy = "install the same everywhere: constraints.txt pins all versions"
            found.append(Finding(subject, node.name, "problem", f"has {', '.join(differing)}", remedy))
    if found:
        return found
    text = ", ".join(f"{name} {version}" for name, version in {**here.versions, "tune_mlp": here.package}.items())
    where = f", on {everywhere(facts)}" if len(facts.answered) > 1 else ""
    return [Finding(subject, "", "ok", text + where)]


def check_token(subject: str, facts: ClusterFacts) -> list[Finding]:
    what = "asks for no token: whoever reaches its ports runs code on it"
    local = facts.address is None
    level: Level = "note" if local else "problem"
    remedy = "unset RAY_AUTH_MODE" if local else "export RAY_AUTH_MODE=token on all nodes before each `ray start`"
    found = [Finding(subject, node.name, level, what, remedy) for node, machine in facts.answered if not machine.token]
    seen = set()
    for name, machine in [("", facts.driver), *((node.name, machine) for node, machine in facts.answered)]:
        key = (machine.system, machine.token_file)
        if machine.token and machine.token_bits is not None and machine.token_bits & 0o077 and key not in seen:
            level = graded(True, machine.token_open)
            who = "everybody there can read it" if machine.token_open else "only its folder keeps others from it"
            what = f"{machine.token_file} has mode {machine.token_bits:04o}: {who}"
            found.append(Finding(subject, name, level, what, f"chmod 600 {machine.token_file}"))
        seen.add(key)
    return found or ([Finding(subject, "", "ok", "asked for, and kept to its owner")] if facts.answered else [])


def check_clock(subject: str, facts: ClusterFacts) -> list[Finding]:
    clocks = [(node.name, node.clock) for node in facts.nodes if node.clock]
    found = []
    for name, clock in clocks:
        surely = abs(clock.ahead) - clock.give
        if surely > NOTED_SECONDS:
            side = "ahead of" if clock.ahead > 0 else "behind"
            what = f"{abs(clock.ahead):,.1f} s {side} this machine's (± {milliseconds(clock.give)})"
            level = graded(True, surely > WRONG_SECONDS)
            found.append(Finding(subject, name, level, what, "set it by the network: timedatectl set-ntp true"))
    if found or not clocks:
        return found
    most, give = max(abs(clock.ahead) for _, clock in clocks), max(clock.give for _, clock in clocks)
    return [Finding(subject, "", "ok", f"at most {milliseconds(most)} from this machine's (± {milliseconds(give)})")]


def check_storage(subject: str, facts: ClusterFacts) -> list[Finding]:
    folder, found = facts.folder, []
    if folder.fault:
        return [Finding(subject, "", "problem", f"can't write to {folder.path}: {folder.fault}", "give another --out")]
    remedy = f"mount one folder at {folder.path} on all nodes, or give the path of one as --out"
    if folder.is_store:
        remedy = f"let every node reach {folder.path}, with keys in its environment or in the URI"
    for node in facts.nodes:
        if shared := node.shared:
            faults = {
                "can't read there what this machine wrote": shared.unread,
                "can't write there": shared.unwritten,
                "wrote there what this machine can't read": shared.unreturned,
            }
            said = "; ".join(f"{what} ({why})" for what, why in faults.items() if why)
            if said:
                found.append(Finding(subject, node.name, "problem", f"{folder.path}: {said}", remedy))
    if found or not facts.answered:
        return found
    alone = len({machine.system for _, machine in facts.answered} | {facts.driver.system}) == 1 and not folder.is_store
    what = "one machine, where any folder does" if alone else f"written and read by {everywhere(facts)}"
    return [Finding(subject, "", "ok", f"{folder.path}: {what}")]


def check_disk(subject: str, facts: ClusterFacts) -> list[Finding]:
    places = {("", f"of {facts.folder.path}"): facts.folder.disk}
    seen = set()
    for node, machine in facts.answered:
        if machine.system not in seen:
            places[node.name, RAYS_FILES] = machine.disk
        seen.add(machine.system)
    found, known = [], []
    for (name, what), disk in places.items():
        if disk is None:
            continue
        free, total = disk
        known.append(free)
        if free < NOTED_BYTES:
            level = graded(True, free < WRONG_BYTES)
            found.append(Finding(subject, name, level, f"{size(free)} free on the disk {what}", "make room there"))
        elif what == RAYS_FILES and free < (1 - RAYS_LIMIT) * total:
            said = f"the disk {what} is over {RAYS_LIMIT:.0%} full, where Ray stops writing to it"
            found.append(Finding(subject, name, "note", said, "make room there, or `ray start --temp-dir` elsewhere"))
    return found or ([Finding(subject, "", "ok", f"{size(min(known))} free at least")] if known else [])


def check_data(subject: str, facts: ClusterFacts) -> list[Finding]:
    data = facts.data
    if data.fault:
        return [Finding(subject, "", "problem", data.fault, "mend it, or give another --dataset or --data-dir")]
    if not data.found:
        otherwise = f"learns {data.stand_in} in its place" if data.stand_in else "ends with an error"
        what = f"{data.wanted} isn't on this machine: a search downloads it, or {otherwise}"
        remedy = f"give --data-dir, or set TUNE_MLP_DATA to a folder with {FOLDERS[data.wanted]}/raw inside"
        return [Finding(subject, "", "note", what, remedy)]
    return [Finding(subject, "", "ok", f"{data.found}: {data.samples:,} samples, {size(data.size)}")]
